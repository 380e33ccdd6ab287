//! How a client proves who it is, and how long that takes.

mod entra;
mod kerberos;
mod ntlm;

const CLEAR: [&str; 4] = ["handshake", "prelogin", "login", "auth"];
const WRAPPED: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];
