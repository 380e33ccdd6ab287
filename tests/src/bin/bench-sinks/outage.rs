//! An hour in which nobody takes what a thousand logins a second say, in less time: the spool is at its bound, and memory
//! stays.

use anyhow::{Result, ensure};
use harness::bench::resident;

use crate::speed::otlp;
use crate::takers::{Taker, free_port};
use crate::told::{Sink, To, start};

/// Of an hour.
const LOGINS: u64 = 3_600_000;
/// What is looked at so often.
const PARTS: u64 = 12;
/// Bytes on disk, as where nobody says how many.
const SPOOL: u64 = 256 << 20;

pub(crate) fn measure() -> Result<()> {
    let port = free_port()?;
    let mut sink = Sink::open(To::Receiver(&otlp(port, true, true, true)?, SPOOL))?;
    sink.begin();
    println!(
        "{LOGINS} logins while nobody takes them, with a spool of {} MiB:",
        SPOOL >> 20
    );
    println!("  logins  resident MiB  the most  spool MiB  lost");
    let mut told = 0;
    for part in 0..PARTS {
        sink.tell(LOGINS / PARTS);
        told += LOGINS / PARTS;
        // Those that the spool gives up are told by lines of their own.
        let status = sink.wait(|status| status.waiting.0 == 0 && status.written.0 >= told);
        let [now, most] = resident(std::process::id())?.map(|kib| kib >> 10);
        let spooled = status.spool_bytes.map_or(0, |bytes| bytes.0 >> 20);
        println!(
            "  {}  {now}  {most}  {spooled}  {}",
            (part + 1) * LOGINS / PARTS,
            status.lost.0
        );
    }
    let _taker = start(Taker::Otlp, port)?;
    let status = sink.wait(|status| status.spool_bytes.is_some_and(|left| left.0 == 0));
    let [now, most] = resident(std::process::id())?.map(|kib| kib >> 10);
    println!(
        "  and once somebody took what was left: {now}  {most}, lost {}",
        status.lost.0
    );
    ensure!(status.lost.0 < LOGINS, "{status:?}");
    sink.finish()
}
