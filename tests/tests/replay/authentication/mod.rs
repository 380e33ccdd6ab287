//! How a client proves who it is, in the clear and inside TLS.

mod entra;
mod federated;
mod ntlm;
mod ntlm_sealed;
mod rounds;
mod spnego;
