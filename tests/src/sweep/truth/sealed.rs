//! What is said inside TLS: whose turn it is shows by who speaks next.

use super::{Debtor, State, handshake::ALERTS, reader::Reader};
use crate::sweep::packet::Side;

/// Records of one side in a row, the last of which ends its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) side: Side,
    last: usize,
    last_ns: u64,
    bytes: usize,
}

impl Reader<'_> {
    /// Data inside TLS.
    pub(super) fn data(&mut self, side: Side, body: &[u8]) {
        let is_alert = self.handshake.is_13 && ALERTS.contains(&body.len());
        if side == Side::Client && is_alert {
            self.state.farewell = true;
            return;
        }
        if side == Side::Server {
            // A session ticket answers nothing; after the login packet only it is sealed.
            if !self.asks || !self.state.sealed || self.scenario.silent {
                return;
            }
        } else {
            self.asks = true;
            if self.run.is_none_or(|run| run.side == Side::Server) {
                self.resolve();
                if self.truth.decided.is_some() {
                    return;
                }
                let begun = self.halves[side as usize].begun_in;
                self.begin_in(self.state.phase, begun);
            }
        }
        self.runs(side, body.len());
    }

    /// A record of a message whose end nobody sees.
    pub(super) fn runs(&mut self, side: Side, bytes: usize) {
        if self.run.is_some_and(|run| run.side != side) {
            self.resolve();
        }
        let (last, last_ns) = self.now;
        let run = self.run.get_or_insert(Run {
            side,
            last,
            last_ns,
            bytes: 0,
        });
        (run.last, run.last_ns) = (last, last_ns);
        run.bytes += bytes;
        self.state.debtor = Debtor::Unsure;
    }

    /// The run at hand is over: what its last packet left behind is known now.
    pub(super) fn resolve(&mut self) {
        let Some(run) = self.run.take() else {
            return;
        };
        let mut state = self.state;
        state.debtor = Debtor::Owes(run.side.other());
        state.since_ns = run.last_ns;
        let answers = run.side == Side::Server && self.tls_done;
        if answers {
            let prelogin = state.phase == "prelogin";
            let final_reply = !prelogin && state.sealed_replies == self.scenario.rounds;
            if prelogin {
                state.phase = "login";
            } else if final_reply {
                state.over = true;
                self.truth.decided = Some((run.last, self.scenario.outcome));
                self.truth.sealed_reply = run.bytes;
            } else {
                state.sealed_replies += 1;
                state.phase = "auth";
            }
        }
        self.state = state;
        let states = self.truth.states.iter_mut().skip(run.last);
        for earlier in states.filter(|earlier| earlier.debtor == Debtor::Unsure) {
            let sound = earlier.sound;
            *earlier = State {
                sound,
                spoken: earlier.spoken,
                farewell: earlier.farewell,
                ..state
            };
        }
    }
}
