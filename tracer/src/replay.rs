//! Reads captures and says about them what the agent would have said live.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Display,
    fs,
    io::{self, IsTerminal, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    capture::{
        interfaces::Interfaces,
        link::{self, LinkError},
        merge::Merge,
        open::STDIN,
        reader::Packet,
        tracker::{Sighted, Tracker},
        tunnel::{begins_in_fragments, decapsulate},
    },
    exit::{PARTIAL, UNUSABLE},
    host,
    ports::Ports,
    record::{Body, Event, Login, LossReason, Nanos, Outcome, Record, identity::Policy},
    session::{Config, Decided, Engine, IncidentLimits, Input, Listener},
    sink::{Output, Sent, Settings, Summary},
};

/// How long the output may take to be written once everything is said.
const PATIENCE: Duration = Duration::from_hours(1);
/// Records handed over at once.
const GATHERED: usize = 64;
/// Packets between two looks at the progress.
const PROGRESS_EVERY: u64 = 65_536;

/// What `replay` is to do.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Captures, one at least; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Ports of SQL Server.
    pub ports: Ports,
    /// Look into tunnels.
    pub decapsulate: bool,
    /// What is written, where and how.
    pub output: Settings,
    /// What becomes of names of users, domains and workstations.
    pub identities: Policy,
    /// How long a login may be undecided before it is told as pending.
    pub pending_after: Nanos,
    /// What makes an incident.
    pub incidents: IncidentLimits,
}

/// Reads captures.
pub fn replay(options: &ReplayOptions) -> anyhow::Result<ExitCode> {
    let mut files = Merge::open(&options.files);
    let output = options.output.open(&host::name()).context("the output")?;
    // Who writes to standard input may be waited for: every record is handed over at once.
    let is_live = options.files.iter().any(|file| file == Path::new(STDIN));
    let mut output = output.gathering(if is_live { 1 } else { GATHERED });
    let mut heard = Heard::new(&mut output);
    let mut counts = Counts::default();
    let is_readable = files.files().next().is_some();
    if is_readable {
        read(options, &mut files, &mut heard, &mut counts);
    }
    counts.logins = heard.logins;
    counts.losses = heard.losses;
    let written = output.finish(PATIENCE).context("the output")?;

    complain(&files);
    if !is_readable {
        return Ok(ExitCode::from(UNUSABLE));
    }
    counts.tell(&files, written);
    Ok(if files.failures().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTIAL)
    })
}

fn read(options: &ReplayOptions, files: &mut Merge, heard: &mut Heard<'_>, counts: &mut Counts) {
    let filter = &options.output.filter;
    let mut engine = Engine::new(Config {
        identity: options.identities.clone(),
        pending_after: options.pending_after.0,
        slow: filter.slow.map_or(Config::SLOW, |slow| slow.0),
        phases: filter.wants(Event::Phase),
        requests: filter.wants(Event::Request),
        incidents: filter.wants(Event::Incident).then_some(options.incidents),
        ..Config::default()
    });
    let mut tracker = Tracker::new(options.ports.clone(), filter.wants(Event::Request));
    let bar = bar(options);
    let progress = files.progress();
    let mut last_ns = 0;
    while let Some((file, packet)) = files.next() {
        counts.packets += 1;
        counts.bytes += packet.data.len() as u64;
        counts.cut += u64::from(packet.orig_len as usize > packet.data.len());
        last_ns = last_ns.max(packet.time_ns);
        // Whatever the packet is: it shows that time has passed without others.
        engine.pass_time(packet.time_ns, heard);
        let now = packet.time_ns;
        let packet = (file, &packet);
        one(options, packet, &mut tracker, &mut engine, heard, counts);
        for decided in heard.decided.borrow_mut().drain(..) {
            tracker.decided(decided);
        }
        for server in heard.announced.drain(..) {
            tracker.announced(server);
        }
        for (client, port) in heard.sent_on.drain(..) {
            tracker.sent_on(client, port, now);
        }
        if counts.packets.is_multiple_of(PROGRESS_EVERY) {
            bar.set_position(progress.bytes());
            if heard.output.is_closed() {
                break;
            }
        }
    }
    bar.finish_and_clear();
    tracker.finish(&mut engine, heard);
    engine.finish(last_ns, heard);
    counts.connections = engine.standing().seen;
}

fn one(
    options: &ReplayOptions,
    (file, packet): (usize, &Packet<'_>),
    tracker: &mut Tracker,
    engine: &mut Engine,
    heard: &mut Heard<'_>,
    counts: &mut Counts,
) {
    let layer = match link::network_layer(packet.link, packet.data) {
        Ok(layer) => layer,
        Err(error) => {
            if error != LinkError::NotIp {
                *counts.unread.entry(error.to_string()).or_default() += 1;
            }
            return;
        }
    };
    let outer = (layer.ethertype, &packet.data[layer.offset..]);
    let mut network = outer;
    if options.decapsulate {
        network = decapsulate(outer);
        if begins_in_fragments(network) {
            engine.on_event(Input::Loss(LossReason::Fragment, 1), heard);
            return;
        }
    }
    let before = (packet.data.len() - network.1.len()) as u32;
    let (point, name) = counts.interfaces.point(file, packet, &layer);
    if let Some(name) = name {
        engine.name_interface(point.ifindex(), name.to_owned());
    }
    let sighted = Sighted {
        network,
        wire_len: packet.orig_len.saturating_sub(before),
        time_ns: packet.time_ns,
        untimed: packet.untimed,
        point,
    };
    tracker.packet(&sighted, engine, heard);
}

/// What the engine says, on its way out.
struct Heard<'a> {
    output: &'a mut Output,
    decided: RefCell<Vec<Decided>>,
    announced: Vec<(IpAddr, u16)>,
    /// Clients that a server has sent on to a port somewhere.
    sent_on: Vec<(IpAddr, u16)>,
    logins: BTreeMap<&'static str, u64>,
    losses: BTreeMap<&'static str, u64>,
}

impl<'a> Heard<'a> {
    fn new(output: &'a mut Output) -> Self {
        Self {
            output,
            decided: RefCell::default(),
            announced: Vec::new(),
            sent_on: Vec::new(),
            logins: BTreeMap::new(),
            losses: BTreeMap::new(),
        }
    }
}

impl Listener for Heard<'_> {
    fn login(&mut self, login: &Login) -> bool {
        let outcome = login.outcome.map_or("unknown", Outcome::as_str);
        *self.logins.entry(outcome).or_default() += 1;
        self.output.filter().wants_login(login)
    }

    fn record(&mut self, record: Record) {
        if let Body::Loss(loss) = &record.body {
            let reason = loss.loss.reason.as_str();
            *self.losses.entry(reason).or_default() += loss.loss.count.0;
        }
        // Nothing is dropped in replay; a reader that left is noticed between packets.
        let _sent: Sent = self.output.send(record);
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.announced.push(server);
    }

    fn redirected(&mut self, client: IpAddr, to: (Option<IpAddr>, u16)) {
        match to {
            (Some(address), port) => self.announced((address, port)),
            (None, port) => self.sent_on.push((client, port)),
        }
    }

    fn decided(&mut self, decided: Decided) {
        self.decided.get_mut().push(decided);
    }
}

#[derive(Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    connections: u64,
    logins: BTreeMap<&'static str, u64>,
    losses: BTreeMap<&'static str, u64>,
    /// Packets whose link header could not be read, by reason.
    unread: BTreeMap<String, u64>,
    /// Packets of which the snap length left only the first bytes.
    cut: u64,
    interfaces: Interfaces,
}

impl Counts {
    /// The closing summary.
    fn tell(&self, files: &Merge, written: Summary) {
        let logins: u64 = self.logins.values().sum();
        say(&format!(
            "{}, {}, {}, {}, {}{}{}",
            number(files.files().count() as u64, "file"),
            number(self.packets, "packet"),
            number(self.bytes, "byte"),
            number(self.connections, "connection"),
            number(logins, "login"),
            if logins == 0 { "" } else { ": " },
            list(&self.logins),
        ));
        if !self.losses.is_empty() {
            say(&format!("lost: {}", list(&self.losses)));
        }
        if !self.unread.is_empty() {
            say(&format!("not read: {}", list(&self.unread)));
        }
        if self.cut > 0 {
            let were = if self.cut == 1 { "was" } else { "were" };
            let packets = number(self.cut, "packet");
            say(&format!("{packets} {were} cut to a snap length"));
        }
        if written.dropped > 0 {
            say(&format!("{} records were not written", written.dropped));
        }
    }
}

/// So many of each.
fn list(counts: &BTreeMap<impl Display, u64>) -> String {
    let each = counts.iter().map(|(name, count)| format!("{count} {name}"));
    each.collect::<Vec<_>>().join(", ")
}

/// So many things of a kind.
fn number(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// One line for each file that is bad, and for each that is odd.
fn complain(files: &Merge) {
    for failure in files.failures() {
        say(&format!("{}: {}", failure.path.display(), failure.error));
    }
    for (path, oddities) in files.files() {
        let path = path.display();
        if let Some(at) = oddities.truncated_at {
            say(&format!(
                "warning: {path} ends inside a packet, at byte {at}; what is whole was read"
            ));
        }
        if oddities.untimed > 0 {
            let count = oddities.untimed;
            say(&format!(
                "warning: {path} has {count} packets without a time; they count as sent with the one before"
            ));
        }
        if oddities.off > 0 {
            let count = oddities.off;
            say(&format!(
                "warning: {path} has {count} packets whose time is more than an hour from those around them; they count as sent with the one before"
            ));
        }
        if oddities.orphans > 0 {
            let count = oddities.orphans;
            say(&format!(
                "warning: {path} has {count} packets of interfaces it does not describe; not read"
            ));
        }
    }
}

fn say(line: &str) {
    // Nobody is left to tell where standard error is gone.
    drop(writeln!(io::stderr(), "tds-tracer: {line}"));
}

/// A bar over the bytes of all files, on a terminal and where the total is known.
fn bar(options: &ReplayOptions) -> ProgressBar {
    let mut files = options.files.iter();
    if !io::stderr().is_terminal() || files.any(|path| path == Path::new(STDIN)) {
        return ProgressBar::hidden();
    }
    let sizes = options
        .files
        .iter()
        .filter_map(|path| fs::metadata(path).ok());
    let bar = ProgressBar::new(sizes.map(|size| size.len()).sum());
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
