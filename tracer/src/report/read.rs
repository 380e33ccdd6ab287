//! What a report is made of: saved lines, lines that come in, or captures, which are replayed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, PipeReader, Read},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;

use super::line::Line;
use crate::{
    ports::Ports,
    record::{Naming, Nanos, RunId, identity::Policy},
    replay::{ReplayOptions, replay},
    session::IncidentLimits,
    sink::{Destination, Filter, Format, Overflow, Settings},
};

/// Standard input.
const STDIN: &str = "-";
/// A line that is longer is none of the agent's.
const MOST: u64 = 1 << 20;
/// What gzip and Zstandard begin with.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// What was read, but for the lines themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Lines of the agent.
    pub(super) lines: u64,
    /// Lines that are none.
    pub(super) strange: u64,
}

/// Reads a file, and hands over its lines one by one.
pub(super) fn each(path: &Path, mut take: impl FnMut(Line)) -> anyhow::Result<Counted> {
    let mut read = Counted::default();
    let mut reader = open(path).with_context(|| path.display().to_string())?;
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = reader.by_ref().take(MOST).read_until(b'\n', &mut text)?;
        if length == 0 {
            return Ok(read);
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&text) {
            Ok(line) => {
                read.lines += 1;
                take(line);
            }
            Err(_) => read.strange += 1,
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new(STDIN) {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let mut plain = decompressed(BufReader::new(File::open(path)?))?;
    let first = plain.fill_buf()?.first().copied();
    if first.is_none_or(|first| first == b'{' || first.is_ascii_whitespace()) {
        return Ok(plain);
    }
    Ok(Box::new(BufReader::new(replayed(path.to_owned())?)))
}

fn decompressed(mut file: BufReader<File>) -> io::Result<Box<dyn BufRead>> {
    let begins = file.fill_buf()?;
    Ok(if begins.starts_with(&GZIP) {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else if begins.starts_with(&ZSTD) {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?))
    } else {
        Box::new(file)
    })
}

/// The lines that `replay` says of a capture.
fn replayed(path: PathBuf) -> io::Result<PipeReader> {
    let (lines, to) = io::pipe()?;
    let options = ReplayOptions {
        files: vec![path],
        ports: Ports::all(Vec::new()),
        decapsulate: false,
        output: Settings {
            name: "output".to_owned(),
            destination: Destination::File(
                format!("/proc/self/fd/{}", to.as_raw_fd()).into(),
                None,
            ),
            format: Format::Json(Naming::Native),
            run: RunId(0),
            filter: Filter::default(),
            overflow: Overflow::Wait,
        },
        // Nobody is named in a report.
        identities: Policy::Hide,
        pending_after: Nanos(30_000_000_000),
        incidents: IncidentLimits::default(),
    };
    thread::Builder::new().spawn(move || {
        if let Err(error) = replay(&options) {
            eprintln!("tds-tracer: {error:#}");
        }
        // The reader's end comes with it.
        drop(to);
    })?;
    Ok(lines)
}
