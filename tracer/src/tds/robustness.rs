//! No decoder panics, whatever the bytes.
