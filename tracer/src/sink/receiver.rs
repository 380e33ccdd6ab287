//! Who is told besides files: one variant for each kind, and one file.

use std::{io, path::PathBuf};

use super::{
    deliver::Deliver, journald::Journald, otlp::Otlp, socket::SocketReceiver, syslog::Syslog,
};

/// A receiver, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// systemd's journal.
    Journald(Journald),
    /// Whoever takes syslog messages.
    Syslog(Syslog),
    /// Whoever listens for lines.
    Socket(SocketReceiver),
    /// Whoever takes OpenTelemetry's protocol.
    Otlp(Box<Otlp>),
}

impl Receiver {
    /// Reads what is needed beforehand, such as certificates; nobody is spoken to yet.
    pub(super) fn open(&self) -> io::Result<Box<dyn Deliver>> {
        match self {
            Self::Journald(journald) => journald.open(),
            Self::Syslog(syslog) => syslog.open(),
            Self::Socket(socket) => socket.open(),
            Self::Otlp(otlp) => otlp.open(),
        }
    }

    /// Whether the network lies between: then what it is to get waits on disk.
    pub fn is_remote(&self) -> bool {
        self.port().is_some()
    }

    /// Whether it is told what is counted and measured, too.
    pub fn tells_figures(&self) -> bool {
        matches!(self, Self::Otlp(otlp) if otlp.metrics.is_some())
    }

    /// The port that is spoken to across the network.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Journald(_) => None,
            Self::Syslog(Syslog { address, .. }) | Self::Socket(SocketReceiver { address, .. }) => {
                address.port()
            }
            Self::Otlp(otlp) => Some(otlp.port()),
        }
    }

    /// The socket in the file system that is spoken to.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Journald(journald) => Some(journald.path.clone()),
            Self::Syslog(Syslog { address, .. }) | Self::Socket(SocketReceiver { address, .. }) => {
                address.path()
            }
            Self::Otlp(_) => None,
        }
    }
}
