//! What a connection has of its own, as numbers, in as few bytes as they need.

use crate::{
    record::{AttemptId, AttemptRef, ConnectionFacts, Nanos, Phase, PhaseName, Tds, Text, Waited},
    tds::prelogin::{Guid, TraceId},
};

/// What sets one connection's facts apart from those of others of the same two programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    duration: Option<Nanos>,
    client_pid: Option<u32>,
    spid: Option<u16>,
    controller: Option<Nanos>,
    token_fetch: Option<Nanos>,
    trace: Option<TraceId>,
    /// The attempt that it is part of, where that is not it alone.
    attempt: Option<(u64, u32)>,
    /// It is an attempt by itself, of the same name.
    alone: bool,
}

impl Own {
    /// Takes out of the facts what is the connection's own. What its phases sum up to is left out:
    /// the phases say it.
    pub(super) fn take(facts: &mut ConnectionFacts, trace: Option<TraceId>) -> Self {
        let (login, tds) = (&mut facts.login, facts.tds.as_mut());
        login.client_ns = None;
        login.server_ns = None;
        login.network_ns = None;
        login.slowest_phase = None;
        let id = facts.connection.id;
        let is_alone = |attempt: &AttemptRef| attempt.id.0 == id.0 && attempt.number == 1;
        let attempt = facts.attempt.take();
        let mut own = Self {
            alone: attempt.as_ref().is_some_and(is_alone),
            attempt: attempt
                .filter(|attempt| !is_alone(attempt))
                .map(|attempt| (attempt.id.0, attempt.number)),
            duration: login.duration_ns.take(),
            client_pid: login.client_pid.take(),
            ..Self::default()
        };
        if let Some(tds) = tds {
            own.spid = tds.spid.take();
            own.trace = trace;
            tds.connection_guid = None;
            tds.activity_guid = None;
            tds.activity_sequence = None;
        }
        if let Some(auth) = &mut facts.auth {
            own.controller = auth.controller_ns.take();
            let entra = auth.entra.as_mut();
            own.token_fetch = entra.and_then(|entra| entra.token_fetch_ns.take());
        }
        own
    }

    /// Puts it back.
    pub(super) fn give(&self, facts: &mut ConnectionFacts) {
        let login = &mut facts.login;
        login.duration_ns = self.duration;
        login.client_pid = self.client_pid;
        login.sum_up(&facts.phases);
        let alone = self.alone.then_some((facts.connection.id.0, 1));
        facts.attempt = self.attempt.or(alone).map(|(id, number)| AttemptRef {
            id: AttemptId(id),
            number,
        });
        if let Some(tds) = &mut facts.tds {
            tds.spid = self.spid;
            describe_trace(self.trace.as_ref(), tds);
        }
        if let Some(auth) = &mut facts.auth {
            auth.controller_ns = self.controller;
            if let Some(entra) = &mut auth.entra {
                entra.token_fetch_ns = self.token_fetch;
            }
        }
    }

    /// It, in few bytes: first, a bit each, which numbers there are.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let numbers = [
            self.duration.map(|nanos| nanos.0),
            self.client_pid.map(u64::from),
            self.spid.map(u64::from),
            self.controller.map(|nanos| nanos.0),
            self.token_fetch.map(|nanos| nanos.0),
            self.trace.map(|trace| trace.sequence.into()),
        ];
        let there = numbers.iter().map(Option::is_some);
        let there = there.chain([self.attempt.is_some(), self.alone]).rev();
        into.push(there.fold(0, |all, is_there| all << 1 | u8::from(is_there)));
        numbers
            .into_iter()
            .flatten()
            .for_each(|number| put(into, number));
        if let Some(trace) = &self.trace {
            into.extend(trace.connection.0);
            into.extend(trace.activity.0);
        }
        if let Some((id, number)) = self.attempt {
            into.extend(id.to_le_bytes());
            put(into, number.into());
        }
    }

    /// It, out of the bytes that [`Self::write`] made.
    pub(super) fn read(bytes: &mut &[u8]) -> Self {
        let there = bytes.split_off_first().copied().unwrap_or_default();
        let [
            duration,
            client_pid,
            spid,
            controller,
            token_fetch,
            sequence,
        ] = [0, 1, 2, 3, 4, 5].map(|bit| (there >> bit & 1 == 1).then(|| take(bytes)).flatten());
        Self {
            duration: duration.map(Nanos),
            client_pid: client_pid.and_then(|pid| pid.try_into().ok()),
            spid: spid.and_then(|spid| spid.try_into().ok()),
            controller: controller.map(Nanos),
            token_fetch: token_fetch.map(Nanos),
            trace: sequence.and_then(|sequence| {
                Some(TraceId {
                    connection: Guid(*bytes.split_off(..16)?.first_chunk()?),
                    activity: Guid(*bytes.split_off(..16)?.first_chunk()?),
                    sequence: sequence.try_into().ok()?,
                })
            }),
            attempt: (there >> 6 & 1 == 1).then(|| attempt(bytes)).flatten(),
            alone: there >> 7 & 1 == 1,
        }
    }
}

/// The attempt that is written there.
fn attempt(bytes: &mut &[u8]) -> Option<(u64, u32)> {
    let id = u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?);
    Some((id, take(bytes)?.try_into().ok()?))
}

/// How a client names its connection in the traces of both sides.
pub(super) fn describe_trace(trace: Option<&TraceId>, into: &mut Tds) {
    let named = |guid: Guid| (!guid.is_nil()).then(|| Text::shown(&guid));
    let Some(trace) = trace else { return };
    into.connection_guid = named(trace.connection);
    into.activity_guid = named(trace.activity);
    into.activity_sequence = into.activity_guid.is_some().then_some(trace.sequence);
}

const COMPLETE: u8 = 1;
const REPEATED: u8 = 1 << 1;
/// It begins where the one before it ends.
const FOLLOWS: u8 = 1 << 2;
const WAITED: u8 = 1 << 3;
/// What the client was waited for is what the other two leave of the duration.
const ADDS_UP: u8 = 1 << 4;
/// Where the phase's place among [`PhaseName::ALL`] begins.
const NAME: u32 = 5;

/// Writes a phase; `reached` is where the one before it ended, if that is at hand.
pub(super) fn write_phase(
    name: PhaseName,
    phase: &Phase,
    reached: Option<Nanos>,
    into: &mut Vec<u8>,
) {
    let rest = phase.waited.map(|waited| {
        let others = waited.server_ns.0.checked_add(waited.network_ns.0);
        others.and_then(|others| others.checked_add(waited.client_ns.0))
    });
    let adds_up = rest == Some(Some(phase.duration_ns.0));
    let flags = [
        (COMPLETE, phase.complete),
        (REPEATED, phase.retransmits > 0),
        (FOLLOWS, Some(phase.start_ns) == reached),
        (WAITED, phase.waited.is_some()),
        (ADDS_UP, adds_up),
    ];
    let flags = flags.into_iter().filter(|(_, is_so)| *is_so);
    let flags = flags.fold(0, |all, (flag, _)| all | flag);
    into.push(flags | (name as u8) << NAME);
    if flags & FOLLOWS == 0 {
        put(into, phase.start_ns.0);
    }
    put(into, phase.duration_ns.0);
    if let Some(waited) = &phase.waited {
        put(into, waited.server_ns.0);
        put(into, waited.network_ns.0);
        if !adds_up {
            put(into, waited.client_ns.0);
        }
    }
    if flags & REPEATED != 0 {
        put(into, phase.retransmits.into());
    }
}

/// The next phase out of the bytes that [`write_phase`] made.
pub(super) fn read_phase(bytes: &mut &[u8], reached: Nanos) -> Option<(PhaseName, Phase)> {
    let flags = *bytes.split_off_first()?;
    let name = *PhaseName::ALL.get(usize::from(flags >> NAME))?;
    let is = |flag: u8| flags & flag != 0;
    let start_ns = if is(FOLLOWS) {
        reached
    } else {
        Nanos(take(bytes)?)
    };
    let duration = take(bytes)?;
    let waited = if is(WAITED) {
        let (server, network) = (take(bytes)?, take(bytes)?);
        let client = if is(ADDS_UP) {
            duration.checked_sub(server)?.checked_sub(network)?
        } else {
            take(bytes)?
        };
        Some(Waited {
            client_ns: Nanos(client),
            server_ns: Nanos(server),
            network_ns: Nanos(network),
        })
    } else {
        None
    };
    let retransmits = if is(REPEATED) { take(bytes)? } else { 0 };
    let phase = Phase {
        start_ns,
        duration_ns: Nanos(duration),
        complete: is(COMPLETE),
        waited,
        retransmits: retransmits.try_into().ok()?,
    };
    Some((name, phase))
}

/// Writes a number, seven bits to a byte, the lowest first.
fn put(into: &mut Vec<u8>, number: u64) {
    let mut left = number;
    while left >= 0x80 {
        into.push(left as u8 | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

/// The number that [`put`] wrote.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 127, 128, 1 << 35, u64::MAX];
        let mut bytes = Vec::new();
        for number in numbers {
            put(&mut bytes, number);
        }
        let mut left = &bytes[..];
        assert_eq!(numbers.map(|_| take(&mut left)), numbers.map(Some));
        assert_eq!(take(&mut left), None);
    }

    #[test]
    fn what_is_a_connections_own_comes_back() {
        let trace = TraceId {
            connection: Guid([7; 16]),
            activity: Guid([9; 16]),
            sequence: 3,
        };
        let full = Own {
            duration: Some(Nanos(1 << 40)),
            client_pid: Some(u32::MAX),
            spid: Some(51),
            controller: Some(Nanos(0)),
            token_fetch: Some(Nanos(1)),
            trace: Some(trace),
            attempt: Some((u64::MAX, 300)),
            alone: false,
        };
        let some = Own {
            spid: Some(u16::MAX),
            alone: true,
            ..Own::default()
        };
        for own in [full, some, Own::default()] {
            let mut bytes = Vec::new();
            own.write(&mut bytes);
            let mut left = &bytes[..];
            assert_eq!(Own::read(&mut left), own);
            assert!(left.is_empty());
        }
    }

    #[test]
    fn a_phase_comes_back_whether_or_not_it_follows_and_adds_up() {
        let waits = [
            None,
            Some([10, 20, 30]),
            Some([0, 0, 60]),
            Some([1, 2, 3]),
            Some([u64::MAX, 1, 1]),
        ];
        for (waited, retransmits) in waits.into_iter().zip([0, 3, 0, u32::MAX, 1]) {
            for name in PhaseName::ALL {
                let phase = Phase {
                    start_ns: Nanos(7),
                    duration_ns: Nanos(60),
                    complete: retransmits == 0,
                    waited: waited.map(|[client, server, network]| Waited {
                        client_ns: Nanos(client),
                        server_ns: Nanos(server),
                        network_ns: Nanos(network),
                    }),
                    retransmits,
                };
                for reached in [Some(Nanos(7)), Some(Nanos(0)), None] {
                    let mut bytes = Vec::new();
                    write_phase(name, &phase, reached, &mut bytes);
                    let mut left = &bytes[..];
                    assert_eq!(
                        read_phase(&mut left, reached.unwrap_or_default()),
                        Some((name, phase.clone()))
                    );
                    assert!(left.is_empty());
                }
            }
        }
    }
}
