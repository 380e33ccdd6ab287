//! How a connection's login is read, decided, and told.

use super::{
    Connection, State,
    settled::{Settled, Why},
    undecided::Undecided,
};
use crate::{
    record::{Outcome, PartialReason},
    session::{
        dialogue::{
            Context, Decision,
            sealed::{QUIET, REDIRECTED, UNNAMED},
        },
        input::{Decided, Side},
        ledger::Debt,
        report::{Joining, Report},
        stream::Stream,
        verdict::outcome::End,
        wire::{self, Wire},
    },
};

/// No client gives up sooner than this after the last packet, nanoseconds.
const LEAST_PATIENCE: u64 = 1_000_000_000;

impl Connection {
    /// Lets the login read what has become whole.
    pub(super) fn read(&mut self, side: Side, report: &mut Report<'_>) {
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        let decision = login.read(side, self.wire.last_seen, report.shared);
        if let Some(said) = login.introduces() {
            let attempts = &mut report.shared.attempts;
            if let Some(instance) = login.wanted_instance() {
                attempts.wants(login.attempt, instance);
            }
            attempts.says(login.attempt, said, self.wire.last_seen);
        }
        if let Some(decision) = decision {
            self.decide(decision, None, report);
            self.read_tail(side, report);
        } else if login.is_past_login() {
            self.pass_over_login(report);
        }
    }

    /// Whether the client has left a sealed login that is not decided yet.
    pub(in crate::session) fn has_left(&self) -> bool {
        matches!(&self.state, State::Undecided(login) if login.left.is_some())
    }

    /// Whether the client tried and nobody answered.
    pub(in crate::session) fn is_unreachable(&self) -> bool {
        matches!(&self.state, State::Settled(settled) if settled.is_unreachable())
    }

    /// A request passed though no answer to the login was seen.
    pub(super) fn request_passes(&mut self, at: u64, report: &mut Report<'_>) {
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        if login.dialogue.is_out_of_turn(login.is_whole()) {
            login.dialogue.disown();
            login.streams.iter_mut().for_each(Stream::forsake);
            return;
        }
        let answer = login.read_missed_answer(at, report.shared);
        let decision = answer.unwrap_or_else(|| login.dialogue.request(at));
        self.decide(decision, None, report);
    }

    /// The connection ends, or falls silent for good: no answer will come.
    pub(in crate::session) fn ended(&mut self, end: End, at: u64, report: &mut Report<'_>) {
        for side in [Side::ToServer, Side::ToClient] {
            while let State::Undecided(login) = &mut self.state
                && login.streams[side as usize].skip_missed_hole()
            {
                self.read(side, report);
            }
        }
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        let whole = login.is_whole();
        if !whole {
            login.dialogue.note_missed();
        }
        let mut context = Context {
            ledger: &mut login.ledger,
            identity: &report.shared.config.identity,
            fingerprints: &mut report.shared.fingerprints,
            whole,
            now: at,
        };
        let cut = login.dialogue.cut_reply(at, &mut context);
        let decision = cut.or_else(|| login.believed(end, at));
        if let Some(decision) = decision {
            self.decide(decision, None, report);
            return;
        }
        if !self.wire.was_seen_to_begin() && !login.dialogue.saw_login() {
            self.pass_over_login(report);
            return;
        }
        let lost = self.about.partial.contains(PartialReason::EventsLost);
        let (outcome, debt) = login.outcome_at(end, at, &self.wire, lost);
        let is_told_why = lost || end == End::Unwatched || self.wire.untimed;
        if outcome == Outcome::Unknown && !is_told_why {
            self.about.partial.insert(PartialReason::Gap);
        }
        self.decide(Decision::observed(outcome, at), debt, report);
    }

    /// Tells the login: its phases, its outcome, and all that is known by now.
    fn decide(&mut self, decision: Decision, debt: Option<Debt>, report: &mut Report<'_>) {
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        let saw_login = login.dialogue.saw_login();
        let unseen = !self.wire.was_seen_to_begin() && !saw_login;
        if unseen && decision.outcome == Outcome::Unknown {
            self.pass_over_login(report);
            return;
        }
        // It can not be over before it began: the clock was set back.
        if decision.at < self.wire.started {
            self.wire.untimed = true;
            self.about.partial.insert(PartialReason::Untimed);
        }
        let most = if login.dialogue.is_unnamed() {
            UNNAMED
        } else {
            1.0
        };
        let decision = Decision {
            // Phases do not run backwards, though clocks may.
            at: decision.at.max(self.wire.started),
            confidence: decision.confidence.map(|confidence| confidence.min(most)),
            ..decision
        };
        let conclusion = login.conclude(decision, debt, &self.wire);
        if conclusion.answered {
            // A sealed login is decided by how its connection ends, but was over before.
            self.about.ended_in = None;
        }
        if has_missed(login, &self.wire) {
            self.about.partial.insert(PartialReason::Gap);
        }
        if !conclusion.answered {
            self.about.ended_in.get_or_insert(conclusion.phase);
        }
        self.usage.client_bye |= login.dialogue.client_bye().is_some();
        let by_server = debt.is_some_and(|debt| debt.by == Side::ToClient);
        self.about.owed_by_server |= by_server && !conclusion.answered;
        let mut facts = report.describe(&self.wire, &self.about, &login.dialogue, &conclusion);
        let clients = facts.process.as_ref().filter(|_| self.about.is_clients);
        let joining = Joining {
            at: conclusion.decision.at,
            guid: login.named(),
            recovers: login.recovers(),
            went_to: login.went_to,
            pid: clients.map(|process| process.pid),
            on_its_turn: login.is_clients_turn(),
        };
        report.joins(login.attempt, &self.wire, joining, &mut facts);
        let asked = (login.attempt, login.place.take(), self.about.is_clients);
        let causes = report.diagnose(&mut facts, &self.wire, &conclusion, asked);
        let about = (&*facts, &self.wire);
        let incident = report.counts(about, &conclusion, &causes, login.pending_was_told);
        facts.login.incident = incident;
        report.explains(&facts, &self.wire);
        // Other logins are told alike; this is the line's own.
        facts.login.incident = None;
        let kept = report.keep(&mut facts, login.dialogue.contents.trace());
        facts.login.incident = incident;
        let id = facts.connection.id;
        let muted = !report.login(facts, &self.wire, &conclusion);
        if muted {
            report.shared.attempts.mute(id);
        }
        report.incidents();
        report.attempts();
        self.usage.expect(&login.dialogue);
        let records = login.dialogue.sealed_from(decision.rest).to_vec();
        let why = Why { causes, incident };
        let settled = Settled::decided(kept, &conclusion, muted, self.gave_up(), why);
        self.settle(settled, report);
        self.sealed_records(&records, report);
    }

    /// When the client gave up, if it left while the server owed a message.
    fn gave_up(&self) -> Option<u64> {
        let State::Undecided(login) = &self.state else {
            return None;
        };
        let owed = login
            .debt_at_end
            .is_some_and(|debt| debt.by == Side::ToClient);
        let left = self.wire.ends.has_finished(Side::ToServer)
            || self
                .wire
                .ends
                .reset()
                .is_some_and(|reset| reset.side == Side::ToServer);
        self.wire.ends.began().filter(|_| owed && left)
    }

    /// The login was over before anybody watched: nothing is told of it.
    fn pass_over_login(&mut self, report: &mut Report<'_>) {
        if let State::Undecided(login) = &self.state {
            let mut facts = report.describe_unseen(&self.wire, &self.about, &login.dialogue);
            let attempts = &mut report.shared.attempts;
            attempts.forget(login.attempt, self.wire.last_seen);
            let kept = report.keep(&mut facts, login.dialogue.contents.trace());
            self.usage.expect(&login.dialogue);
            self.settle(Settled::unseen(kept), report);
        }
    }

    /// Tells the neighbours how the login stands: what the server owes it, and since when.
    pub(super) fn stands(&mut self, report: &mut Report<'_>) {
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        let neighbours = &mut report.shared.neighbours;
        if !login.is_known && !self.wire.joined_late {
            login.is_known = true;
            let identity = self.wire.identity();
            let server = (identity.server.address, identity.server.port);
            let client = identity.client.address;
            login.place = neighbours.enter(server, client, self.wire.started);
        }
        let Some(place) = &mut login.place else {
            return;
        };
        let [client, server] = &self.wire.sent;
        let owed = client.last_data > server.last_data;
        let asked = owed.then_some(client.last_data);
        neighbours.stands(
            place,
            login.dialogue.stands_at(),
            asked,
            self.wire.last_seen,
        );
    }

    /// The login is not among its neighbours any more.
    pub(in crate::session) fn steps_aside(&mut self, report: &mut Report<'_>) {
        if let State::Undecided(login) = &mut self.state
            && let Some(place) = login.place.take()
        {
            report.shared.neighbours.forget(place, self.wire.last_seen);
        }
    }

    fn settle(&mut self, settled: Settled, report: &mut Report<'_>) {
        self.steps_aside(report);
        let before = std::mem::replace(&mut self.state, State::Settled(Box::new(settled)));
        report.shared.standing.settles();
        self.wire.handshake.forget_times();
        report.decided(Decided {
            key: self.wire.key,
            born: self.wire.born(),
            without_sessions: self.usage.mars_agreed == Some(false),
        });
        let (State::Undecided(mut login), State::Settled(settled)) = (before, &mut self.state)
        else {
            return;
        };
        let early_fin = login.early_fin(true);
        settled.goes_on(login.into_streams());
        if let Some((side, event)) = early_fin {
            self.fin_passes(side, &event, report);
        }
    }

    /// Decides what only time can tell: a sealed login after which nothing more comes, a SYN that
    /// nobody answers; and tells a login that waits for long.
    pub(super) fn wait_for_login(&mut self, now: u64, report: &mut Report<'_>) {
        let is_unseen = self.ended_unseen(now);
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        if let Some(at) = login.client_closed.filter(|_| is_unseen) {
            let waited = at.saturating_sub(self.wire.last_seen);
            let gave_up = waited >= LEAST_PATIENCE && !self.wire.both_sockets_ended();
            let end = if gave_up {
                End::Fin(Side::ToServer)
            } else {
                // Its last packets were not told: how the login came out may have been among them.
                self.about.partial.insert(PartialReason::EventsLost);
                End::Unwatched
            };
            self.begin_end(Side::ToServer, at, None);
            self.ended(end, at, report);
            return;
        }
        if let Some(left) = login.left {
            if now.saturating_sub(left.at) >= QUIET {
                self.ended(End::Fin(Side::ToServer), left.at, report);
            }
            return;
        }
        if login.dialogue.is_sealed() && login.is_whole() {
            let belief = login.dialogue.reading().contentment(now);
            if let Some(belief) = belief {
                self.decide(belief.into(), None, report);
                return;
            }
        }
        let quiet = now.saturating_sub(self.wire.last_seen);
        let handshake = &self.wire.handshake;
        if !handshake.is_over() && !self.wire.joined_late && quiet > handshake.patience() {
            let lacks = report.shared.may_lack_records(self.wire.last_seen);
            let end = if lacks {
                self.about.partial.insert(PartialReason::EventsLost);
                End::Unwatched
            } else {
                End::Silence
            };
            self.ended(end, self.wire.last_seen, report);
            return;
        }
        self.tell_pending(now, report);
    }

    fn tell_pending(&mut self, now: u64, report: &mut Report<'_>) {
        let after = self
            .wire
            .started
            .saturating_add(report.shared.config.pending_after);
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        if now < after || login.pending_was_told || !login.may_be_pending(&self.wire) {
            return;
        }
        login.pending_was_told = true;
        let decision = Decision::observed(Outcome::Unknown, now);
        let full = login.open_ledger(now);
        let conclusion = login.conclude(decision, full.debt(), &self.wire);
        // What is missing now may yet come.
        let lasting = self.about.partial;
        if has_missed(login, &self.wire) {
            self.about.partial.insert(PartialReason::Gap);
        }
        let mut facts = report.describe(&self.wire, &self.about, &login.dialogue, &conclusion);
        facts.login.outcome = None;
        let asked = (login.attempt, login.place, self.about.is_clients);
        let causes = report.diagnose(&mut facts, &self.wire, &conclusion, asked);
        let about = (&*facts, &self.wire);
        facts.login.incident = report.counts(about, &conclusion, &causes, false);
        report.pending(facts, now);
        report.incidents();
        self.about.partial = lasting;
    }

    /// The client, which has left, opens a connection to another server: it was sent there.
    pub(in crate::session) fn is_followed(
        &mut self,
        (now, server): (u64, wire::End),
        report: &mut Report<'_>,
    ) -> bool {
        let State::Undecided(login) = &mut self.state else {
            return false;
        };
        let belief = login.left.and_then(|left| {
            let at_once = now.saturating_sub(left.at) < QUIET;
            let reading = login.dialogue.reading();
            reading.redirected(left.at).filter(|_| at_once)
        });
        let Some(belief) = belief else { return false };
        login.went_to = Some(server);
        let decision = Decision {
            outcome: Outcome::Redirected,
            confidence: Some(REDIRECTED),
            ..belief.into()
        };
        self.decide(decision, None, report);
        true
    }

    /// The connection will not be watched any more: its login is told as far as it came.
    pub(super) fn give_up_login(&mut self, unwatched: bool, report: &mut Report<'_>) {
        let left = match &self.state {
            State::Undecided(login) => login.left,
            State::Settled(_) => return,
        };
        if let Some(left) = left {
            self.ended(End::Fin(Side::ToServer), left.at, report);
        }
        let end = if unwatched {
            End::Unwatched
        } else {
            End::Silence
        };
        self.ended(end, self.wire.last_seen, report);
    }
}

/// Whether something that either side has said up to now was missed.
fn has_missed(login: &Undecided, wire: &Wire) -> bool {
    let incomplete = login.streams.iter().any(Stream::is_incomplete);
    incomplete || login.dialogue.has_unread_reply() || wire.handshake.has_gap()
}
