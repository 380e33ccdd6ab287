//! The same packets through the kernel programs and through the library, which are to tell the same.

use std::collections::HashMap;

use tracer::probe::{Options, Record, trial::Trial};
use tracer_ebpf::{
    config::Config,
    event::{Counters, Event, Kind},
    flow::{Flow, FlowKey, Point, decided},
    loss::LossReason,
    observe::{self, Fate, Opens, Runs, Sighting, Sink},
    packet::{self, Link, Segment},
    short::ShortHeader,
    tally::{BUCKETS, Tally},
};

use crate::packets::{ACK, Below, SERVER, SYN, packet};

/// Every packet goes on to the next program.
const NEXT: i32 = -1;

/// What was told, without the times.
pub(crate) type Told = Vec<(Event, Vec<u8>)>;

pub(crate) fn without_times(mut event: Event) -> Event {
    for counters in [&mut event.client, &mut event.server] {
        counters.last_data = u64::from(counters.last_data != 0);
        counters.acked_at = u64::from(counters.acked_at != 0);
    }
    event.time = 0;
    event.born = 0;
    event
}

/// The same packets through the library.
#[derive(Default)]
pub(crate) struct Library {
    flows: HashMap<FlowKey, Flow>,
    /// Of the connection at hand; there is one at a time.
    tally: Tally,
    told: Told,
    losses: Vec<LossReason>,
}

impl Sink<[u8]> for Library {
    fn tell(&mut self, event: &Event, packet: &[u8], at: u32) {
        let run = &packet[at as usize..][..event.run_len as usize];
        self.told.push((without_times(*event), run.to_vec()));
    }

    fn relate_parts(&mut self, told: &observe::Told<'_>, packet: &[u8], runs: &Runs) {
        let event = told.event();
        let mut run = Vec::new();
        let payload = &packet[told.offset(event.seq) as usize..];
        runs.each_byte(event.seq, payload, |bytes| run.extend_from_slice(bytes));
        self.told.push((without_times(event), run));
    }

    fn tally(&mut self) -> Option<&mut Tally> {
        Some(&mut self.tally)
    }

    fn relate_tally(&mut self, told: &observe::Told<'_>) {
        let mut run = Vec::new();
        self.tally.write(&mut |bytes| run.extend_from_slice(bytes));
        let event = without_times(told.event());
        self.told.push((event, without_moments(&event, run)));
    }

    fn lose(&mut self, reason: LossReason) {
        self.losses.push(reason);
    }
}

/// The bytes of an event; of a tally, no moments and one sum of the times.
pub(crate) fn without_moments(event: &Event, run: Vec<u8>) -> Vec<u8> {
    if event.kind != Kind::Tally as u8 {
        return run;
    }
    let mut tally = Tally::read(&run).unwrap();
    let times = tally.in_use().map(|(_, count)| count).sum();
    let sums = &mut tally.sums;
    for moment in [
        &mut sums.max,
        &mut sums.told,
        &mut sums.start,
        &mut sums.sent,
        &mut sums.first_byte,
        &mut sums.cancelled,
    ] {
        *moment = u64::from(*moment != 0);
    }
    // The library's clock stands still.
    sums.max = 0;
    tally.times = [0; BUCKETS];
    tally.times[0] = times;
    let mut run = Vec::new();
    tally.write(&mut |bytes| run.extend_from_slice(bytes));
    run
}

/// The connection that a segment opens.
pub(crate) fn opened(segment: &Segment) -> Option<Flow> {
    let watched = |port| port == SERVER;
    let (from, to) = (segment.source_port(), segment.destination_port());
    let to_server = match observe::opens(segment, watched(from), watched(to)) {
        Opens::Nothing => return None,
        Opens::Watched { to_server } => Some(to_server),
        Opens::Foreign => None,
    };
    let mut flow = Flow::new(segment, to_server == Some(true), 1);
    flow.foreign = u8::from(to_server.is_none());
    Some(flow)
}

impl Library {
    fn see(&mut self, bytes: &[u8]) {
        let Ok(segment) = packet::walk(bytes, Link::Ethernet) else {
            return;
        };
        let seen = Sighting {
            now: 1,
            point: Point::new(1, true),
        };
        let old = self.flows.remove(&segment.key);
        let opens = old.is_none_or(|flow| flow.is_reopened_by(&segment));
        let Some(mut flow) = (if opens { opened(&segment) } else { old }) else {
            return;
        };
        if let Some(old) = old.filter(|_| opens && segment.has(ACK)) {
            flow.follow(&old.rival);
        }
        if flow.foreign != 0 {
            self.flows.insert(segment.key, flow);
            return;
        }
        let config = Config::default();
        if opens {
            self.tally = Tally::default();
        }
        let undecided = || decided::NO;
        let fate = observe::packet(&mut flow, &segment, bytes, seen, &config, undecided, self);
        if fate == Fate::Keep {
            self.flows.insert(segment.key, flow);
        }
    }
}

pub(crate) fn trial() -> Option<Trial> {
    match Trial::start(&Options::default()) {
        Ok(trial) => Some(trial),
        // Root may load programs: what the kernel refuses then is wrong.
        Err(error) if std::env::var_os("TDS_TRACER_REQUIRE_ROOT").is_some() => {
            panic!("the kernel programs cannot be run: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: the kernel programs cannot be run here: {error}");
            None
        }
    }
}

pub(crate) fn run(trial: &mut Trial, packets: &[Vec<u8>]) -> Told {
    let mut told = Told::new();
    for bytes in packets {
        let outcome = trial.run("tds_ether_in", bytes, 1).unwrap();
        assert_eq!(outcome.verdict, NEXT, "every packet passes");
    }
    trial.drain(|record| match record {
        Record::Event(event, run) => {
            told.push((without_times(event), without_moments(&event, run.to_vec())));
        }
        Record::Header(header) => told.push((without_times(whole(&header)), Vec::new())),
        _ => {}
    });
    told
}

/// A short record, as far as it says anything.
pub(crate) fn whole(header: &ShortHeader) -> Event {
    Event {
        key: header.key,
        ..header.event(&Event::default(), u32::from(header.number))
    }
}

/// What a short record says of an event.
pub(crate) fn in_short(event: &Event) -> Event {
    let when = |sent: &Counters| Counters {
        last_data: sent.last_data,
        ..Counters::default()
    };
    Event {
        key: event.key,
        kind: event.kind,
        direction: event.direction,
        marks: event.marks,
        tcp_flags: ACK,
        ttl: event.ttl,
        framing: event.framing,
        number: event.number,
        packet_len: event.packet_len,
        header: [event.header[0], event.header[1], 0, 0, 0, 0, 0, 0],
        client: when(&event.client),
        server: when(&event.server),
        ..Event::default()
    }
}

/// Both halves on the same packets; what they told.
pub(crate) fn both(packets: &[Vec<u8>]) -> Option<Told> {
    Some(both_in(&mut trial()?, packets))
}

/// The same in programs that are loaded already, on a connection that another one gives way to.
pub(crate) fn both_in(trial: &mut Trial, packets: &[Vec<u8>]) -> Told {
    let mut library = Library::default();
    trial.losses();
    // One that lives gives way only to a SYN that is answered.
    let mut answer = packet(Below::V4, false, SYN | ACK, 7, &[]);
    answer[42..46].copy_from_slice(&78_u32.to_be_bytes());
    run(trial, &[packet(Below::V4, true, SYN, 77, &[]), answer]);
    trial.losses();
    for bytes in packets {
        library.see(bytes);
    }
    let told = run(trial, packets);
    assert_eq!(told.len(), library.told.len(), "as many records");
    for (index, (kernel, library)) in told.iter().zip(&library.told).enumerate() {
        // A short record knows nothing of what was sent.
        let is_short = kernel.0.client.packets | kernel.0.server.packets == 0;
        if is_short {
            assert_eq!(kernel.0, in_short(&library.0), "record {index}");
        } else {
            assert_eq!(kernel, library, "record {index}");
        }
    }
    let lost: u64 = trial.losses().iter().map(|(_, count)| count).sum();
    assert_eq!(lost, library.losses.len() as u64, "{:?}", library.losses);
    told
}

pub(crate) fn kinds(told: &Told) -> Vec<Kind> {
    told.iter()
        .filter_map(|(event, _)| Kind::of(event.kind))
        .collect()
}
