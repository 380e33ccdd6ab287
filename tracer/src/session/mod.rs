//! Connections, rebuilt from events: phases, who was waited for, outcome and close.
//!
//! Sans-IO: [`Engine`] takes events and moments and hands out records. It reads no clock and
//! touches no socket, so that a live kernel, a capture and a fuzzer drive the same code.
//!
//! | module | what it knows |
//! |---|---|
//! | [`engine`] | the table of connections, eviction and timers |
//! | `entry` | a connection's place in that table |
//! | `beginning` | a connection of which only SYNs were seen |
//! | `connection` | one connection: counters, handshake, ends |
//! | `stream` | one direction's bytes back in order, cut into TDS packets, TLS records, SMP packets |
//! | `login` | what the login's messages say, and which phase they end |
//! | `dark` | logins inside TLS, from the order and sizes of records |
//! | `timeline` | phases, and who was waited for in them |
//! | `ending` | outcome and close, from how a connection ends |
//! | `losses` | what was not seen or not said, until it is told |
//! | `output` | what connections say, as records |
//! | `certificates` | the certificates that were read |
//! | `strangers` | how often peers that do not speak TDS are told |
//! | `usage` | what it is used for after the login: requests and MARS sessions |
//! | `naming` | connection id and Community ID |
//! | `vantage` | which side the packets were seen from |

pub mod engine;

mod beginning;
mod certificates;
mod connection;
mod dark;
mod ending;
mod entry;
mod login;
mod losses;
mod naming;
mod output;
mod strangers;
mod stream;
#[cfg(test)]
mod tests;
mod timeline;
mod usage;
mod vantage;

pub use engine::{Checksum, Config, Engine, Input, Listener, SocketOwner};
