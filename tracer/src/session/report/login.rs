//! `login`, `pending` and `phase`.

use crate::{
    record::{
        Body, Confidence, ConnectionFacts, LoginRecord, NamedPhase, Nanos, Outcome, OutcomeKind,
        PendingRecord, Phase, PhaseName, PhaseRecord, Side as RecordSide, Stranger,
    },
    session::{
        input::Side,
        verdict::waits::{Legs, waited},
        wire::Wire,
    },
};

use super::{Conclusion, Report, client, reference, server};

impl Report<'_> {
    /// Tells a login and, before it, its phases, as far as anybody wants them. Whether it may be told:
    /// it is not one stranger's too many.
    pub(in crate::session) fn login(
        &mut self,
        facts: Box<ConnectionFacts>,
        wire: &Wire,
        conclusion: &Conclusion,
    ) -> bool {
        let at = conclusion.decision.at;
        if let Some(kind) = facts.login.stranger
            && !self.shared.losses.allow(kind, at)
        {
            return false;
        }
        for span in &conclusion.spans {
            if let Some(phase) = facts.phases.of(span.name) {
                self.phase(wire, span.name, phase, span.to);
            }
        }
        if facts.login.kind() == OutcomeKind::Answered {
            let server = &facts.server;
            self.listener.served((server.address, server.port));
        }
        if !self.listener.login(&facts.login) {
            return true;
        }
        let facts = *facts;
        self.tell(at, Body::Login(Box::new(LoginRecord { facts })));
        true
    }

    /// Tells a login that is open for long.
    pub(in crate::session) fn pending(&mut self, mut facts: Box<ConnectionFacts>, at: u64) {
        facts.login.outcome = None;
        facts.login.basis = None;
        let facts = *facts;
        self.tell(at, Body::Pending(Box::new(PendingRecord { facts })));
    }

    /// Tells that a phase ended, where that is asked for.
    pub(in crate::session) fn phase(
        &mut self,
        wire: &Wire,
        name: PhaseName,
        phase: &Phase,
        at: u64,
    ) {
        if !self.shared.config.phases {
            return;
        }
        let body = Body::Phase(PhaseRecord {
            connection: reference(wire),
            client: client(wire),
            server: server(wire),
            phase: NamedPhase {
                name,
                phase: phase.clone(),
            },
        });
        self.tell(at, body);
    }
}

/// What came of the login, and when.
pub(super) fn describe_outcome(wire: &Wire, conclusion: &Conclusion, facts: &mut ConnectionFacts) {
    let decision = conclusion.decision;
    let into = &mut facts.login;
    into.decide(
        decision.outcome,
        decision.basis,
        decision.confidence.map(Confidence),
    );
    // A server that ends the connection is no stranger's doing.
    if decision.outcome == Outcome::Aborted && wire.sent[0].bytes == 0 {
        into.stranger = Some(Stranger::Silent);
    }
    let duration = decision.at.saturating_sub(wire.started);
    into.duration_ns = (!wire.joined_late).then_some(Nanos(duration));
    into.owed_by = conclusion.debt.map(|debt| match debt.by {
        Side::ToServer => RecordSide::Client,
        Side::ToClient => RecordSide::Server,
    });
}

/// The phases, with who was waited for in them where all of the connection was seen.
pub(super) fn describe_phases(
    wire: &Wire,
    conclusion: &Conclusion,
    whole: bool,
    facts: &mut ConnectionFacts,
) {
    let (client, server) = wire.evidence.legs();
    let legs = Legs { client, server };
    let repeats = conclusion.ledger.repeats();
    for span in &conclusion.spans {
        let within = |at: u64| at > span.from && at <= span.to;
        let repeated = repeats.iter().filter(|repeat| within(repeat.again));
        *facts.phases.place(span.name) = Some(Phase {
            start_ns: Nanos(span.from.saturating_sub(wire.started)),
            duration_ns: Nanos(span.to - span.from),
            complete: span.complete,
            waited: whole.then(|| waited(&conclusion.ledger, span.from, span.to, legs)),
            retransmits: u32::try_from(repeated.count()).unwrap_or(u32::MAX),
        });
    }
}
