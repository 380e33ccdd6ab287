//! Capture files and packets on standard input, turned into the events the kernel would have sent.
