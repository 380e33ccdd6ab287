//! A packet capture of the same run, taken by tcpdump and read by tshark.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::net::Namespace;
use crate::process::{Running, run};

/// A running tcpdump.
pub struct Capture {
    running: Running,
    file: PathBuf,
    port: u16,
}

/// One TCP segment as captured.
#[derive(Clone, Debug)]
pub struct Segment {
    /// When, in nanoseconds since 1970.
    pub at_ns: u64,
    /// Number of its connection in the capture, from 0.
    pub stream: u32,
    /// Whether the client sent it.
    pub from_client: bool,
    /// TCP flags, as in the header.
    pub flags: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Segment {
    /// Whether it opens a connection.
    pub fn syn(&self) -> bool {
        self.flags & 0x02 != 0
    }

    /// Whether it acknowledges.
    pub fn ack(&self) -> bool {
        self.flags & 0x10 != 0
    }

    /// Whether its side has said all.
    pub fn fin(&self) -> bool {
        self.flags & 0x01 != 0
    }

    /// Whether it ends the connection at once.
    pub fn rst(&self) -> bool {
        self.flags & 0x04 != 0
    }
}

impl Capture {
    /// Starts to capture what goes to and from a TCP port on an interface.
    pub fn start(host: &Namespace, interface: &str, port: u16) -> Result<Self> {
        Self::start_of(Some("tcp"), host, interface, port)
    }

    /// Starts to capture what goes to and from a UDP port on an interface.
    pub fn start_udp(host: &Namespace, interface: &str, port: u16) -> Result<Self> {
        Self::start_of(Some("udp"), host, interface, port)
    }

    /// Starts to capture everything on an interface: what is behind VLAN tags or IPv6 extension
    /// headers no filter finds. A TCP port is looked for afterwards.
    pub fn start_whole(host: &Namespace, interface: &str, port: u16) -> Result<Self> {
        Self::start_of(None, host, interface, port)
    }

    fn start_of(
        protocol: Option<&str>,
        host: &Namespace,
        interface: &str,
        port: u16,
    ) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("{}-{port}.pcap", host.name()));
        let mut command = host.command("tcpdump");
        command.args(["-i", interface, "-w"]).arg(&file).args([
            "-Z",
            "root",
            "-U",
            "--time-stamp-precision=nano",
            "-s",
            "0",
        ]);
        command.args(protocol.map(|protocol| format!("{protocol} port {port}")));
        let running = Running::start(&mut command)?;
        if !running.wait_errors("listening on", Duration::from_secs(10)) {
            bail!("tcpdump does not start: {}", running.errors());
        }
        Ok(Self {
            running,
            file,
            port,
        })
    }

    /// Stops, and gives what was captured.
    pub fn stop(self) -> Result<Captured> {
        // tcpdump is handed what was captured once a second. It could be woken for every packet, but
        // that would hold up the packet between its own stamp and the agent's.
        std::thread::sleep(Duration::from_millis(1200));
        self.running.stop("INT")?;
        Ok(Captured {
            file: self.file,
            port: self.port,
        })
    }
}

/// A finished capture; its file is removed with it.
pub struct Captured {
    file: PathBuf,
    port: u16,
}

impl Captured {
    /// The capture file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Leaves a copy of the file for whoever looks into a failure.
    pub fn keep(&self) -> Result<PathBuf> {
        let name = self.file.file_name().context("a capture without name")?;
        let kept = std::env::temp_dir().join("tds-tracer-failed").join(name);
        std::fs::create_dir_all(kept.parent().context("no folder")?)?;
        std::fs::copy(&self.file, &kept)?;
        Ok(kept)
    }

    /// The TCP segments in it, as tshark reads them.
    pub fn segments(&self) -> Result<Vec<Segment>> {
        let fields = [
            "frame.time_epoch",
            "tcp.stream",
            "tcp.srcport",
            "tcp.flags",
            "tcp.payload",
        ];
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file).args([
            "-n",
            "-o",
            "tcp.desegment_tcp_streams:FALSE",
            "-T",
            "fields",
        ]);
        command.arg("-Y").arg(format!("tcp.port == {}", self.port));
        // Only TCP is of interest, and tshark would hide a payload it knows.
        command.args(["--disable-protocol", "tds", "--disable-protocol", "tls"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().context("cannot run tshark")?;
        if !output.status.success() {
            bail!("tshark: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        // On loopback tcpdump may show a packet once as sent, once as received.
        text.lines().map(|line| segment(line, self.port)).collect()
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // Nobody is left to tell when a test is over.
        std::fs::remove_file(&self.file).ok();
    }
}

fn segment(line: &str, server: u16) -> Result<Segment> {
    let mut fields = line.split('\t');
    let mut next = || {
        fields
            .next()
            .with_context(|| format!("too few fields: {line}"))
    };
    let at_ns = nanoseconds(next()?)?;
    let stream = next()?.parse()?;
    let source: u16 = next()?.parse()?;
    let flags = u32::from_str_radix(next()?.trim_start_matches("0x"), 16)?;
    let payload = hex(next().unwrap_or_default())?;
    Ok(Segment {
        at_ns,
        stream,
        from_client: source != server,
        flags: flags as u8,
        payload,
    })
}

fn nanoseconds(epoch: &str) -> Result<u64> {
    let (seconds, fraction) = epoch.split_once('.').context("a time without fraction")?;
    let fraction: u64 = format!("{fraction:0<9}")
        .get(..9)
        .context("a short time")?
        .parse()?;
    Ok(seconds.parse::<u64>()? * 1_000_000_000 + fraction)
}

/// Bytes written in hexadecimal digits.
pub fn hex(digits: &str) -> Result<Vec<u8>> {
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    Ok((0..digits.len() / 2)
        .map(|index| pair(index * 2))
        .collect::<Result<_, _>>()?)
}

/// Whether the tools of a capture are there.
pub fn available() -> bool {
    ["tcpdump", "tshark"].iter().all(|tool| {
        run(
            Command::new(tool).arg("--version"),
            "",
            Duration::from_secs(10),
        )
        .is_ok_and(|(status, _)| status.success())
    })
}
