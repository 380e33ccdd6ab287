//! Packets and bytes per second of `tds-tracer replay`, beside tshark and beside a bare loop.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use harness::{
    replay,
    traffic::{self, Plan},
};
use tracer::capture::merge::Merge;

const BULK: (&str, Plan) = (
    "bulk",
    Plan {
        logins: 10_000,
        per_second: 100,
        stays_ns: 5_000_000_000,
        results: 64 * 1024,
        others: 64 * 1024,
        attempts: 0,
    },
);
const LOGINS: (&str, Plan) = (
    "logins",
    Plan {
        logins: 100_000,
        per_second: 1000,
        stays_ns: 5_000_000_000,
        results: 0,
        others: 0,
        attempts: 0,
    },
);
/// As many as the engine keeps, nearly: what a flood of SYNs takes of memory.
const FLOOD: (&str, Plan) = (
    "flood",
    Plan {
        logins: 0,
        per_second: 50_000,
        stays_ns: 0,
        results: 0,
        others: 0,
        attempts: 65_000,
    },
);
/// What tshark is given: it would be waited for too long otherwise.
const EXCERPT_PACKETS: u64 = 200_000;
/// What of a login tshark can say.
const FIELDS: [&str; 15] = [
    "frame.time_epoch",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.analysis.retransmission",
    "tds.type",
    "tds.length",
    "tds.channel",
    "tds.error.number",
    "tds.envchange.type",
    "tls.handshake.version",
    "tls.handshake.ciphersuite",
    "tls.handshake.extensions_server_name",
    "ntlmssp.auth.username",
];

/// Generates captures and measures who reads them how fast.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// Where the captures are kept
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Rounds, in each of which every reader runs once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave tshark out
    #[arg(long)]
    no_tshark: bool,
    /// Count the packets of a capture, and no more: the bare loop
    #[arg(long, value_name = "FILE", exclusive = true)]
    count: Option<PathBuf>,
}

/// A capture, and what is in it.
struct Capture {
    path: PathBuf,
    packets: u64,
    bytes: u64,
}

/// Someone who reads a capture.
struct Reader<'a> {
    name: &'static str,
    command: Vec<String>,
    capture: &'a Capture,
    runs: Vec<Run>,
}

/// What one run cost.
#[derive(Clone, Copy)]
struct Run {
    elapsed_s: f64,
    /// Of all threads, user and system.
    processor_s: f64,
    resident_mib: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(path) = &options.count {
        println!("{}", count(path).packets);
        return Ok(());
    }
    fs::create_dir_all(&options.folder)?;
    for (name, plan) in [BULK, LOGINS, FLOOD] {
        let whole = generate(&options.folder.join(name).with_extension("pcap"), &plan)?;
        let excerpt = options.folder.join(format!("{name}-excerpt.pcap"));
        let excerpt = cut(&whole, excerpt)?;
        let mut readers = readers(&whole, &excerpt, options.no_tshark)?;
        for _round in 0..options.rounds {
            for reader in &mut readers {
                reader.runs.push(run(&reader.command)?);
            }
        }
        let Capture { packets, bytes, .. } = whole;
        println!(
            "{name}: {packets} packets, {bytes} bytes, {} connections to SQL Server",
            plan.logins + plan.attempts
        );
        readers.iter().for_each(tell);
    }
    Ok(())
}

/// Reads a capture and looks at nothing.
fn count(path: &Path) -> Capture {
    let mut files = Merge::open([path]);
    let (mut packets, mut bytes) = (0, 24);
    while let Some((_, packet)) = files.next() {
        packets += 1;
        bytes += 16 + packet.data.len() as u64;
    }
    Capture {
        path: path.to_owned(),
        packets,
        bytes,
    }
}

/// Writes the capture, unless it is there already. Reading it also warms the page cache.
fn generate(path: &Path, plan: &Plan) -> Result<Capture> {
    let made = path.with_extension("plan");
    let plan_text = format!("{plan:?}");
    if fs::read_to_string(&made).is_ok_and(|text| text == plan_text) {
        return Ok(count(path));
    }
    let start = Instant::now();
    let mut out = BufWriter::new(File::create(path)?);
    let written = traffic::write(plan, &mut out)?;
    out.flush()?;
    let capture = count(path);
    ensure!(
        (written.packets, written.bytes) == (capture.packets, capture.bytes),
        "{} reads otherwise than it was written",
        path.display()
    );
    fs::write(made, plan_text)?;
    eprintln!("{} written in {:.0?}", path.display(), start.elapsed());
    Ok(capture)
}

/// The first packets of a capture.
fn cut(whole: &Capture, path: PathBuf) -> Result<Capture> {
    let mut files = Merge::open([&whole.path]);
    let mut capture = Capture {
        path,
        packets: 0,
        bytes: 24,
    };
    while capture.packets < EXCERPT_PACKETS
        && let Some((_, packet)) = files.next()
    {
        capture.packets += 1;
        capture.bytes += 16 + packet.data.len() as u64;
    }
    let mut from = std::io::Read::take(File::open(&whole.path)?, capture.bytes);
    std::io::copy(&mut from, &mut File::create(&capture.path)?)?;
    Ok(capture)
}

fn readers<'a>(
    whole: &'a Capture,
    excerpt: &'a Capture,
    no_tshark: bool,
) -> Result<Vec<Reader<'a>>> {
    let reader = |name, capture: &'a Capture, program: &Path, arguments: &[&str]| {
        let path = capture.path.display().to_string();
        let mut command = vec![program.display().to_string()];
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        command.push(path);
        Reader {
            name,
            command,
            capture,
            runs: Vec::new(),
        }
    };
    let itself = std::env::current_exe()?;
    let agent = replay::agent()?;
    let mut readers = vec![
        reader("bare loop", whole, &itself, &["--count"]),
        reader("tds-tracer replay", whole, &agent, &["replay"]),
    ];
    if !no_tshark {
        let tshark = Path::new("tshark");
        let conversations = ["-n", "-q", "-z", "conv,tcp", "-r"];
        let mut fields = vec!["-n", "-Y", "tds", "-T", "fields"];
        fields.extend(FIELDS.iter().flat_map(|field| ["-e", field]));
        fields.push("-r");
        readers.push(reader(
            "tshark, conversations",
            excerpt,
            tshark,
            &conversations,
        ));
        readers.push(reader("tshark, fields", excerpt, tshark, &fields));
    }
    Ok(readers)
}

/// Runs a command to its end and asks `time` what it cost.
fn run(command: &[String]) -> Result<Run> {
    let output = Command::new("time")
        .args(["--format", "%e %U %S %M", "--"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .context("time")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", command.join(" "));
    let figures = errors.lines().last().unwrap_or_default();
    let figures: Vec<f64> = figures
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("time said {figures}"))?;
    let &[elapsed_s, user_s, system_s, resident_kib] = &figures[..] else {
        anyhow::bail!("time said {figures:?}");
    };
    Ok(Run {
        elapsed_s,
        processor_s: user_s + system_s,
        resident_mib: resident_kib / 1024.0,
    })
}

fn tell(reader: &Reader<'_>) {
    let middle = |of: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = reader.runs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let elapsed_s = middle(|run| run.elapsed_s);
    let processor_s = middle(|run| run.processor_s);
    let resident_mib = middle(|run| run.resident_mib);
    let Capture { packets, bytes, .. } = reader.capture;
    println!(
        "  {:22} {packets:>8} packets: {elapsed_s:6.2} s elapsed, {processor_s:6.2} s of processor, \
         {:9.0} packets/s, {:7.1} MB/s, {resident_mib:6.1} MiB resident",
        reader.name,
        *packets as f64 / processor_s,
        *bytes as f64 / processor_s / 1e6,
    );
}
