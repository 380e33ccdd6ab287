//! How a login that nobody answered may end, and what that is called (output.md, `login.outcome`).

use crate::sweep::{
    packet::Side,
    truth::{Debtor, State, Tcp},
};

/// From which wait on a client that leaves has given up.
const SECOND: u64 = 1_000_000_000;

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This side's FIN, which the other answers.
    Fin(Side),
    /// This side's RST.
    Rst(Side),
    /// The client's `close_notify`, then its FIN.
    CloseNotify,
    /// The client's attention, then its FIN.
    Attention,
    /// Nobody ends it: the capture does.
    Nothing,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fin(Side::Client),
        Self::Fin(Side::Server),
        Self::Rst(Side::Client),
        Self::Rst(Side::Server),
        Self::CloseNotify,
        Self::Attention,
        Self::Nothing,
    ];

    /// Who ends it.
    pub fn by(self) -> Option<Side> {
        match self {
            Self::Fin(side) | Self::Rst(side) => Some(side),
            Self::CloseNotify | Self::Attention => Some(Side::Client),
            Self::Nothing => None,
        }
    }
}

/// What a login may be called that ends so where it stood so, after so long a wait; `None` where it
/// cannot end so.
pub fn outcomes(state: &State, ending: Ending, wait_ns: u64) -> Option<Vec<&'static str>> {
    match state.tcp {
        Tcp::Syn => match ending {
            Ending::Rst(Side::Server) => Some(vec!["refused"]),
            // The agent stops before anybody can know.
            Ending::Nothing => Some(vec!["unreachable", "unknown"]),
            _ => None,
        },
        // The client owes the last ACK. One that takes its SYN back is a probe or a reset.
        Tcp::SynAck => match ending {
            Ending::Rst(Side::Server) => Some(vec!["reset"]),
            Ending::Rst(Side::Client) => Some(vec!["reset", "aborted"]),
            Ending::Nothing => Some(vec!["unknown"]),
            _ => None,
        },
        Tcp::Up => Some(match state.debtor {
            Debtor::Owes(side) => of_debtor(state, ending, side, wait_ns),
            Debtor::Unsure => {
                let mut either = of_debtor(state, ending, Side::Client, wait_ns);
                either.extend(of_debtor(state, ending, Side::Server, wait_ns));
                either
            }
        }),
    }
}

fn of_debtor(state: &State, ending: Ending, debtor: Side, wait_ns: u64) -> Vec<&'static str> {
    let Some(by) = ending.by() else {
        // Both hold on: it has not ended, so it has no outcome yet.
        return vec!["unknown"];
    };
    // The client gave up on a server that owed: this comes before all that follows.
    if by == Side::Client && debtor == Side::Server && wait_ns >= SECOND {
        return vec!["timeout"];
    }
    let otherwise = match (ending, by) {
        (Ending::Rst(_), Side::Client) if !state.spoken => vec!["reset", "aborted"],
        (Ending::Rst(_), _) => vec!["reset"],
        (_, Side::Server) => vec!["closed"],
        (_, Side::Client) => vec!["aborted"],
    };
    if state.phase != "tls" {
        return otherwise;
    }
    // Either side's closing inside the phase. Where TLS is agreed and no message of it has passed,
    // it may be read either way.
    if state.tls_begun {
        vec!["tls_failed"]
    } else {
        [vec!["tls_failed"], otherwise].concat()
    }
}

/// Who may be said to have owed the next message when a login ended so.
pub fn owed_by(state: &State, ending: Ending, wait_ns: u64) -> Vec<Option<&'static str>> {
    let mut may_be: Vec<_> = match state.debtor {
        Debtor::Owes(side) => vec![Some(side.name())],
        Debtor::Unsure => vec![Some("client"), Some("server")],
    };
    // Less than a second is nobody's fault; and where nothing has ended, nobody needs be named. A
    // SYN without answer has said all.
    if wait_ns < SECOND || ending == Ending::Nothing || state.tcp == Tcp::Syn {
        may_be.push(None);
    }
    may_be
}
