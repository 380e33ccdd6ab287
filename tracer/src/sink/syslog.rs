//! Syslog messages (RFC 5424): one for each record, its JSON line being the message.
//!
//! By a socket in the file system or by UDP each is a datagram (RFC 5426); by TCP and TLS its length stands before it
//! (RFC 6587 section 3.4.1, RFC 5425 section 4.3).

use std::{io, io::Write as _, net::UdpSocket, os::unix::net::UnixDatagram, path::PathBuf};

use super::{
    address::{Address, Host, PATIENCE, datagrams},
    deliver::{Deliver, Delivered, Trouble},
    line::Line,
    socket::StreamTo,
    tls::Tls,
};
use crate::record::{Severity, Text};

/// As it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Where messages are taken.
    pub address: Address,
    /// Its number (RFC 5424 table 1).
    pub facility: u8,
    /// The name that the messages say the host has.
    pub host: Text,
    /// For `tls://`.
    pub tls: Tls,
}

/// The facilities by their usual names, each at the place of its number.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

impl Syslog {
    pub(super) fn open(&self) -> io::Result<Box<dyn Deliver>> {
        let head = Head {
            facility: self.facility,
            host: self.host.clone(),
            process: std::process::id(),
        };
        Ok(match &self.address {
            Address::Unix(path) => Box::new(Datagrams {
                head,
                to: To::Path(path.clone(), None),
                next: 0,
            }),
            Address::Udp(host) => Box::new(Datagrams {
                head,
                to: To::Host(host.clone(), None),
                next: 0,
            }),
            Address::Tcp(_) | Address::Tls(_) => Box::new(Counted {
                head,
                stream: StreamTo::new(self.address.clone(), &self.tls)?,
            }),
        })
    }
}

/// What a message begins with.
struct Head {
    facility: u8,
    host: Text,
    process: u32,
}

impl Head {
    fn message(&self, line: &Line) -> Vec<u8> {
        let severity = match line.severity {
            Severity::Error => 3,
            Severity::Warn => 4,
            Severity::Info => 6,
        };
        let priority = u32::from(self.facility) * 8 + severity;
        // Six digits of a second, as section 6.2.3 has it.
        let time = line.at.to_string();
        let time = time.get(..26).unwrap_or(&time);
        let host = printable(&self.host);
        let (process, event) = (self.process, line.event.as_str());
        let mut message = Vec::with_capacity(line.bytes.len() + 96);
        // Writing to a vector does not fail.
        let _: Result<_, _> = write!(
            message,
            "<{priority}>1 {time}Z {host} tds-tracer {process} {event} - "
        );
        message.extend(line.text());
        message
    }
}

/// A header's field has no blanks (section 6): `-` where nothing is left.
fn printable(text: &str) -> String {
    let kept: String = text.chars().filter(char::is_ascii_graphic).collect();
    if kept.is_empty() {
        "-".to_owned()
    } else {
        kept
    }
}

/// Messages one after the other, each with its length.
struct Counted {
    head: Head,
    stream: StreamTo,
}

impl Deliver for Counted {
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble> {
        let mut bytes = Vec::new();
        for line in lines {
            let message = self.head.message(line);
            bytes.extend(message.len().to_string().bytes());
            bytes.push(b' ');
            bytes.extend(message);
        }
        self.stream.send(&bytes)?;
        Ok(Delivered::default())
    }
}

/// Where datagrams go, and the socket that they go by.
enum To {
    Path(PathBuf, Option<UnixDatagram>),
    Host(Host, Option<UdpSocket>),
}

struct Datagrams {
    head: Head,
    to: To,
    /// So many of the lines at hand were sent by an earlier try.
    next: usize,
}

impl Deliver for Datagrams {
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble> {
        while let Some(line) = lines.get(self.next) {
            self.to.send(&self.head.message(line))?;
            self.next += 1;
        }
        self.next = 0;
        Ok(Delivered::default())
    }
}

impl To {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Path(path, socket) => {
                let open = || {
                    let open = UnixDatagram::unbound()?;
                    open.set_write_timeout(Some(PATIENCE))?;
                    open.connect(path.as_path())?;
                    Ok(open)
                };
                through(socket, open, |socket| socket.send(message))
            }
            Self::Host(host, socket) => {
                through(socket, || datagrams(host), |socket| socket.send(message))
            }
        }
    }
}

/// Sends by the socket that is there, or by a new one; one that failed is given up.
fn through<S>(
    place: &mut Option<S>,
    open: impl FnOnce() -> io::Result<S>,
    give: impl Fn(&S) -> io::Result<usize>,
) -> io::Result<()> {
    let socket = match place {
        Some(socket) => socket,
        None => place.insert(open()?),
    };
    let sent = give(socket);
    if sent.is_err() {
        *place = None;
    }
    sent.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Event, Timestamp};

    #[test]
    fn a_message_has_priority_time_host_and_the_event_before_its_line() {
        let head = Head {
            facility: 16,
            host: Text::from("sql 1"),
            process: 7,
        };
        let line = Line {
            event: Event::Login,
            severity: Severity::Error,
            at: Timestamp(1_000_000_001_123_456_789),
            bytes: b"{\"event\":\"login\"}\n".to_vec(),
        };
        assert_eq!(
            String::from_utf8_lossy(&head.message(&line)),
            "<131>1 2001-09-09T01:46:41.123456Z sql1 tds-tracer 7 login - {\"event\":\"login\"}"
        );
    }

    #[test]
    fn a_host_without_a_name_is_a_dash() {
        assert_eq!(printable("\u{e4} "), "-");
    }
}
