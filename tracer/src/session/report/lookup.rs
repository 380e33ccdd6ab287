//! `lookup`.

use std::net::IpAddr;

use super::Report;
use crate::{
    record::{
        AskedServer, Body, Endpoint, Lookup, LookupAnswer, LookupKind, LookupOutcome, LookupRecord,
        Nanos, PartKind, PartOutcome, Target, Text,
    },
    session::{
        attempts::{Done, LookedUp, Question, Who},
        exchange::{Announced, Exchange, Fate},
    },
    tds::browser::{Instance, Kind},
};

impl Report<'_> {
    /// Tells an exchange with SQL Browser. `partial`: nobody waited to its end.
    pub(in crate::session) fn lookup(
        &mut self,
        (address, port): (IpAddr, u16),
        exchange: &Exchange,
        announced: &[Announced],
        at: u64,
        partial: bool,
    ) {
        let answer = answer(exchange);
        let server = AskedServer {
            address: exchange.browser,
            port: answer.as_ref().and_then(|answer| answer.port),
            instance: answer
                .as_ref()
                .and_then(|answer| answer.instance.clone())
                .or_else(|| text(exchange.question.instance.as_ref())),
        };
        let lookup = Lookup {
            kind: kind(exchange.question.kind),
            instance: text(exchange.question.instance.as_ref()),
            outcome: match exchange.fate_in_time() {
                Fate::Answered => LookupOutcome::Answered,
                Fate::Unreachable => LookupOutcome::Unreachable,
                Fate::Open | Fate::Timeout => LookupOutcome::Timeout,
            },
            duration_ns: Nanos(exchange.duration(at)),
            requests: exchange.requests,
            answer,
            answers: Some(exchange.answers).filter(|count| *count > 0),
            instances: Some(exchange.instances).filter(|count| *count > 0),
            answered_from: exchange.answered_from,
            instance_mismatch: exchange.mismatch.then_some(true),
            malformed: exchange.malformed.then_some(true),
            partial: partial.then_some(true),
        };
        self.begins_attempt((address, port), exchange, announced, (&lookup, &server));
        let client = Endpoint { address, port };
        let body = Body::Lookup(LookupRecord {
            client,
            server,
            process: exchange.process.clone(),
            lookup,
        });
        self.tell(at, body);
    }

    /// A question to SQL Browser is asked that was not open before.
    pub(in crate::session) fn asks(&mut self, (address, port): (IpAddr, u16), exchange: &Exchange) {
        let instance = text(exchange.question.instance.as_ref());
        if let Some(instance) = instance.filter(|_| self.shared.config.attempts && is_one(exchange))
        {
            let who = Who::of(address, exchange.process.as_ref());
            let question = Question::new((port, exchange.browser), instance, exchange.asked);
            self.shared.attempts.asks(who, question);
        }
    }

    /// Who asks for an instance means to log in there, and who asks for all of them perhaps.
    fn begins_attempt(
        &mut self,
        (client, port): (IpAddr, u16),
        exchange: &Exchange,
        announced: &[Announced],
        (lookup, server): (&Lookup, &AskedServer),
    ) {
        // Who asks which there are may only have looked, unless it connects to what it was told.
        let only_looked = !is_one(exchange);
        let told = !announced.is_empty();
        if !self.shared.config.attempts || (only_looked && !told) {
            return;
        }
        let end = exchange.asked.saturating_add(lookup.duration_ns.0);
        let outcome = PartOutcome::Lookup(lookup.outcome);
        let done = Done {
            name: lookup
                .instance
                .clone()
                .or_else(|| server.instance.clone().filter(|_| exchange.instances == 1)),
            heard: lookup.outcome == LookupOutcome::Answered,
            ..Done::new(PartKind::Lookup, (exchange.asked, end), outcome)
        };
        let target = Target {
            name: None,
            instance: server
                .instance
                .clone()
                .filter(|_| !only_looked || exchange.instances == 1),
            port: server.port,
        };
        let places = announced.iter().map(|announced| announced.server);
        let who = Who::of(client, exchange.process.as_ref());
        let resolutions = &mut self.shared.resolutions;
        let resolved = resolutions.followed(who, exchange.browser, exchange.asked);
        self.shared.attempts.looked_up(LookedUp {
            who,
            client,
            port,
            browser: exchange.browser,
            resolved,
            only_looked,
            done,
            target,
            announced: places
                .map(|(address, port)| (Some(address), port))
                .collect(),
        });
    }
}

/// Whether one instance is asked for.
fn is_one(exchange: &Exchange) -> bool {
    matches!(exchange.question.kind, Kind::Instance | Kind::Dac)
}

fn kind(kind: Kind) -> LookupKind {
    match kind {
        Kind::Broadcast => LookupKind::Broadcast,
        Kind::List => LookupKind::List,
        Kind::Instance => LookupKind::Instance,
        Kind::Dac => LookupKind::Dac,
    }
}

fn answer(exchange: &Exchange) -> Option<LookupAnswer> {
    if exchange.instance.is_none() && exchange.dac_port.is_none() {
        return None;
    }
    let none = Instance::default();
    let instance = exchange.instance.as_ref().unwrap_or(&none);
    Some(LookupAnswer {
        server_name: text(instance.server_name.as_ref()),
        instance: text(instance.name.as_ref()),
        version: text(instance.version.as_ref()),
        clustered: instance.clustered,
        port: instance.port.or(exchange.dac_port),
        pipe: text(instance.pipe.as_ref()),
    })
}

fn text(name: Option<&String>) -> Option<Text> {
    name.map(|name| Text::from(name.as_str()))
}
