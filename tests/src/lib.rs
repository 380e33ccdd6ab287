//! Peers and hosts for the tests of the whole.
