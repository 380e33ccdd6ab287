//! `incident`, and what incidents are told of logins.

use std::hash::Hash;

use super::{Conclusion, Report};
use crate::{
    record::{
        Affected, AffectedClient, AffectedName, AffectedServer, Body, Confidence, ConnectionFacts,
        Count, Incident, IncidentAction, IncidentId, IncidentLogin, IncidentRecord, Nanos, Outcome,
        Text, Vantage,
    },
    session::{
        diagnosis::Ranked,
        incidents::{Ended, Login, Many, News, Seen},
        wire::Wire,
    },
};

/// Clients, servers, processes and applications that are told, of each.
const TOP: usize = 5;
/// What is no login that went wrong.
const NO_TROUBLE: [&str; 3] = ["probe", "not_sql_server", "parallel_race_lost"];

impl Report<'_> {
    /// Counts a login that is decided or pending, for incidents; the one that it is part of. `again`: it
    /// was counted when it was pending.
    pub(in crate::session) fn counts(
        &mut self,
        (facts, wire): (&ConnectionFacts, &Wire),
        conclusion: &Conclusion,
        causes: &[Ranked],
        again: bool,
    ) -> Option<IncidentId> {
        if !self.shared.incidents.are_wanted() || wire.untimed {
            return None;
        }
        let ended = ended(facts, wire, conclusion, self.shared.now);
        let login = match trouble(facts, causes) {
            Some(why) => Login::Wrong(Box::new(Seen {
                ended,
                why: why.clone(),
            })),
            None => Login::Other(ended),
        };
        self.shared.incidents.login(&login, again)
    }

    /// Tells what is new of incidents.
    pub(in crate::session) fn incidents(&mut self) {
        for news in self.shared.incidents.take_news() {
            let at = news.at;
            if let Some(incident) = self.incident(news) {
                let body = Body::Incident(Box::new(IncidentRecord { incident }));
                self.tell(at, body);
            }
        }
    }

    fn incident(&self, news: News) -> Option<Incident> {
        let News {
            at,
            action,
            outcome,
            scope,
            error,
            window,
            open,
        } = news;
        let tally = &open.tally;
        let (cause, confidence) = tally.cause()?;
        let cause_told = cause.told();
        let worst = tally.worst.as_ref()?;
        let is_closed = action == IncidentAction::Closed;
        let until = if is_closed { tally.last } else { at };
        let in_a_minute = |usual: f64| usual * 60e9 / window as f64;
        Some(Incident {
            id: open.id,
            action,
            outcome,
            scope: scope.told(),
            cause: cause_told.cause,
            confidence: Confidence(confidence),
            whom: cause_told.whom,
            error,
            start: self.shared.config.wall(open.start),
            end: is_closed.then(|| self.shared.config.wall(until)),
            duration_ns: Nanos(until.saturating_sub(open.start)),
            logins: Count(tally.logins),
            of_logins: Count(open.of_logins.max(tally.logins)),
            failed: Count(tally.failed),
            slow: Count(tally.slow),
            pending: Count(tally.pending()),
            usual_per_minute: open
                .usual
                .map(|usual| (in_a_minute(usual) * 10.0).round() / 10.0),
            causes: tally
                .causes()
                .map(|(slug, count)| (Text::fixed(slug), Count(count)))
                .collect(),
            outcomes: counted(tally.outcomes.iter()),
            auth: counted(tally.auth.iter()),
            clients: affected(&tally.clients, |address, logins| AffectedClient {
                address,
                logins,
            }),
            servers: affected(&tally.servers, |(address, port), logins| AffectedServer {
                address,
                port,
                logins,
            }),
            processes: named(&tally.processes),
            applications: named(&tally.applications),
            first: self.login_of(&tally.first.as_ref()?.ended),
            worst: self.login_of(&worst.ended),
            evidence: worst.why.told().evidence,
            meaning: cause_told.meaning,
        })
    }

    fn login_of(&self, ended: &Ended) -> IncidentLogin {
        IncidentLogin {
            connection_id: ended.connection,
            start: self.shared.config.wall(ended.started),
            outcome: ended.outcome,
            duration_ns: Nanos(ended.duration),
            phase: ended.phase,
        }
    }
}

/// The cause of what went wrong, or takes long; nothing where nothing did.
fn trouble<'a>(facts: &ConnectionFacts, causes: &'a [Ranked]) -> Option<&'a Ranked> {
    let login = &facts.login;
    let is_pending = login.outcome.is_none();
    if !is_pending && !login.failed() && !login.is_good() {
        return None;
    }
    // Of a login that went well there is none unless it was slow.
    let why = causes.iter().find(|cause| !cause.is_finding)?;
    (!NO_TROUBLE.contains(&why.slug())).then_some(why)
}

fn ended(facts: &ConnectionFacts, wire: &Wire, conclusion: &Conclusion, now: u64) -> Ended {
    let login = &facts.login;
    let identity = wire.identity();
    let phases = facts.phases.of_login();
    let stopped = phases.iter().find(|(_, phase)| !phase.complete);
    let longest = phases
        .iter()
        .rev()
        .max_by_key(|(_, phase)| phase.duration_ns);
    let phase = stopped.or(longest).map(|(name, _)| *name);
    Ended {
        connection: facts.connection.id,
        at: now.max(conclusion.decision.at),
        started: wire.started,
        duration: conclusion.decision.at.saturating_sub(wire.started),
        client: identity.client.address,
        server: (identity.server.address, identity.server.port),
        process: facts
            .process
            .as_ref()
            .and_then(|process| process.name.clone()),
        is_clients: facts.connection.vantage != Vantage::Server,
        application: login.app_name.clone(),
        kind: facts
            .auth
            .as_ref()
            .map(|auth| auth.kind)
            .unwrap_or_default(),
        outcome: login.outcome,
        phase: phase.filter(|_| login.outcome != Some(Outcome::Unknown)),
        error: login.error.map(|error| error.number),
    }
}

fn counted<'a, T: Copy + Ord + 'a>(
    counts: impl Iterator<Item = (&'a T, &'a u64)>,
) -> std::collections::BTreeMap<T, Count> {
    counts.map(|(one, count)| (*one, Count(*count))).collect()
}

fn affected<T: Clone + Eq + Hash + Ord, U>(
    many: &Many<T>,
    told: impl Fn(T, Count) -> U,
) -> Affected<U> {
    let top = many.top(TOP).into_iter();
    Affected {
        count: Count(many.count() as u64),
        at_least: many.is_full.then_some(true),
        top: top
            .map(|(one, logins)| told(one, Count(logins.into())))
            .collect(),
    }
}

fn named(many: &Many<Text>) -> Option<Affected<AffectedName>> {
    let some = many.count() > 0;
    some.then(|| affected(many, |name, logins| AffectedName { name, logins }))
}
