//! Connections, rebuilt from events: phases, who was waited for, outcome and close.
//!
//! Sans-IO: [`Engine`] takes events and moments and hands out records. It reads no clock and
//! touches no socket, so that a live kernel, a capture and a fuzzer drive the same code.
//!
//! Each module uses only those before it:
//!
//! | module | what it knows |
//! |---|---|
//! | `host` | what this host says of the time that a login took: types only |
//! | `input` | what the engine is told, and who listens: types only |
//! | `baselines` | what is usual at servers, as it is kept: types only |
//! | `wire` | TCP of one connection: handshake, ends, counters, round trip, vantage, names |
//! | `stream` | one direction's bytes back in order, cut into TDS packets, TLS records, SMP packets |
//! | `ledger` | who spoke when, and who owes the next message |
//! | `dialogue` | the order of a login's messages, in clear and sealed; requests and MARS after it |
//! | `exchange` | one question to SQL Browser, and what came back |
//! | `attempts` | what belongs to one attempt of a client to log in |
//! | `resolutions` | which names a client has asked for |
//! | `services` | what else a client has asked, of whom |
//! | `verdict` | phases, waits, outcome and close, from the ledger and from TCP |
//! | `diagnosis` | why: causes, and what a login's neighbours did |
//! | `incidents` | logins that go wrong together, more than usually do |
//! | `report` | all that is told, as records |
//! | `lookups` | what SQL Browser is asked, until it is told |
//! | `connection` | one connection: undecided while its login is open, then settled |
//! | `table` | the connections, timers, eviction |
//! | `engine` | the way in |

mod attempts;
mod baselines;
mod connection;
mod diagnosis;
mod dialogue;
mod engine;
mod exchange;
mod host;
mod incidents;
mod input;
mod ledger;
mod lookups;
mod report;
mod resolutions;
mod services;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod verdict;
mod wire;

pub use baselines::{Baselines, ServerBaseline, TroubleBaseline, Troubles};
#[cfg(test)]
pub(crate) use diagnosis::every;
pub(crate) use diagnosis::refused_for;
pub use diagnosis::{Words, explain, list, reference, words};
pub use engine::Engine;
pub use host::{
    BusyFacts, Conntrack, DropFacts, Hindrance, HostFacts, ListenerFacts, NetFacts, ProcessFacts,
    Question, ResetFacts, SocketFacts, Untried,
};
pub use input::{
    Adjustable, Beside, Carried, Checksum, Config, Datagram, Decided, IncidentLimits, Input,
    Listener, Piece, Said, Sign, SocketOwner, Standing, Transport,
};
pub(crate) use wire::address;
