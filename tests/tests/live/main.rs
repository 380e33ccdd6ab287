//! The agent on real traffic: real clients and servers on two hosts of their
//! own, each login checked against a packet capture of the same run.

mod broken;
mod ciphers;
mod decided;
mod earlier;
mod entra;
mod evicted;
mod gone;
mod kerberos;
mod lifecycle;
mod log;
mod mars;
mod ntlm;
mod paths;
mod process;
mod requests;
mod rewritten;
mod run;
mod said;
mod secrets;
mod started;
