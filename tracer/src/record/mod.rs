//! The event stream's types: the contract with whoever reads the output.
