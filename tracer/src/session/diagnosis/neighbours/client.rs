//! The logins of one client.

use std::collections::VecDeque;

use super::{Around, Me};

const SECOND: u64 = 1_000_000_000;
/// Beginnings remembered.
const STARTS: usize = 64;
/// Ports that it was sent on to.
const PORTS: usize = 4;
/// A login that begins so soon after the one before it ended follows that.
const AT_ONCE: u64 = 50_000_000;
/// Where it was sent on to is tried within this time.
const SENT_ON: u64 = 30 * SECOND;

/// A client, by its address: processes behind one address are one.
#[derive(Debug, Default)]
pub(super) struct Client {
    in_flight: u32,
    /// When its last logins began.
    starts: VecDeque<u64>,
    /// When the last one ended.
    ended: Option<u64>,
    /// How many, one after the other, each began as soon as the one before it had ended.
    serial: u32,
    ports: VecDeque<(u16, u64)>,
}

impl Client {
    pub(super) fn begins(&mut self, started: u64) {
        let follows = self
            .ended
            .is_some_and(|ended| started >= ended && started - ended <= AT_ONCE);
        self.serial = if self.in_flight == 0 && follows {
            self.serial.saturating_add(1)
        } else {
            0
        };
        self.in_flight = self.in_flight.saturating_add(1);
        keep(&mut self.starts, started, STARTS);
    }

    pub(super) fn ends(&mut self, now: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended = Some(now);
    }

    pub(super) fn sent_on(&mut self, port: u16, now: u64) {
        keep(&mut self.ports, (port, now), PORTS);
    }

    pub(super) fn describe(&self, port: u16, me: &Me, around: &mut Around) {
        let near = |at: &&u64| at.abs_diff(me.started) <= SECOND;
        around.begun_by_client = count(self.starts.iter().filter(near).count().saturating_sub(1));
        around.in_flight_of_client = self.in_flight.saturating_sub(1);
        around.one_after_the_other = self.serial;
        let mut ports = self.ports.iter();
        around.was_sent_here =
            ports.any(|(to, at)| *to == port && me.started >= *at && me.started - at <= SENT_ON);
    }
}

/// Keeps the last ones.
pub(super) fn keep<T>(kept: &mut VecDeque<T>, value: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(value);
}

pub(super) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
