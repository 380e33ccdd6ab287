//! `tds-tracer extract`: connections out of captures, as a small capture to hand on.
//!
//! The captures are read twice: the engine says which connections are wanted, then their packets are written. Of a
//! payload only those bytes are written that the kernel programs would have copied, names of users and hosts left out;
//! all others are zeros, whatever they are.
//!
//! | module | |
//! |---|---|
//! | `choose` | which connections are wanted |
//! | `kept`, `names`, `cover` | what of a packet is written |

mod choose;
pub(crate) mod cover;
pub(crate) mod kept;
mod names;

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use foldhash::HashMap;
use tracer_ebpf::flow::FlowKey;

pub use self::choose::Wanted;
use self::{choose::Choice, cover::cover, kept::Kept};
use crate::{
    capture::{
        interfaces::Interfaces,
        link::{self, LinkType},
        merge::Merge,
        open::STDIN,
        reader::Packet,
        tracker::{Sighted, Tracker},
        tunnel::decapsulate,
        writer::{Place, Writer, Written},
    },
    exit::PARTIAL,
    ports::Ports,
    session::{Config, Engine},
};

/// What is said of the whole of it.
const COMMENT: &str = "connections taken out of captures by tds-tracer; payload bytes that may be secret or are not \
    known are zeros, lengths are as they were, and checksums stand for the same as before";
/// Connections whose bytes are remembered before those that are over are looked for.
const MANY: usize = 1024;
/// Nothing is sent again so long after, nanoseconds.
const OVER: u64 = 120_000_000_000;

/// What `extract` is to do.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// Captures.
    pub files: Vec<PathBuf>,
    /// Which connections.
    pub wanted: Wanted,
    /// Ports of SQL Server.
    pub ports: Ports,
    /// Look into tunnels; what is inside one is written without it.
    pub decapsulate: bool,
    /// Where to; standard output unless given.
    pub output: Option<PathBuf>,
}

/// Writes the connections' packets.
///
/// # Errors
/// Where no capture can be read, none of it is wanted, or it can not be written.
pub fn extract(options: &ExtractOptions) -> anyhow::Result<ExitCode> {
    if options.files.iter().any(|file| file == Path::new(STDIN)) {
        bail!("captures are read twice: save standard input to a file first");
    }
    if options.output.is_none() && io::stdout().is_terminal() {
        bail!("a capture is nothing for a terminal: give --output FILE");
    }
    let mut choice = Choice::new(&options.wanted);
    let first = pass(options, &mut choice, false, |_, _, _| Ok(()))?;
    if first.files().next().is_none() {
        match first.failures().first() {
            Some(failure) => bail!("{}: {}", failure.path.display(), failure.error),
            None => bail!("no captures"),
        }
    }
    if choice.found.is_empty() {
        bail!("no connection of these captures is wanted");
    }
    let to: Box<dyn Write> = match &options.output {
        Some(path) => {
            Box::new(File::create(path).with_context(|| format!("writing {}", path.display()))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    let mut copier = Copier {
        writer: Writer::new(BufWriter::new(to), COMMENT)?,
        kept: HashMap::default(),
        done: Done::default(),
    };
    let mut ignored = Choice::new(&options.wanted);
    let again = pass(options, &mut ignored, true, |place, packet, tracker| {
        copier.packet(&choice, place, packet, tracker)
    })?;
    copier.writer.finish()?;
    copier.done.tell(choice.found.len());
    for failure in again.failures() {
        say(&format!("{}: {}", failure.path.display(), failure.error));
    }
    Ok(if again.failures().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTIAL)
    })
}

/// Reads the captures once, and hands over each packet that may be of a connection with where it was captured.
fn pass(
    options: &ExtractOptions,
    heard: &mut Choice<'_>,
    shows: bool,
    mut each: impl FnMut(&Place, &Packet<'_>, &Tracker) -> io::Result<()>,
) -> anyhow::Result<Merge> {
    let mut files = Merge::open(&options.files);
    let mut engine = Engine::new(Config {
        incidents: None,
        ..Config::default()
    });
    let mut tracker = Tracker::new(options.ports.clone(), false);
    if shows {
        tracker = tracker.showing();
    }
    let mut interfaces = Interfaces::default();
    let mut last_ns = 0;
    while let Some((file, packet)) = files.next() {
        last_ns = last_ns.max(packet.time_ns);
        engine.pass_time(packet.time_ns, heard);
        let Ok(layer) = link::network_layer(packet.link, packet.data) else {
            continue;
        };
        let outer = (layer.ethertype, &packet.data[layer.offset..]);
        let network = if options.decapsulate {
            decapsulate(outer)
        } else {
            outer
        };
        let before = (packet.data.len() - network.1.len()) as u32;
        let (point, _) = interfaces.point(file, &packet, &layer);
        let sighted = Sighted {
            network,
            wire_len: packet.orig_len.saturating_sub(before),
            time_ns: packet.time_ns,
            untimed: packet.untimed,
            point,
        };
        tracker.packet(&sighted, &mut engine, heard);
        let is_inner = network.1.len() != outer.1.len();
        let place = Place {
            link: if is_inner { LinkType::Raw } else { packet.link },
            name: packet.interface_name.map(str::to_owned),
            number: point.ifindex(),
        };
        let bare = Packet {
            data: if is_inner { network.1 } else { packet.data },
            orig_len: if is_inner {
                sighted.wire_len
            } else {
                packet.orig_len
            },
            ..packet
        };
        each(&place, &bare, &tracker).context("the output")?;
        for decided in heard.decided.drain(..) {
            tracker.decided(decided);
        }
        for server in heard.announced.drain(..) {
            tracker.announced(server);
        }
    }
    tracker.finish(&mut engine, heard);
    engine.finish(last_ns, heard);
    Ok(files)
}

/// Writes packets of connections that are wanted.
struct Copier<W> {
    writer: Writer<W>,
    /// By connection: what each direction has told of late, and when.
    kept: HashMap<(FlowKey, u64), (u64, [Kept; 2])>,
    done: Done,
}

impl<W: Write> Copier<W> {
    fn packet(
        &mut self,
        choice: &Choice<'_>,
        place: &Place,
        packet: &Packet<'_>,
        tracker: &Tracker,
    ) -> io::Result<()> {
        let Some(shown) = tracker.shown() else {
            return Ok(());
        };
        let Some(chosen) = choice.of(&shown.key, shown.born) else {
            return Ok(());
        };
        let Ok(layer) = link::network_layer(packet.link, packet.data) else {
            return Ok(());
        };
        let now = packet.time_ns;
        if self.kept.len() > MANY {
            self.kept
                .retain(|_, (last, _)| now.saturating_sub(*last) < OVER);
        }
        let (last, kept) = self.kept.entry((shown.key, shown.born)).or_default();
        *last = now;
        let mut data = packet.data.to_vec();
        let network = &mut data[layer.offset..];
        let kept = &mut kept[shown.direction as usize];
        let Some(covered) = cover(layer.ethertype, network, shown, kept) else {
            self.done.unread += 1;
            return Ok(());
        };
        self.done.packets += 1;
        self.done.told += covered.told;
        self.done.hidden += covered.hidden;
        let untimed = if packet.untimed {
            "; its time is not known: that of the packet before it"
        } else {
            ""
        };
        let written = Written {
            time_ns: packet.time_ns,
            data: &data,
            orig_len: packet.orig_len,
            comment: &format!("{}{untimed}", chosen.comment),
        };
        self.writer.packet(place, &written)
    }
}

/// What was written.
#[derive(Debug, Default)]
struct Done {
    packets: u64,
    told: u64,
    hidden: u64,
    /// Packets whose headers could not be copied.
    unread: u64,
}

impl Done {
    fn tell(&self, connections: usize) {
        let Self {
            packets,
            told,
            hidden,
            unread,
        } = self;
        say(&format!(
            "{connections} connections, {packets} packets; of their payload {told} bytes as they were, {hidden} \
             overwritten"
        ));
        if *unread > 0 {
            say(&format!(
                "{unread} packets left out: their headers can not be read"
            ));
        }
    }
}

fn say(line: &str) {
    // Nobody is left to tell where standard error is gone.
    drop(writeln!(io::stderr(), "tds-tracer: {line}"));
}
