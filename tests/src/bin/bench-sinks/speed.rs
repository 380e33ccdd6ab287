//! How fast sinks go: logins of one record each for a second of a processor.

use anyhow::{Result, ensure};
use harness::bench::median;
use tracer::record::{RunId, Text};
use tracer::sink::{Otlp, Protocol, Receiver, SocketReceiver, Syslog, Tls};

use crate::takers::{Taker, free_port};
use crate::told::{Sink, To, processor, start};

const TRIALS: usize = 3;
const LOGINS: u64 = 40_000;
/// Room for all of them.
const SPOOL: u64 = 1 << 30;

pub(crate) fn measure(only: &str) -> Result<()> {
    println!(
        "logins of one record each for a second of a processor, medians of {TRIALS} trials of {LOGINS}:"
    );
    let said = |what: &str, mut trials: Vec<f64>| {
        trials.sort_by(f64::total_cmp);
        println!("  {what}: {:.0}; {trials:.0?}", median(&trials));
    };
    if "a file".contains(only) {
        let trials = (0..TRIALS).map(|_| file()).collect::<Result<_>>()?;
        said("a file", trials);
    }
    let kinds = [
        (
            "lines by TCP",
            Taker::Tcp,
            lines as fn(u16) -> Result<Receiver>,
        ),
        ("syslog by TCP", Taker::Tcp, syslog),
        ("OTLP, log records", Taker::Otlp, |port| {
            otlp(port, true, false, true)
        }),
        ("OTLP, log records without gzip", Taker::Otlp, |port| {
            otlp(port, true, false, false)
        }),
        ("OTLP, spans", Taker::Otlp, |port| {
            otlp(port, false, true, true)
        }),
        ("OTLP, log records and spans", Taker::Otlp, |port| {
            otlp(port, true, true, true)
        }),
    ];
    for (name, taker, receiver) in kinds.into_iter().filter(|kind| kind.0.contains(only)) {
        let (mut into, mut out) = (Vec::new(), Vec::new());
        for _ in 0..TRIALS {
            let port = free_port()?;
            let [written, handed] = through(&receiver(port)?, taker, port)?;
            into.push(written);
            out.push(handed);
        }
        said(&format!("{name}, into the spool"), into);
        said(&format!("{name}, out of it"), out);
    }
    Ok(())
}

fn lines(port: u16) -> Result<Receiver> {
    let address = format!("tcp://127.0.0.1:{port}").parse();
    let address = address.map_err(anyhow::Error::msg)?;
    Ok(Receiver::Socket(SocketReceiver {
        address,
        tls: Tls::default(),
    }))
}

fn syslog(port: u16) -> Result<Receiver> {
    let address = format!("tcp://127.0.0.1:{port}").parse();
    Ok(Receiver::Syslog(Syslog {
        address: address.map_err(anyhow::Error::msg)?,
        facility: 3,
        host: Text::from("host"),
        tls: Tls::default(),
    }))
}

pub(crate) fn otlp(port: u16, logs: bool, traces: bool, gzip: bool) -> Result<Receiver> {
    Ok(Receiver::Otlp(Box::new(Otlp {
        url: format!("http://127.0.0.1:{port}").parse()?,
        protocol: Protocol::Http,
        gzip,
        headers: None,
        proxy: None,
        tls: Tls::default(),
        logs,
        traces,
        metrics: None,
        attempts: true,
        host: Text::from("host"),
        node: None,
        run: RunId::default(),
    })))
}

/// Into a file, all threads together.
fn file() -> Result<f64> {
    let mut sink = Sink::open(To::File)?;
    let begun = processor();
    sink.tell(LOGINS);
    sink.wait(|status| status.written.0 == LOGINS);
    let spent = processor().saturating_sub(begun);
    sink.finish()?;
    Ok(LOGINS as f64 / spent.as_secs_f64())
}

/// Into a spool, and then out of it to somebody who takes them.
fn through(receiver: &Receiver, taker: Taker, port: u16) -> Result<[f64; 2]> {
    let mut sink = Sink::open(To::Receiver(receiver, SPOOL))?;
    let begun = processor();
    sink.tell(LOGINS);
    sink.wait(|status| status.written.0 == LOGINS && status.waiting.0 == 0);
    let written = processor().saturating_sub(begun);
    let _taker = start(taker, port)?;
    let begun = processor();
    sink.begin();
    let status = sink.wait(|status| status.spool_bytes.is_some_and(|left| left.0 == 0));
    let handed = processor().saturating_sub(begun);
    ensure!(status.lost.0 == 0, "{status:?}");
    sink.finish()?;
    Ok([written, handed].map(|spent| LOGINS as f64 / spent.as_secs_f64()))
}
