//! What truly happens in one login, by a clock that is right; no agent knows all of it.

use tracer::record::{AuthKind, Outcome, PhaseName};

use super::{
    random::Draw,
    world::{
        APPLICATIONS, Application, BEHIND_GATEWAY, BUSY_SERVER, CLIENT_HOSTS, DEPLOYED, FORGOTTEN,
        GATEWAY, HIDDEN_FROM, HIDDEN_SERVER, NEW_SERVER, REJECTED, RESTARTED, SLOW_NAMES,
        THRASHING, one_way_ns,
    },
};

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
/// What a driver waits for before it gives up.
pub(super) const PATIENCE_NS: u64 = 15 * SECOND;
/// What a name server's first, lost answer costs.
const LOST_ANSWER_NS: u64 = 5 * SECOND;

/// When in the fleet's day something goes wrong, in thousandths of it; nothing at its very beginning.
pub(super) mod times {
    use std::ops::Range;

    /// [`BUSY_SERVER`](super::BUSY_SERVER) has no free worker.
    pub(in crate::fleet) const BUSY: Range<u64> = 400..420;
    /// The domain controller is slow.
    pub(in crate::fleet) const SLOW_CONTROLLER: Range<u64> = 600..640;
    /// The firewall hides a server.
    pub(in crate::fleet) const HIDDEN: Range<u64> = 250..300;
    /// A password is no longer right.
    pub(in crate::fleet) const REJECTED: Range<u64> = 750..1000;
    /// An application has its new version.
    pub(in crate::fleet) const DEPLOYED: Range<u64> = 500..1000;
    /// A new server is used.
    pub(in crate::fleet) const NEW: Range<u64> = 800..1000;
    /// An application is started anew everywhere.
    pub(in crate::fleet) const RESTART: Range<u64> = 900..917;
    /// An agent says nothing any more.
    pub(in crate::fleet) const SILENT: Range<u64> = 700..1000;
}

/// One phase: what the client does before it sends, then the server before it answers.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) phase: PhaseName,
    pub(super) think_ns: u64,
    pub(super) work_ns: u64,
}

/// What went wrong, as a rule of diagnosis calls it.
#[derive(Clone, Copy)]
pub(super) struct Wrong {
    pub(super) cause: &'static str,
    pub(super) confidence: f64,
    pub(super) whom: tracer::record::Whom,
}

/// A login from its first question to the end of its connection.
pub(super) struct Story {
    /// Since the fleet's first moment.
    pub(super) at_ns: u64,
    pub(super) index: u64,
    pub(super) host: u64,
    pub(super) server: u64,
    pub(super) port: u16,
    pub(super) application: Application,
    /// Its number in the fleet.
    pub(super) application_number: u64,
    /// From the client to the server.
    pub(super) there_ns: u64,
    /// From the server to the client.
    pub(super) back_ns: u64,
    /// After the handshake; the last one is not answered where the outcome is a timeout.
    pub(super) turns: Vec<Turn>,
    pub(super) outcome: Outcome,
    pub(super) wrong: Option<Wrong>,
    /// What the name server took, where it was asked.
    pub(super) names_ns: Option<u64>,
    /// How long the connection lived after its login, and what it asked.
    pub(super) used_ns: u64,
    pub(super) requests: u64,
    /// A middle host forgot it while it was idle.
    pub(super) forgotten: bool,
    /// It goes on by the port that a gateway named.
    pub(super) redirected: bool,
    pub(super) controller_ns: Option<u64>,
}

impl Story {
    /// Login `index` of the fleet, which begins at `at_ns`; `thousandth` of the day.
    pub(super) fn new(seed: u64, index: u64, at_ns: u64, thousandth: u64) -> Self {
        let mut draw = Draw::new(seed, index);
        let mut host = draw.below(CLIENT_HOSTS);
        if times::RESTART.contains(&thousandth) {
            host = RESTARTED + APPLICATIONS * draw.below(CLIENT_HOSTS / APPLICATIONS);
        }
        let application_number = host % APPLICATIONS;
        let application =
            Application::new(application_number, times::DEPLOYED.contains(&thousandth));
        let server = match draw.below(20) {
            0 => draw.below(NEW_SERVER),
            1 if times::NEW.contains(&thousandth) => NEW_SERVER,
            _ => application.home,
        };
        let least = one_way_ns(host, server);
        let [there_ns, back_ns] = [(); 2].map(|()| least + draw.about(15_000));
        let mut story = Self {
            at_ns,
            index,
            host,
            server,
            port: 1433,
            application,
            application_number,
            there_ns,
            back_ns,
            turns: Vec::new(),
            outcome: Outcome::Success,
            wrong: None,
            names_ns: draw.below(4).eq(&0).then(|| draw.about(700_000)),
            used_ns: draw.about(20 * SECOND),
            requests: 1 + draw.below(400),
            forgotten: false,
            redirected: false,
            controller_ns: None,
        };
        story.turns = story.usual_turns(&mut draw, thousandth);
        story.go_wrong(&mut draw, thousandth);
        story
    }

    /// A gateway's redirect, followed: the second connection of the same attempt.
    pub(super) fn behind_gateway(&self, seed: u64) -> Self {
        let mut draw = Draw::new(seed, !self.index);
        let mut turns = self.turns.clone();
        for turn in &mut turns {
            turn.work_ns = draw.about(turn.work_ns);
        }
        Self {
            at_ns: self.at_ns + self.duration_ns() + draw.about(400_000),
            port: BEHIND_GATEWAY,
            application: Application::new(self.application_number, false),
            turns,
            outcome: Outcome::Success,
            names_ns: None,
            redirected: true,
            ..*self
        }
    }

    fn usual_turns(&self, draw: &mut Draw, thousandth: u64) -> Vec<Turn> {
        let mut turns = Vec::with_capacity(4);
        let mut turn = |phase, think_ns, work_ns| {
            turns.push(Turn {
                phase,
                think_ns: draw.about(think_ns),
                work_ns: draw.about(work_ns),
            });
        };
        turn(PhaseName::Prelogin, 120_000, 400_000);
        // A certificate store is read at each login since the new version.
        let deployed = self.application_number == DEPLOYED && times::DEPLOYED.contains(&thousandth);
        turn(
            PhaseName::Tls,
            if deployed { 45_000_000 } else { 900_000 },
            1_800_000,
        );
        turn(PhaseName::Login, 200_000, 1_100_000);
        match self.application.auth {
            AuthKind::Ntlm => turn(PhaseName::Auth, 300_000, 4_000_000),
            AuthKind::Kerberos => turn(PhaseName::Auth, 250_000, 900_000),
            _ => {}
        }
        turns
    }

    fn go_wrong(&mut self, draw: &mut Draw, thousandth: u64) {
        use tracer::record::Whom;
        let wrong = |cause, confidence, whom| {
            Some(Wrong {
                cause,
                confidence,
                whom,
            })
        };
        let controller = self.application.auth == AuthKind::Ntlm;
        if self.server == HIDDEN_SERVER
            && HIDDEN_FROM.contains(&self.host)
            && times::HIDDEN.contains(&thousandth)
        {
            self.outcome = Outcome::Unreachable;
            self.turns.clear();
            self.wrong = wrong("syn_unanswered", 0.8, Whom::Network);
        } else if self.server == BUSY_SERVER && times::BUSY.contains(&thousandth) {
            let waited = 9 * SECOND + draw.below(9 * SECOND);
            self.wrong = wrong("server_threads_exhausted", 0.88, Whom::Database);
            if let Some(prelogin) = self.turns.first_mut() {
                prelogin.work_ns = waited;
            }
            if waited > PATIENCE_NS {
                self.outcome = Outcome::Timeout;
                self.turns.truncate(1);
            }
        } else if controller && times::SLOW_CONTROLLER.contains(&thousandth) {
            if let Some(auth) = self.turns.last_mut() {
                auth.work_ns += 4 * SECOND + draw.below(4 * SECOND);
            }
            self.wrong = wrong("domain_controller_slow", 0.8, Whom::Identity);
        } else if self.application_number == REJECTED && times::REJECTED.contains(&thousandth) {
            self.outcome = Outcome::Failed;
            self.wrong = wrong("login_rejected", 0.95, Whom::Application);
        } else if self.server == GATEWAY {
            self.outcome = Outcome::Redirected;
        }
        if controller && self.outcome == Outcome::Success {
            self.controller_ns = self.turns.last().map(|auth| auth.work_ns);
        }
        match self.application_number {
            SLOW_NAMES if draw.below(3) == 0 => {
                self.names_ns = Some(LOST_ANSWER_NS + draw.about(700_000));
                if self.wrong.is_none() {
                    self.wrong = wrong("name_resolution", 0.85, Whom::Network);
                }
            }
            THRASHING => {
                self.used_ns = draw.about(30 * MILLISECOND);
                self.requests = 1;
            }
            FORGOTTEN => self.forgotten = draw.below(10) == 0,
            _ => {}
        }
    }

    /// One round trip of the handshake.
    pub(super) const fn round_trip_ns(&self) -> u64 {
        self.there_ns + self.back_ns
    }

    /// From the client's SYN to the packet that decides.
    pub(super) fn duration_ns(&self) -> u64 {
        match self.outcome {
            // SYNs at 0, 1, 3, 7 and 15 seconds; nothing follows the last one.
            Outcome::Unreachable | Outcome::Timeout => PATIENCE_NS,
            _ => {
                let turns = self.turns.iter();
                let each = turns.map(|turn| turn.think_ns + turn.work_ns + self.round_trip_ns());
                self.round_trip_ns() + each.sum::<u64>()
            }
        }
    }
}
