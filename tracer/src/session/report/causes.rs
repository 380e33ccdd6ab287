//! `diagnosis`: what was seen of a login, for the causes to look at.

use crate::{
    record::{
        AuthKind, Close, CloseClass, CloseMeans, ConnectionFacts, Encryption, Login, Outcome,
        OutcomeKind, PhaseName, Side as RecordSide, Vantage,
    },
    session::{
        attempts::{Done, Handle, Who, of_process, of_socket},
        diagnosis::{
            Around, Closing, Ended, Lost, Me, Part, Place, Ranked, Symptoms, Wait, ranked,
            ranked_at_close,
        },
        host::{HostFacts, Question},
        input::Side,
        ledger::Ledger,
        services::{Controllers, Services},
        wire::{End, Ends, Wire},
    },
};

use super::{Conclusion, Report};

/// A login that took less, nanoseconds, and went well needs no neighbours to explain it.
const QUICK: u64 = 250_000_000;
/// A server may look for a domain controller so long before a login, nanoseconds.
const CONTROLLER_BEFORE: u64 = 1_000_000_000;

impl Report<'_> {
    /// Says why a login went wrong or was slow, or is not decided yet; where it is over, its neighbours
    /// are told.
    pub(in crate::session) fn diagnose(
        &mut self,
        facts: &mut ConnectionFacts,
        wire: &Wire,
        conclusion: &Conclusion,
        (handle, place, is_clients): (Handle, Option<Place>, bool),
    ) -> Box<[Ranked]> {
        let shared = &mut *self.shared;
        let at = conclusion.decision.at;
        let (beside, controllers) = asked(&mut shared.services, handle, facts, (wire, at));
        let mut wait = longest_wait(conclusion).filter(|_| !wire.untimed);
        if let (Some(wait), Some(place)) = (&mut wait, place) {
            wait.ahead = shared.neighbours.ahead(place, wait.phase);
        }
        let me = Me {
            started: wire.started,
            now: wire.last_seen.max(at),
            wait,
            kind: facts
                .auth
                .as_ref()
                .map_or(AuthKind::Unknown, |auth| auth.kind),
            outcome: facts.login.outcome,
            syn_again: wire
                .handshake
                .syn_retransmits()
                .is_some_and(|again| again > 0),
            resent: facts
                .phases
                .of_login()
                .iter()
                .any(|(name, phase)| *name != PhaseName::Handshake && phase.retransmits > 0),
            strict: facts
                .tds
                .as_ref()
                .is_some_and(|tds| tds.encryption == Some(Encryption::Strict)),
            round_trip: facts.tcp.rtt_ns.map(|rtt| rtt.0),
        };
        let owed = longest_debt(conclusion).filter(|_| !wire.untimed);
        let took = facts.login.duration_ns.unwrap_or_default().0;
        let is_well = facts.login.is_good() && took < QUICK.min(shared.config.slow);
        let around = match place.filter(|_| !is_well) {
            Some(place) => shared.neighbours.around(place, facts.server.port, &me),
            None => Around::default(),
        };
        let host = if is_well {
            HostFacts::default()
        } else {
            let identity = wire.identity();
            let end = |end: End| (end.address, end.port);
            self.listener.host(&Question {
                client: end(identity.client),
                server: end(identity.server),
                process: facts.process.as_ref().filter(|_| is_clients),
                from: wire.started,
                to: me.now,
                owed,
            })
        };
        let client = (wire.identity().client.address, facts.process.as_ref());
        if let Some(owed) = owed {
            let waits = of_process(&host.process, owed);
            let waits = waits.into_iter().chain(of_socket(&host.socket, owed));
            shared.attempts.waited(client, facts.connection.id, waits);
        }
        let resolved_name = shared.attempts.name(client, handle).cloned();
        let symptoms = Symptoms {
            around,
            resolved_name: resolved_name.as_ref(),
            beside: &beside,
            controllers,
            host,
            lost: lost(&conclusion.ledger, wire.started, at),
            ended: ended(wire, conclusion),
            acknowledged: me
                .wait
                .and_then(|wait| acknowledged(&conclusion.ledger, &wait)),
            answer_lacks: conclusion.answer_lacks,
            at: shared.config.wall(at),
            slow: shared.config.slow,
            ..described(facts)
        };
        let ranked = ranked(&symptoms);
        if let Some(place) = place.filter(|_| me.outcome.is_some()) {
            if let Some(redirect) = &facts.login.redirect {
                shared.neighbours.sent_on(place, redirect.port, me.now);
            }
            shared.neighbours.leave(place, &me, &server_waits(facts));
        }
        facts.diagnosis = ranked.iter().map(Ranked::told).collect();
        ranked.into()
    }
}

/// What other services were asked for the sake of a login that stands so at a moment, and what the server's host
/// asked of domain controllers.
fn asked(
    services: &mut Services,
    handle: Handle,
    facts: &ConnectionFacts,
    (wire, at): (&Wire, u64),
) -> (Vec<Done>, Controllers) {
    let tls = facts.tls.as_deref();
    let certificate = tls.and_then(|tls| tls.certificate.as_ref());
    let hosts = certificate.map_or(&[][..], |certificate| &certificate.crl_hosts);
    let is_servers = facts.connection.vantage == Vantage::Server;
    let process = facts.process.as_ref().filter(|_| is_servers);
    let server = Who::of(wire.identity().server.address, process);
    let from = wire.started.saturating_sub(CONTROLLER_BEFORE);
    let controllers = services.controllers(server, from, at);
    (services.of(handle, hosts, at), controllers)
}

/// What is told of causes at a connection's end: those of its login, and what the end shows.
pub(in crate::session) fn diagnose_close(
    facts: &mut ConnectionFacts,
    (close, ends): (&Close, &Ends),
    known: &[Ranked],
) {
    let abnormal = close.class == CloseClass::Abnormal;
    let all = if abnormal || facts.login.late_reply_ns.is_some() {
        let symptoms = Symptoms {
            late_reply: facts.login.late_reply_ns.map(|late| late.0),
            closing: Some(Closing {
                abnormal,
                reset: close.how == CloseMeans::Rst,
                foreign: close.middlebox == Some(true),
                idle: close.idle_ns.unwrap_or_default().0.max(ends.pause()),
                copies: ends.copies(),
                probes: close.keep_alive_probes.unwrap_or_default(),
                in_flight: close.requests_in_flight.unwrap_or_default(),
            }),
            ..described(facts)
        };
        ranked_at_close(&symptoms, known)
    } else {
        known.to_vec()
    };
    facts.diagnosis = all.iter().map(Ranked::told).collect();
}

/// What the record says already.
fn described(facts: &ConnectionFacts) -> Symptoms<'_> {
    let Login {
        outcome,
        confidence,
        duration_ns,
        owed_by,
        error,
        further_errors,
        stranger,
        loser,
        server_name,
        database,
        ..
    } = &facts.login;
    let phases = facts.phases.of_login();
    let parts = phases.iter().map(|(name, phase)| Part {
        name: *name,
        duration: phase.duration_ns.0,
        complete: phase.complete,
        waited: phase.waited,
        resent: phase.retransmits,
    });
    Symptoms {
        outcome: *outcome,
        belief: confidence.map_or(1.0, |confidence| confidence.0),
        stranger: *stranger,
        loser: *loser == Some(true),
        duration: duration_ns.unwrap_or_default().0,
        parts: parts.collect(),
        owed_by: *owed_by,
        tcp: facts.tcp.clone(),
        errors: error.iter().chain(further_errors).copied().collect(),
        tds: facts.tds.as_ref(),
        tls: facts.tls.as_deref().map(|written| &**written),
        auth: facts.auth.as_ref(),
        server_name: server_name.as_ref(),
        database: database.as_ref(),
        partial: facts.connection.partial,
        ..Symptoms::default()
    }
}

/// The longest wait for the server.
fn longest_wait(conclusion: &Conclusion) -> Option<Wait> {
    let at = conclusion.decision.at;
    let mut longest: Option<Wait> = None;
    let mut asked = None;
    let mut consider = |asked: u64, until: u64, answered| {
        let phase = phase_at(conclusion, asked);
        let wait = Wait {
            phase,
            asked,
            until,
            answered,
            ahead: 0,
        };
        if longest.is_none_or(|longest| wait.took() > longest.took()) {
            longest = Some(wait);
        }
    };
    for step in conclusion.ledger.steps() {
        if step.at > at {
            break;
        }
        match step.side {
            Side::ToClient => {
                if let Some(since) = asked.take() {
                    consider(since, step.at, true);
                }
            }
            Side::ToServer => {
                asked = (step.owed_by == Side::ToClient).then_some(step.at);
            }
        }
    }
    if let Some(since) = asked {
        consider(since, at, false);
    }
    longest
}

/// How soon the server's kernel acknowledged the question of a wait, where it did before the answer.
fn acknowledged(ledger: &Ledger, wait: &Wait) -> Option<(PhaseName, u64)> {
    let at = ledger.acknowledged_between(wait.asked, wait.until)?;
    Some((wait.phase, at - wait.asked))
}

/// The longest time for which the client owed a message: from when to when.
fn longest_debt(conclusion: &Conclusion) -> Option<(u64, u64)> {
    let at = conclusion.decision.at;
    let steps = conclusion.ledger.steps().iter();
    let steps: Vec<_> = steps.take_while(|step| step.at <= at).collect();
    let ends = steps.iter().skip(1).map(|step| step.at).chain([at]);
    let debts = steps.iter().zip(ends);
    let debts = debts.filter(|(step, _)| step.owed_by == Side::ToServer);
    let debts = debts.map(|(step, end)| (step.at, end));
    debts.max_by_key(|(since, until)| until.saturating_sub(*since))
}

/// The phase that a question belongs to: it begins no later, and ends after it.
fn phase_at(conclusion: &Conclusion, asked: u64) -> PhaseName {
    let mut spans = conclusion.spans.iter();
    let span = spans.find(|span| asked >= span.from && asked < span.to);
    span.map_or(conclusion.phase, |span| span.name)
}

/// How long the server was waited for in each phase.
fn server_waits(facts: &ConnectionFacts) -> Vec<(PhaseName, u64)> {
    let phases = facts.phases.of_login().into_iter();
    let waits = phases.map(|(name, phase)| Some((name, phase.waited?.server_ns.0)));
    waits.flatten().collect()
}

/// What was sent again.
fn lost(ledger: &Ledger, from: u64, to: u64) -> Lost {
    let repeats: Vec<_> = ledger
        .repeats()
        .iter()
        .filter(|repeat| repeat.again <= to)
        .collect();
    let copies = |of: &&crate::session::ledger::Repeat| {
        let same = repeats
            .iter()
            .filter(|other| other.side == of.side && other.first == of.first);
        same.count()
    };
    // The first of those that were sent as often.
    let Some(most) = repeats.iter().rev().copied().max_by_key(copies) else {
        return Lost::default();
    };
    let mut steps = ledger.steps().iter();
    let for_good =
        !steps.any(|step| step.side != most.side && step.at > most.first && step.at <= to);
    // The end of what is under way is sent once more to find out what is lost (RFC 8985 section 7).
    let often = repeats.iter().filter(|repeat| copies(repeat) > 1);
    let shortest = often.map(|repeat| repeat.length).min();
    Lost {
        time: ledger.repeated(from, to),
        copies: u32::try_from(copies(&most)).unwrap_or(u32::MAX),
        by: Some(side(most.side)),
        length: most.length,
        shortest: shortest.unwrap_or(most.length),
        for_good,
    }
}

/// Who ended a login that got no answer.
fn ended(wire: &Wire, conclusion: &Conclusion) -> Option<Ended> {
    let decision = conclusion.decision;
    if decision.outcome.kind() != OutcomeKind::Ended || decision.outcome == Outcome::Unreachable {
        return None;
    }
    let last = conclusion
        .ledger
        .last_step()
        .map_or(wire.started, |step| step.at);
    let after = decision.at.saturating_sub(last);
    let fin = wire.ends.first_fin();
    let reset = wire.ends.reset();
    match (fin, reset) {
        (fin, Some(reset)) if fin.is_none_or(|fin| fin.at > reset.at) => Some(Ended {
            by: side(reset.side),
            reset: true,
            foreign: wire.is_foreign_reset() == Some(true),
            bare: wire.is_bare_reset(),
            after,
        }),
        (Some(fin), _) => Some(Ended {
            by: side(fin.side),
            reset: false,
            foreign: false,
            bare: false,
            after,
        }),
        _ => None,
    }
}

const fn side(side: Side) -> RecordSide {
    match side {
        Side::ToServer => RecordSide::Client,
        Side::ToClient => RecordSide::Server,
    }
}
