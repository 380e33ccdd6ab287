//! Connections of a capture, and the events the kernel would have told of them.

use std::{mem, net::IpAddr};

use foldhash::{HashMap, HashSet};
use tracer_ebpf::{
    bytes::Snapped,
    config::{Config, requests},
    event::{Direction, mark},
    flow::{Flow, Half},
    framing::{self, packet_type},
    observe::{self, Fate, Opens, Sighting},
    packet::{Link, Segment, Skip, tcp_flag, walk},
};

use self::{
    proof::{Held, Verdict},
    table::{Table, Tracked},
    teller::Teller,
};
pub use super::sighted::Sighted;
use super::{beside, checksum::tcp_checksum, datagrams, shown::Shown};
use crate::{
    ports::Ports,
    record::LossReason,
    session::{Carried, Decided, Engine, Input, Listener},
};

mod proof;
mod table;
mod teller;

/// Servers remembered as SQL Server's.
const MAX_SERVERS: usize = 65_536;
/// Clients remembered that were sent on, and how long, nanoseconds.
const MAX_SENT_ON: usize = 1024;
const SENT_ON: u64 = 60_000_000_000;
/// Checksums of each side looked at in one connection: enough for the vote on the vantage.
const MAX_CHECKSUMS: u8 = 6;

type Endpoint = ([u32; 4], u16);

/// Turns packets into the engine's input.
#[derive(Debug)]
pub struct Tracker {
    ports: Ports,
    servers: HashSet<Endpoint>,
    /// Clients that were sent on to a port of a host that is known by name only, and until when they may come.
    sent_on: HashMap<Endpoint, u64>,
    flows: Table,
    config: Config,
    /// Whether it is noted what of each packet is told.
    shows: bool,
    /// Of the packet at hand.
    shown: Option<Shown>,
}

impl Tracker {
    /// Watches these ports, and where they are learned whatever proves to be TDS. Each request is told, or they
    /// are counted.
    pub fn new(ports: Ports, tells_requests: bool) -> Self {
        Self {
            ports,
            servers: HashSet::default(),
            sent_on: HashMap::default(),
            flows: Table::new(),
            config: Config {
                requests: if tells_requests {
                    requests::TOLD
                } else {
                    requests::COUNTED
                },
                withhold_unframed: 0,
                ..Config::default()
            },
            shows: false,
            shown: None,
        }
    }

    /// Notes what of each packet is told ([`Self::shown`]), and withholds what the kernel does: what may be a part
    /// of anything is not told.
    #[must_use]
    pub fn showing(mut self) -> Self {
        self.shows = true;
        self.config.withhold_unframed = 1;
        self
    }

    /// What was told of the last packet; nothing where it is of no connection that is watched.
    pub fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// The connection's login is decided; its bytes are not needed any more.
    pub fn decided(&mut self, decided: Decided) {
        if let Some(tracked) = self.flows.get_mut(&decided.key)
            && tracked.flow.born == decided.born
        {
            tracked.decided = decided.as_flow();
        }
    }

    /// SQL Browser has announced that SQL Server listens there.
    pub fn announced(&mut self, (address, port): (IpAddr, u16)) {
        // What is only said leaves room for what is proven.
        if self.servers.len() < MAX_SERVERS / 2 {
            self.servers.insert((words(address), port));
        }
    }

    /// A server has sent a client on to a port somewhere.
    pub fn sent_on(&mut self, client: IpAddr, port: u16, now: u64) {
        if self.sent_on.len() >= MAX_SENT_ON {
            self.sent_on.retain(|_, until| *until >= now);
        }
        if self.ports.auto && self.sent_on.len() < MAX_SENT_ON {
            let until = now.saturating_add(SENT_ON);
            self.sent_on.insert((words(client), port), until);
        }
    }

    /// Whether a client was sent on to a port, and may come there now.
    fn is_sent_on(&self, client: Endpoint, server: Endpoint, now: u64) -> bool {
        let until = self.sent_on.get(&(client.0, server.1));
        until.is_some_and(|until| now <= *until)
    }

    /// The capture has ended: tells what every connection has carried, the last packets included.
    pub fn finish(&mut self, engine: &mut Engine, to: &mut dyn Listener) {
        for (key, tracked) in self.flows.watched() {
            let flow = &tracked.flow;
            let carried = Box::new(Carried {
                sent: [flow.client().sent, flow.server().sent],
                tally: tracked.tally.as_deref().copied(),
            });
            engine.on_event(Input::Counted(*key, flow.born, carried), to);
        }
    }

    /// Takes in one packet.
    pub fn packet(&mut self, seen: &Sighted<'_>, engine: &mut Engine, to: &mut dyn Listener) {
        self.shown = None;
        let (ethertype, kept) = seen.network;
        let bytes = Snapped {
            kept,
            wire_len: seen.wire_len,
        };
        let segment = match walk(&bytes, Link::Network(ethertype)) {
            Ok(segment) => segment,
            Err(skip) => {
                if let Some(reason) = skipped(skip) {
                    engine.on_event(Input::Loss(reason, 1), to);
                } else if let Some((service, datagram)) =
                    datagrams::read(seen.network, seen.time_ns)
                {
                    engine.on_event(service.input(datagram), to);
                } else if let Some(datagram) = beside::datagram(seen.network, seen.time_ns) {
                    engine.on_event(Input::Beside(datagram), to);
                }
                return;
            }
        };
        if let Some(beside) = beside::segment(&segment, kept, seen.time_ns) {
            engine.on_event(Input::Beside(beside), to);
        }
        let config = self.config;
        let shows = self.shows;
        let known = self.flows.get_mut(&segment.key);
        let course = known.map(|known| (known.course(&segment, seen), known));
        if let Some((_, known)) = &course
            && shows
        {
            self.shown = known.shows(&segment);
        }
        let tracked = match course {
            Some((Course::Nothing, _)) => return,
            Some((Course::GoesOn, known)) => known,
            Some((Course::Over { reopened }, _)) => {
                let Some(opened) = self.reopen(&segment, seen, reopened, engine, to) else {
                    return;
                };
                opened
            }
            None => {
                let Some(opened) = self.open(&segment, seen, engine, to) else {
                    return;
                };
                opened.copies.is_copy(&segment, seen);
                opened
            }
        };
        tracked.last_seen = seen.time_ns;
        if tracked.flow.foreign != 0 {
            return;
        }
        let mut noted = if shows { tracked.shows(&segment) } else { None };
        let told = noted.as_mut();
        let observed = tracked.observe(&segment, seen, &config, told, engine, to);
        self.shown = noted;
        self.settle(&segment, seen.time_ns, observed, engine, to);
    }

    /// Begins to track the connection that follows another one between the same ports.
    fn reopen(
        &mut self,
        segment: &Segment,
        seen: &Sighted<'_>,
        reopened: bool,
        engine: &mut Engine,
        to: &mut dyn Listener,
    ) -> Option<&mut Tracked> {
        let before = self.flows.get_mut(&segment.key)?;
        // The last packets of the one may come once more after the first of the next.
        let copies = mem::take(&mut before.copies);
        let rival = reopened.then_some(before.flow.rival);
        let opened = self.open(segment, seen, engine, to)?;
        opened.copies = copies;
        if let Some(rival) = rival.filter(|_| segment.has(tcp_flag::ACK)) {
            opened.flow.follow(&rival);
        }
        Some(opened)
    }

    /// Begins to track the connection of a segment, if it is to be watched.
    fn open(
        &mut self,
        segment: &Segment,
        seen: &Sighted<'_>,
        engine: &mut Engine,
        to: &mut dyn Listener,
    ) -> Option<&mut Tracked> {
        let (from, to_end) = (source(segment), destination(segment));
        let opens_now = segment.has(tcp_flag::SYN) && !self.sent_on.is_empty();
        let sent = |client, server| opens_now && self.is_sent_on(client, server, seen.time_ns);
        let from_watched = self.is_server(from) || sent(to_end, from);
        let to_watched = self.is_server(to_end) || sent(from, to_end);
        let opens = observe::opens(segment, from_watched, to_watched);
        let (to_server, candidate) = match opens {
            Opens::Watched { to_server } => (to_server, None),
            _ if self.ports.auto && proof::begins(segment, seen.network.1) => {
                (true, Some(Box::default()))
            }
            Opens::Foreign => (false, None),
            Opens::Nothing => return None,
        };
        let mut flow = Flow::new(segment, to_server, seen.time_ns);
        flow.foreign = u8::from(opens == Opens::Foreign && candidate.is_none());
        let missed = self
            .flows
            .insert(segment.key, Tracked::new(&flow, candidate));
        give_up(missed, engine, to);
        self.flows.get_mut(&segment.key)
    }

    fn is_server(&self, (address, port): Endpoint) -> bool {
        self.ports.contains(port) || (self.ports.auto && self.servers.contains(&(address, port)))
    }

    /// Does with a connection what its packet asks for.
    fn settle(
        &mut self,
        segment: &Segment,
        now: u64,
        observed: Observed,
        engine: &mut Engine,
        to: &mut dyn Listener,
    ) {
        let Observed {
            direction,
            fate,
            judged,
        } = observed;
        if let Some((verdict, more)) = judged {
            give_up(self.flows.hold(more, now), engine, to);
            match verdict {
                Verdict::Proven => self.proven(segment, direction, engine, to),
                Verdict::Stranger => self.estranged(segment, direction),
                Verdict::Open => {}
            }
        }
        if fate == Fate::Forget {
            self.flows.leave(&segment.key);
        }
    }

    /// Forgets what is no SQL Server's, unless its client's port would make it look joined late.
    fn estranged(&mut self, segment: &Segment, direction: Direction) {
        let (client, server) = ends(segment, direction);
        if self.is_server(client)
            && !self.is_server(server)
            && let Some(tracked) = self.flows.get_mut(&segment.key)
        {
            tracked.flow.foreign = 1;
            self.flows.release(&segment.key);
        } else {
            self.flows.remove(&segment.key);
        }
    }

    /// Remembers the server, and tells what was held back.
    fn proven(
        &mut self,
        segment: &Segment,
        direction: Direction,
        engine: &mut Engine,
        to: &mut dyn Listener,
    ) {
        let (_, server) = ends(segment, direction);
        if self.servers.len() < MAX_SERVERS {
            self.servers.insert(server);
        }
        let candidate = self.flows.release(&segment.key);
        for held in candidate
            .into_iter()
            .flat_map(|candidate| candidate.into_held())
        {
            held.tell(segment.key, engine, to);
        }
    }
}

/// What a packet was to its connection.
#[derive(Clone, Copy)]
struct Observed {
    direction: Direction,
    fate: Fate,
    /// Of a candidate: what it has shown, and how many bytes more are held back of it.
    judged: Option<(Verdict, usize)>,
}

/// What a packet means to a connection that is known.
enum Course {
    /// It is a packet of it.
    GoesOn,
    /// It was seen before, or comes too late.
    Nothing,
    /// It is another connection's: this one is over, or was opened anew by it.
    Over { reopened: bool },
}

impl Tracked {
    /// The packet as one of the connection, of which nothing is told yet.
    fn shows(&self, segment: &Segment) -> Option<Shown> {
        let flow = &self.flow;
        (flow.foreign == 0)
            .then(|| Shown::new(segment.key, flow.born, flow.direction(segment), segment))
    }

    /// What the packet means to the connection.
    fn course(&mut self, segment: &Segment, seen: &Sighted<'_>) -> Course {
        if self.flow.foreign == 0 && self.copies.is_copy(segment, seen) {
            return Course::Nothing;
        }
        let reopened = self.flow.is_reopened_by(segment);
        let is_over = self.is_over(seen.time_ns);
        if !reopened && !is_over {
            return Course::GoesOn;
        }
        // A straggler, and no connection of which only the end was seen.
        let ends = segment.flags & (tcp_flag::FIN | tcp_flag::RST) != 0;
        if !reopened && ends {
            return Course::Nothing;
        }
        Course::Over { reopened }
    }

    /// Tells the engine what there is to tell of a packet, or holds it back.
    fn observe(
        &mut self,
        segment: &Segment,
        seen: &Sighted<'_>,
        config: &Config,
        shown: Option<&mut Shown>,
        engine: &mut Engine,
        to: &mut dyn Listener,
    ) -> Observed {
        let bytes = Snapped {
            kept: seen.network.1,
            wire_len: seen.wire_len,
        };
        let sighting = Sighting {
            now: seen.time_ns,
            point: seen.point,
        };
        let direction = self.flow.direction(segment);
        // Copies are known by what they are, wherever they were captured.
        self.flow.half(direction).point = seen.point;
        let decided = self.decided;
        let held = self.held_bytes();
        let before = shown.as_ref().map(|_| *self.flow.half(direction));
        let mut teller = Teller {
            marks: if seen.untimed { mark::UNTIMED } else { 0 },
            candidate: self.candidate.as_deref_mut(),
            tally: &mut self.tally,
            untimed: &mut self.counted_untimed,
            counts: config.requests == requests::COUNTED,
            shown,
            engine,
            to,
        };
        let fate = observe::packet(
            &mut self.flow,
            segment,
            &bytes,
            sighting,
            config,
            || decided,
            &mut teller,
        );
        let checksums = &mut self.checksums[direction as usize];
        if *checksums < MAX_CHECKSUMS
            && let Some(checksum) = tcp_checksum(seen.network.0, bytes.kept)
        {
            *checksums += 1;
            teller.say(Held::Checksum(direction, checksum), segment.key);
        }
        let half = self.flow.half(direction);
        if let Some((shown, before)) = teller.shown.as_deref_mut().zip(before) {
            let payload = bytes.kept.get(segment.payload_at as usize..);
            shown.headers(&before, half, payload.unwrap_or_default());
        }
        let is_login = half.message == packet_type::LOGIN7 && half.sealed == 0;
        if is_login && direction == Direction::ToServer && is_cut(segment, bytes.kept) {
            teller.say(Held::CutLogin, segment.key);
        }
        if is_header_cut(half, segment, bytes.kept) {
            teller.say(Held::Cut(direction), segment.key);
        }
        let judged = self.candidate.as_mut().map(|candidate| {
            let verdict = candidate.judge(segment, direction, bytes.kept);
            (verdict, candidate.held_bytes() - held)
        });
        Observed {
            direction,
            fate,
            judged,
        }
    }
}

/// Counts logins that are missed because others took their places.
fn give_up(missed: u64, engine: &mut Engine, to: &mut dyn Listener) {
    if missed > 0 {
        engine.on_event(Input::Loss(LossReason::FlowTableFull, missed), to);
    }
}

/// Whether the snap length left out some of the payload.
fn is_cut(segment: &Segment, kept: &[u8]) -> bool {
    let end = segment.payload_at as usize + segment.payload_len as usize;
    segment.payload_len > 0 && kept.len() < end
}

/// Whether it left out a message header that the walk has come to, or some of it.
fn is_header_cut(half: &Half, segment: &Segment, kept: &[u8]) -> bool {
    let left = kept.len().saturating_sub(segment.payload_at as usize);
    let (next, kept_to) = (half.next_header, segment.start().add(left as u32));
    is_cut(segment, kept)
        && half.framed != 0
        && next.before(segment.end())
        && next.add(framing::HEADER_PREFIX).after(kept_to)
}

fn source(segment: &Segment) -> Endpoint {
    let key = &segment.key;
    if segment.from_a {
        (key.a, key.a_port)
    } else {
        (key.b, key.b_port)
    }
}

fn destination(segment: &Segment) -> Endpoint {
    let key = &segment.key;
    if segment.from_a {
        (key.b, key.b_port)
    } else {
        (key.a, key.a_port)
    }
}

/// Client and server of a segment that goes this way.
fn ends(segment: &Segment, direction: Direction) -> (Endpoint, Endpoint) {
    match direction {
        Direction::ToServer => (source(segment), destination(segment)),
        Direction::ToClient => (destination(segment), source(segment)),
    }
}

/// An address as connections have it.
pub(crate) fn words(address: IpAddr) -> [u32; 4] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let octets = address.octets();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    words
}

/// What is lost with a packet that cannot be walked; nothing where it is none of TCP.
fn skipped(skip: Skip) -> Option<LossReason> {
    match skip {
        Skip::NotTcp => None,
        Skip::Fragment => Some(LossReason::Fragment),
        Skip::Unreadable => Some(LossReason::HeaderUnreadable),
        Skip::ChainTooLong => Some(LossReason::HeaderChainTooLong),
    }
}

#[cfg(test)]
mod tests;
