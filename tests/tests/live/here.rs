//! Which ends of a connection an agent has on its host.

/// Which ends are on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Client,
    Server,
    Both,
}

impl Here {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Both];

    pub(crate) const fn vantage(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }

    /// The program of the process that is told.
    pub(crate) const fn process(self) -> &'static str {
        match self {
            Self::Client | Self::Both => "raw-client",
            Self::Server => "scenario-server",
        }
    }
}
