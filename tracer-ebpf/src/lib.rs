//! The contract between the two halves.
#![cfg_attr(not(test), no_std)]
