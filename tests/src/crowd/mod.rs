//! Many connections, both ends of which are here: as fast as they go or at a pace, and what is said on each.

mod client;
mod server;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use rustix::thread::{CpuSet, sched_setaffinity};

pub use self::client::{Connect, Ping};
pub use self::server::Serve;
use crate::pcap;

/// PRELOGIN of a client: VERSION and ENCRYPTION (MS-TDS §2.2.6.5).
const PRELOGIN: [u8; 26] = [
    0x12, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 2,
];
/// The same as a server's answer.
const ANSWER: [u8; 26] = [
    0x04, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 16, 0, 0x10, 0, 0, 0, 2,
];
/// A recorded login without encryption, and in it what client and server say in turn up to the answer
/// to the first request.
const LOGIN: (&str, [[usize; 2]; 3]) = ("captures/odbc18-lab-clear", [[3, 5], [7, 8], [9, 10]]);

/// What is said on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Words {
    /// PRELOGIN and its answer.
    Prelogin,
    /// A login in clear and its first request.
    Login,
}

/// What both ends have to agree on.
#[derive(Args)]
pub struct Common {
    /// What is said on each connection
    #[arg(long, value_enum, default_value = "prelogin")]
    say: Words,
    /// The processor that this end is bound to
    #[arg(long)]
    cpu: Option<usize>,
}

impl Common {
    fn begin(&self) -> Result<Vec<Exchange>> {
        if let Some(cpu) = self.cpu {
            moves_to(cpu)?;
        }
        self.say.exchanges()
    }
}

/// What the client says, and the server's answer.
type Exchange = [Vec<u8>; 2];

impl Words {
    fn exchanges(self) -> Result<Vec<Exchange>> {
        if self == Self::Prelogin {
            return Ok(vec![[PRELOGIN.to_vec(), ANSWER.to_vec()]]);
        }
        let (name, places) = LOGIN;
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = tests.join("fixtures").join(name).with_extension("pcap");
        let packets = pcap::packets(&file)?;
        Ok(places
            .map(|pair| pair.map(|place| packets[place].payload().to_vec()))
            .into())
    }
}

/// The calling thread goes on at that processor.
fn moves_to(cpu: usize) -> Result<()> {
    ensure!(cpu < CpuSet::MAX_CPU, "there is no processor {cpu}");
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}
