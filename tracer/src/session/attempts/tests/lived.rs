//! A client that lives through its attempts, told one event after the other.

use super::*;

/// Attempts, and the connections that were opened, by handle.
#[derive(Default)]
pub(super) struct Lived {
    pub(super) attempts: Attempts,
    /// The process at work, if it is known.
    pub(super) pid: Option<u32>,
    pub(super) opened: HashMap<Handle, (IpAddr, End, u64)>,
    pub(super) told: Vec<Attempt>,
}

/// What is left to say of a connection.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) outcome: Outcome,
    pub(super) silent: bool,
    pub(super) redirect: Option<Place>,
    pub(super) returns: Returns,
    pub(super) recovers: bool,
    pub(super) partner: Option<&'static str>,
}

impl Ends {
    /// One that said something.
    pub(super) fn as_(outcome: Outcome) -> Self {
        Self {
            outcome,
            silent: false,
            redirect: None,
            returns: Returns::Never,
            recovers: false,
            partner: None,
        }
    }

    /// One whose client is likely to try again at once.
    pub(super) fn returns(outcome: Outcome) -> Self {
        Self {
            returns: Returns::AtOnce,
            ..Self::as_(outcome)
        }
    }

    /// One on which nobody said anything.
    pub(super) fn silent(outcome: Outcome) -> Self {
        Self {
            silent: true,
            ..Self::as_(outcome)
        }
    }

    pub(super) fn sent_to(place: Place) -> Self {
        Self {
            redirect: Some(place),
            ..Self::as_(Outcome::Redirected)
        }
    }
}

impl Lived {
    pub(super) fn who(&self, client: IpAddr) -> Who {
        self.pid.map_or(Who::Address(client), Who::Process)
    }

    pub(super) fn passes(&mut self, at: u64) {
        self.attempts.pass_time(START + at);
        self.told.extend(self.attempts.take_over());
    }

    pub(super) fn opens(&mut self, client: u8, to: End, at: u64) -> Handle {
        self.opens_from(address(client), to, at)
    }

    pub(super) fn opens_from(&mut self, client: IpAddr, to: End, at: u64) -> Handle {
        self.passes(at);
        let handle = self.attempts.opens(
            self.who(client),
            client,
            to,
            START + at,
            Resolved::default(),
        );
        self.opened.insert(handle, (client, to, START + at));
        handle
    }

    pub(super) fn accepted(&mut self, handle: Handle, at: u64) {
        self.passes(at);
        self.attempts.established(handle, START + at);
    }

    pub(super) fn speaks(&mut self, handle: Handle, at: u64) {
        self.passes(at);
        self.attempts.speaks(handle, START + at);
    }

    /// The handshake is over, and the client says something.
    pub(super) fn begins(&mut self, handle: Handle, at: u64) {
        self.accepted(handle, at);
        self.speaks(handle, at);
    }

    pub(super) fn syn_again(&mut self, handle: Handle, at: u64) {
        self.passes(at);
        self.attempts.syn_again(handle, START + at);
        self.told.extend(self.attempts.take_over());
    }

    pub(super) fn ends(&mut self, handle: Handle, ends: Ends, at: u64) -> Named {
        self.ends_as_of(handle, ends, at, at)
    }

    /// It is decided at one time by what passed at another.
    pub(super) fn ends_as_of(&mut self, handle: Handle, ends: Ends, at: u64, now: u64) -> Named {
        self.passes(now);
        let (client, server, start) = self.opened[&handle];
        let verdict = Verdict {
            id: ConnectionId(handle.into()),
            client,
            start,
            at: START + at,
            outcome: ends.outcome,
            kind: if ends.silent {
                PartKind::Connect
            } else {
                PartKind::Login
            },
            target: Target {
                port: Some(server.port),
                ..Target::default()
            },
            silent: ends.silent,
            server,
            heard: !ends.silent,
            redirect: ends.redirect,
            returns: ends.returns,
            recovers: ends.recovers,
            guid: None,
            partner: ends.partner.map(Text::from),
            pid: None,
        };
        let named = self.attempts.decided(handle, &verdict);
        self.told.extend(self.attempts.take_over());
        named
    }

    pub(super) fn succeeds(&mut self, handle: Handle, at: u64) -> Named {
        self.ends(handle, Ends::as_(Outcome::Success), at)
    }

    pub(super) fn looked_up(&mut self, client: u8, name: &str, places: &[(u8, u16)], at: u64) {
        let question = (LookupOutcome::Answered, 0, at - MILLISECOND);
        self.lookup_ends(client, (name, places), question, at);
    }

    /// What was asked from a port at some time has come to this.
    pub(super) fn lookup_ends(
        &mut self,
        client: u8,
        (name, places): (&str, &[(u8, u16)]),
        (outcome, port, asked): (LookupOutcome, u16, u64),
        at: u64,
    ) {
        self.passes(at);
        self.attempts.looked_up(LookedUp {
            who: self.who(address(client)),
            client: address(client),
            port,
            browser: address(2),
            done: Done {
                name: Some(name.into()),
                heard: outcome == LookupOutcome::Answered,
                ..Done::new(
                    PartKind::Lookup,
                    (START + asked, START + at),
                    PartOutcome::Lookup(outcome),
                )
            },
            target: Target {
                instance: Some(name.into()),
                ..Target::default()
            },
            resolved: Resolved::default(),
            only_looked: false,
            announced: places
                .iter()
                .map(|(last, port)| (Some(address(*last)), *port))
                .collect(),
        });
        self.told.extend(self.attempts.take_over());
    }

    /// The connections of each attempt that was told, by handle, and which of them lost.
    pub(super) fn told(mut self) -> Vec<(Vec<Handle>, Vec<Handle>)> {
        self.attempts.finish();
        self.told.extend(self.attempts.take_over());
        assert!(self.attempts.clients.is_empty() && self.attempts.homes.is_empty());
        let each = self.told.iter().map(|attempt| {
            let of = |wanted: &dyn Fn(&Done) -> bool| {
                let parts = attempt.parts.iter().filter(|part| wanted(part));
                let mut ids: Vec<_> = parts
                    .filter_map(|part| Some(part.connection?.0 as Handle))
                    .collect();
                ids.sort_unstable();
                ids
            };
            let all = of(&|_| true);
            assert_eq!(attempt.connections as usize, all.len());
            (all, of(&|part| part.loser))
        });
        each.collect()
    }
}
