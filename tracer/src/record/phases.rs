//! The phases of a connection: contiguous, so that those of a login add up to it.

use std::{iter::Sum, ops::Add};

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{ConnectionRef, Endpoint, Nanos, Server};

/// Names of the phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// First SYN to the client's ACK of the SYN-ACK.
    Handshake,
    /// To the last byte of the server's prelogin reply.
    Prelogin,
    /// To the last handshake message of either side. In TDS 8.0 before `prelogin`.
    Tls,
    /// To the end of the server's first reply to the login packet.
    Login,
    /// To the reply that decides, where the first did not.
    Auth,
    /// First SMP SYN to last SMP FIN.
    Mars,
    /// End of the login to the end of the first response.
    Command,
    /// First FIN or RST to the last packet.
    Close,
}

impl PhaseName {
    /// Every phase, in the order of TDS 7.
    pub const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Prelogin,
        Self::Tls,
        Self::Login,
        Self::Auth,
        Self::Mars,
        Self::Command,
        Self::Close,
    ];

    /// The phases that add up to `login.duration_ns`.
    pub const LOGIN: [Self; 5] = [
        Self::Handshake,
        Self::Prelogin,
        Self::Tls,
        Self::Login,
        Self::Auth,
    ];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Prelogin => "prelogin",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Auth => "auth",
            Self::Mars => "mars",
            Self::Command => "command",
            Self::Close => "close",
        }
    }
}

/// The phases that happened.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "each is documented on its PhaseName")]
pub struct Phases {
    pub handshake: Option<Phase>,
    pub prelogin: Option<Phase>,
    pub tls: Option<Phase>,
    pub login: Option<Phase>,
    pub auth: Option<Phase>,
    pub mars: Option<Phase>,
    pub command: Option<Phase>,
    pub close: Option<Phase>,
}

impl Phases {
    /// The phase of this name.
    pub fn of(&self, name: PhaseName) -> Option<&Phase> {
        match name {
            PhaseName::Handshake => self.handshake.as_ref(),
            PhaseName::Prelogin => self.prelogin.as_ref(),
            PhaseName::Tls => self.tls.as_ref(),
            PhaseName::Login => self.login.as_ref(),
            PhaseName::Auth => self.auth.as_ref(),
            PhaseName::Mars => self.mars.as_ref(),
            PhaseName::Command => self.command.as_ref(),
            PhaseName::Close => self.close.as_ref(),
        }
    }

    /// The place of the phase of this name.
    pub fn place(&mut self, name: PhaseName) -> &mut Option<Phase> {
        match name {
            PhaseName::Handshake => &mut self.handshake,
            PhaseName::Prelogin => &mut self.prelogin,
            PhaseName::Tls => &mut self.tls,
            PhaseName::Login => &mut self.login,
            PhaseName::Auth => &mut self.auth,
            PhaseName::Mars => &mut self.mars,
            PhaseName::Command => &mut self.command,
            PhaseName::Close => &mut self.close,
        }
    }

    /// The phases that make up the login, in the order in which they happened.
    pub fn of_login(&self) -> Vec<(PhaseName, &Phase)> {
        let mut phases: Vec<_> = PhaseName::LOGIN
            .into_iter()
            .filter_map(|name| Some((name, self.of(name)?)))
            .collect();
        phases.sort_by_key(|(_, phase)| phase.start_ns);
        phases
    }

    /// The same, where they are all there: the first from the connection's first packet, and each
    /// from where the one before it ended.
    pub fn whole_login(&self) -> Option<Vec<(PhaseName, &Phase)>> {
        let phases = self.of_login();
        let mut reached = Nanos(0);
        for (_, phase) in &phases {
            if phase.start_ns != reached {
                return None;
            }
            reached += phase.duration_ns;
        }
        // Of a connection that was joined late, what was seen first may begin it as well.
        self.handshake.is_some().then_some(phases)
    }
}

/// One phase.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Phase {
    /// From the connection's start.
    pub start_ns: Nanos,
    /// How long it took, or lasted so far.
    pub duration_ns: Nanos,
    /// False for the phase in which the login, or the connection, ended.
    pub complete: bool,
    /// Who was waited for; left out where packets are missing.
    #[serde(flatten)]
    pub waited: Option<Waited>,
    /// Segments that either side sent again during the phase.
    pub retransmits: u32,
}

/// Who was waited for: the three add up to the phase's duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Waited {
    /// The client's share.
    pub client_ns: Nanos,
    /// The server's share.
    pub server_ns: Nanos,
    /// The network's share: up to one round trip of each wait for the remote side.
    pub network_ns: Nanos,
}

impl Add for Waited {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            client_ns: self.client_ns + other.client_ns,
            server_ns: self.server_ns + other.server_ns,
            network_ns: self.network_ns + other.network_ns,
        }
    }
}

impl Sum for Waited {
    fn sum<I: Iterator<Item = Self>>(waits: I) -> Self {
        waits.fold(Self::default(), Add::add)
    }
}

/// `phase`: a phase ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhaseRecord {
    /// Which connection.
    pub connection: ConnectionRef,
    /// The connecting end.
    pub client: Endpoint,
    /// The listening end.
    pub server: Server,
    /// The phase.
    pub phase: NamedPhase,
}

/// A phase with its name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NamedPhase {
    /// Which phase.
    pub name: PhaseName,
    /// Its times.
    #[serde(flatten)]
    pub phase: Phase,
}
