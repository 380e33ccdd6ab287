//! Watches SQL Server logins from the Linux kernel and says which phase took how long, who was
//! waited for, and why.
//!
//! The core — [`tds`], [`dns`], [`kerberos`], [`session`] and [`record`] — does no I/O and reads no clock: it
//! takes bytes and times. [`probe`] feeds it from the kernel, [`capture`] from pcap files, and [`sink`] writes
//! what it says; [`metrics`] counts it for Prometheus; [`host`] knows the processes behind the sockets.

pub mod capture;
pub mod cli;
pub mod confine;
pub mod dns;
pub mod doctor;
mod exit;
pub mod extract;
mod grpc;
pub mod host;
pub mod kerberos;
pub mod metrics;
pub mod ports;
pub mod probe;
pub mod record;
mod recorder;
pub mod replay;
pub mod report;
pub mod run;
pub mod session;
pub mod sink;
pub mod state;
pub mod tds;
pub mod top;
