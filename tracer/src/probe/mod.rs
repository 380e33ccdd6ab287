//! The kernel side of the agent: all of aya, all sockets of the host, all `unsafe`.
