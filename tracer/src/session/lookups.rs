//! Exchanges with SQL Browser: who asked what, and what came of it.

use std::{cmp::Reverse, collections::BinaryHeap, net::IpAddr};

use foldhash::HashMap;

use super::{
    exchange::{Announced, Exchange, Fate},
    input::{Datagram, Said},
    report::Report,
};
use crate::{
    record::Text,
    tds::browser::{Answer, Kind, Question, Told},
};

/// Exchanges known at once. Whoever asks more than this within seconds looks for servers.
const MAX_EXCHANGES: usize = 4096;
/// The part of them that gives way at once.
const EVICTED_SHARE: usize = 16;
/// The same from one port: a scan asks a whole network from one.
const MAX_OF_ASKER: usize = 512;
/// Instances that one answer announces.
const MAX_ANNOUNCED: usize = 64;

/// A client's end: its address, and the port it asks from.
type Asker = (IpAddr, u16);

/// What was asked from one port.
#[derive(Debug)]
struct Own {
    exchanges: Vec<Exchange>,
    /// When is looked after them.
    due: u64,
}

/// The exchanges that go on, and those that are just over.
#[derive(Debug, Default)]
pub(in crate::session) struct Lookups {
    askers: HashMap<Asker, Own>,
    /// Exchanges of all of them.
    count: usize,
    /// When is looked after whom, the next one first; what an asker's own time contradicts is old.
    timers: BinaryHeap<Reverse<(u64, Asker)>>,
}

impl Lookups {
    /// Takes a datagram in; what it announces.
    pub(in crate::session) fn take(
        &mut self,
        datagram: &Datagram<'_>,
        report: &mut Report<'_>,
    ) -> Vec<Announced> {
        match datagram.said {
            Said::Question(bytes) => {
                // What SQL Browser would not know as a question it does not answer either.
                if let Ok(question) = Question::decode(bytes) {
                    self.asked(datagram, question, report);
                }
                Vec::new()
            }
            Said::Answer { kept, len } => self.answered(datagram, kept, len, report),
            Said::Unreachable => {
                self.unreachable(datagram, report);
                Vec::new()
            }
        }
    }

    fn asked(&mut self, datagram: &Datagram<'_>, question: Question, report: &mut Report<'_>) {
        let Datagram {
            time,
            asker,
            browser,
            process,
            ..
        } = *datagram;
        if let Some(own) = self.askers.get_mut(&asker) {
            let mut all = own.exchanges.iter_mut().rev();
            let same = all.find(|exchange| exchange.is_of(&question, browser));
            if same.is_some_and(|exchange| exchange.asked_again(time)) {
                return;
            }
            if own.exchanges.len() >= MAX_OF_ASKER {
                self.give_up_oldest(asker, time, report);
            }
        }
        if self.count >= MAX_EXCHANGES {
            self.make_room(time, report);
        }
        let exchange = Exchange::new(question, browser, time, process);
        report.asks(asker, &exchange);
        let due = exchange.due();
        let own = self.askers.entry(asker).or_insert_with(|| Own {
            exchanges: Vec::new(),
            due: u64::MAX,
        });
        own.exchanges.push(exchange);
        self.count += 1;
        if due < own.due {
            own.due = due;
            self.timers.push(Reverse((due, asker)));
        }
        if self.timers.len() > 2 * MAX_EXCHANGES {
            let askers = &self.askers;
            self.timers.retain(|Reverse((at, asker))| {
                let own = askers.get(asker);
                own.is_some_and(|own| own.due == *at)
            });
        }
    }

    fn answered(
        &mut self,
        datagram: &Datagram<'_>,
        kept: &[u8],
        len: usize,
        report: &mut Report<'_>,
    ) -> Vec<Announced> {
        let Datagram {
            time,
            asker,
            browser,
            ..
        } = *datagram;
        let answer = Answer::decode(kept, len);
        let own = self.askers.get_mut(&asker);
        let own = own.into_iter().flat_map(|own| &mut own.exchanges).rev();
        let open = own.filter(|exchange| exchange.is_open());
        // Of those that it answers best the one that was asked first.
        let best = open.max_by_key(|exchange| {
            let fits = answer
                .as_ref()
                .is_ok_and(|answer| exchange.fits(&answer.told));
            (fits, exchange.browser == browser)
        });
        let Some(exchange) = best else {
            return Vec::new();
        };
        let understood = answer
            .ok()
            .filter(|answer| exchange.is_answered_by(&answer.told));
        let Some(answer) = understood else {
            exchange.misunderstood();
            return Vec::new();
        };
        exchange.answered(&answer, browser, time);
        let announced = if answer.lies || !exchange.fits(&answer.told) {
            Vec::new()
        } else {
            announced(exchange, &answer.told, asker.0, browser)
        };
        // Some clients ask one host as if it were all of them: nobody else answers then.
        if exchange.question.kind != Kind::Broadcast || exchange.browser == browser {
            exchange.ends(Fate::Answered, time);
            report.lookup(asker, exchange, &announced, time, false);
        }
        announced
    }

    fn unreachable(&mut self, datagram: &Datagram<'_>, report: &mut Report<'_>) {
        let Datagram {
            time,
            asker,
            browser,
            ..
        } = *datagram;
        let own = self.askers.get_mut(&asker);
        let own = own.into_iter().flat_map(|own| &mut own.exchanges);
        let mut open = own.filter(|exchange| exchange.is_open() && exchange.browser == browser);
        if let Some(exchange) = open.next() {
            exchange.ends(Fate::Unreachable, time);
            report.lookup(asker, exchange, &[], time, false);
        }
    }

    /// Lets time pass up to `now`: what has waited long enough is told, at its own time.
    pub(in crate::session) fn pass_time(&mut self, now: u64, report: &mut Report<'_>) {
        while let Some(Reverse((at, asker))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let Some(own) = self.askers.get_mut(&asker).filter(|own| own.due == at) else {
                continue;
            };
            let before = own.exchanges.len();
            own.exchanges.retain_mut(|exchange| {
                if exchange.due() > at {
                    return true;
                }
                if exchange.is_open() {
                    exchange.ends(exchange.fate_in_time(), at);
                    report.lookup(asker, exchange, &[], at, false);
                }
                false
            });
            self.count -= before - own.exchanges.len();
            if let Some(due) = own.exchanges.iter().map(Exchange::due).min() {
                own.due = due;
                self.timers.push(Reverse((due, asker)));
            } else {
                self.askers.remove(&asker);
            }
        }
    }

    /// Makes room: those that have waited longest are told as they stand.
    fn make_room(&mut self, now: u64, report: &mut Report<'_>) {
        let all = self.askers.iter();
        let mut all: Vec<_> = all
            .flat_map(|(asker, own)| {
                let asked = own.exchanges.iter().map(|exchange| exchange.asked);
                asked.map(|asked| (asked, *asker))
            })
            .collect();
        all.sort_unstable();
        for (_, asker) in all.into_iter().take(MAX_EXCHANGES / EVICTED_SHARE) {
            self.give_up_oldest(asker, now, report);
        }
    }

    /// The first exchange of an asker is told as it stands.
    fn give_up_oldest(&mut self, asker: Asker, now: u64, report: &mut Report<'_>) {
        let Some(own) = self.askers.get_mut(&asker) else {
            return;
        };
        let all = own.exchanges.iter().enumerate();
        let Some((place, _)) = all.min_by_key(|(_, exchange)| exchange.asked) else {
            return;
        };
        let exchange = own.exchanges.remove(place);
        self.count -= 1;
        if exchange.is_open() {
            report.lookup(asker, &exchange, &[], now, true);
        }
        if own.exchanges.is_empty() {
            self.askers.remove(&asker);
        }
    }

    /// Nobody watches any more: every exchange is told as far as it came.
    pub(in crate::session) fn finish(&mut self, now: u64, report: &mut Report<'_>) {
        let all = self.askers.drain();
        let mut open: Vec<_> = all
            .flat_map(|(asker, own)| {
                own.exchanges
                    .into_iter()
                    .map(move |exchange| (asker, exchange))
            })
            .filter(|(_, exchange)| exchange.is_open())
            .collect();
        open.sort_by_key(|(asker, exchange)| (exchange.asked, *asker));
        for (asker, exchange) in open {
            report.lookup(asker, &exchange, &[], now, true);
        }
        *self = Self::default();
    }
}

/// What an answer announces to who asked: at the address that was asked, and at the one it came from.
fn announced(exchange: &Exchange, told: &Told<'_>, client: IpAddr, from: IpAddr) -> Vec<Announced> {
    let asked = &exchange.question;
    let listening: Vec<(u16, Text)> = match told {
        Told::Dac(port) => {
            let name = asked.instance.as_deref();
            name.map(|name| (*port, Text::from(name)))
                .into_iter()
                .collect()
        }
        Told::Instances(instances) => instances
            .clone()
            .filter(|instance| exchange.is_about(instance))
            .filter_map(|instance| Some((instance.port?, Text::from(instance.name?.as_str()))))
            .take(MAX_ANNOUNCED)
            .collect(),
    };
    // A broadcast asks no address that anybody listens on.
    let asked_at = (asked.kind != Kind::Broadcast).then_some(exchange.browser);
    let other = asked_at.filter(|address| *address != from);
    let addresses = [Some(from), other];
    let each = addresses.into_iter().flatten().flat_map(|address| {
        listening.iter().map(move |(port, instance)| Announced {
            client,
            server: (address, *port),
            instance: instance.clone(),
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{
        record::{Body, LookupOutcome, Record},
        session::{Config, Decided, Listener, report::Shared},
    };

    #[derive(Default)]
    struct Heard(Vec<(LookupOutcome, bool)>);

    impl Listener for Heard {
        fn record(&mut self, record: Record) {
            if let Body::Lookup(record) = record.body {
                let lookup = record.lookup;
                self.0.push((lookup.outcome, lookup.partial.is_some()));
            }
        }

        fn decided(&mut self, _: Decided) {}
    }

    fn asks(client: u32, port: u16, browser: u32, time: u64) -> Datagram<'static> {
        Datagram {
            time,
            asker: (IpAddr::from(client.to_be_bytes()), port),
            browser: IpAddr::from(browser.to_be_bytes()),
            said: Said::Question(b"\x04A\0"),
            process: None,
        }
    }

    /// Asks so often; every question is told once, and no more than so many are known at once.
    fn flood(datagram: impl Fn(u32) -> Datagram<'static>, most: usize) {
        const QUESTIONS: u32 = 10_000;
        let mut shared = Shared::new(Config::default());
        let mut heard = Heard::default();
        let mut lookups = Lookups::default();
        for number in 0..QUESTIONS {
            let datagram = datagram(number);
            lookups.pass_time(datagram.time, &mut shared.report(&mut heard));
            lookups.take(&datagram, &mut shared.report(&mut heard));
            let known = lookups.askers.values().map(|own| own.exchanges.len());
            assert_eq!(known.sum::<usize>(), lookups.count);
            assert!(lookups.count <= most);
            assert!(lookups.timers.len() <= 2 * MAX_EXCHANGES);
        }
        lookups.finish(0, &mut shared.report(&mut heard));
        assert_eq!(heard.0.len(), QUESTIONS as usize);
        let timeout = |told: &(LookupOutcome, bool)| *told == (LookupOutcome::Timeout, true);
        assert!(heard.0.iter().all(timeout));
    }

    #[test]
    fn a_flood_of_questions_takes_bounded_memory_and_each_is_told() {
        flood(|number| asks(number, 1, 2, 1_000_000), MAX_EXCHANGES);
        flood(|number| asks(1, 1, number, 1_000_000), MAX_OF_ASKER);
        // The capture's clock runs backwards.
        flood(
            |number| asks(1, 1, number, 1_000_000 - u64::from(number)),
            MAX_OF_ASKER,
        );
    }

    #[test]
    fn whoever_has_waited_long_enough_is_forgotten() {
        let mut shared = Shared::new(Config::default());
        let mut heard = Heard::default();
        let mut lookups = Lookups::default();
        for number in 0..100 {
            let datagram = asks(number, 1, 2, 1_000_000_000 * u64::from(number));
            lookups.pass_time(datagram.time, &mut shared.report(&mut heard));
            lookups.take(&datagram, &mut shared.report(&mut heard));
            assert!(lookups.count <= 6 && lookups.timers.len() <= 6);
        }
        lookups.pass_time(u64::MAX, &mut shared.report(&mut heard));
        assert_eq!(
            lookups.count + lookups.askers.len() + lookups.timers.len(),
            0
        );
        assert_eq!(heard.0, [(LookupOutcome::Timeout, false); 100]);
    }
}
