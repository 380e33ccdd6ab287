//! Peers and hosts for the tests of the whole.

pub mod agent;
pub mod agree;
pub mod capture;
pub mod decoded;
pub mod drivers;
pub mod expect;
pub mod group;
pub mod kdc;
pub mod lab;
pub mod limit;
pub mod middle;
pub mod names;
pub mod nat;
pub mod net;
pub mod pcap;
pub mod peer;
pub mod process;
pub mod replay;
pub mod root;
pub mod secrets;
pub mod sequences;
pub mod server;
pub mod slow;
pub mod sweep;
pub mod traffic;
pub mod visitor;
