//! How a connection ended, and what to think of it.

use crate::{
    record::{CloseClass, CloseMeans, ClosedBy, Outcome, OutcomeKind},
    session::{input::Side, wire::Ends},
};

/// Who ended the connection, and by which means. `stopped`: nobody watched any more before it ended.
pub(in crate::session) fn closed_by(ends: &Ends, stopped: bool) -> (ClosedBy, CloseMeans) {
    match (ends.first_fin(), ends.reset()) {
        (Some(fin), Some(reset)) if fin.at <= reset.at => (by(fin.side), CloseMeans::Fin),
        (_, Some(reset)) => (by(reset.side), CloseMeans::Rst),
        (Some(fin), None) => (by(fin.side), CloseMeans::Fin),
        (None, None) if stopped => (ClosedBy::Agent, CloseMeans::Evicted),
        (None, None) => (ClosedBy::Client, CloseMeans::Timeout),
    }
}

/// The name of a side in a record.
pub(in crate::session) fn by(side: Side) -> ClosedBy {
    match side {
        Side::ToServer => ClosedBy::Client,
        Side::ToClient => ClosedBy::Server,
    }
}

/// What the class of a close depends on.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::session) struct Circumstances {
    pub(in crate::session) by: ClosedBy,
    pub(in crate::session) how: CloseMeans,
    /// What came of the login; `None` where it was over before anybody watched.
    pub(in crate::session) outcome: Option<Outcome>,
    /// A message of the server was due, and had been for long.
    pub(in crate::session) owed_by_server: bool,
    /// Requests without answer.
    pub(in crate::session) in_flight: u32,
    /// Something had gone unanswered, or a window was closed, right before.
    pub(in crate::session) strained: bool,
    /// The client had asked again and again, and nobody has ended it.
    pub(in crate::session) forsaken: bool,
    /// A RST came, if only after a FIN.
    pub(in crate::session) was_reset: bool,
    /// A middlebox sent it.
    pub(in crate::session) foreign_reset: bool,
    /// The client had finished its MARS sessions, or was finishing them.
    pub(in crate::session) mars_in_order: bool,
    /// The client had ended TLS in order.
    pub(in crate::session) client_bye: bool,
}

/// What to think of it.
pub(in crate::session) fn class(how: &Circumstances) -> CloseClass {
    if how.owed_by_server || how.forsaken {
        return CloseClass::Abnormal;
    }
    if how.by == ClosedBy::Agent {
        return CloseClass::Normal;
    }
    let ended = how.outcome.map(Outcome::kind) == Some(OutcomeKind::Ended);
    let is_probe = how.outcome == Some(Outcome::Aborted) && how.is_clients_fin();
    match ended {
        false => after_login(how),
        true if is_probe && !how.was_reset => CloseClass::Normal,
        true => CloseClass::Abnormal,
    }
}

fn after_login(how: &Circumstances) -> CloseClass {
    let quiet = how.in_flight == 0 && !how.strained;
    // MARS clients end the connection after their own SMP FINs and reset what comes late.
    let mars = how.mars_in_order && !how.strained;
    match (how.how, how.by) {
        (CloseMeans::Rst, ClosedBy::Client) if quiet && !how.foreign_reset => {
            CloseClass::BenignReset
        }
        (CloseMeans::Fin, ClosedBy::Client) if how.was_reset && (quiet || mars) => {
            CloseClass::BenignReset
        }
        // Who leaves while an answer is owed has given it up.
        (CloseMeans::Fin, ClosedBy::Client) if !how.was_reset && how.in_flight == 0 => {
            CloseClass::Normal
        }
        // Refusing a login, the server closes after its ERROR (MS-TDS §3.3.5.5); a client that ends
        // TLS first has closed, whoever's FIN is seen first.
        (CloseMeans::Fin, ClosedBy::Server)
            if how.outcome == Some(Outcome::Failed) || how.client_bye =>
        {
            CloseClass::Normal
        }
        _ => CloseClass::Abnormal,
    }
}

impl Circumstances {
    fn is_clients_fin(&self) -> bool {
        self.by == ClosedBy::Client && self.how == CloseMeans::Fin
    }
}
