//! systemd's journal by its own protocol: each record with its JSON line as the message, and its values as fields that
//! `journalctl` finds.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: a datagram of `FIELD=value` lines. `login.outcome` is `TDS_LOGIN_OUTCOME`.

use std::{io, os::unix::net::UnixDatagram, path::PathBuf};

use serde_json::Value;

use super::{
    address::PATIENCE,
    deliver::{Deliver, Delivered, Trouble},
    line::Line,
};
use crate::record::Severity;

/// Where the journal listens.
pub const USUAL: &str = "/run/systemd/journal/socket";
/// A field's name has so many characters at most.
const NAME: usize = 64;

/// As it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journald {
    /// Where it listens.
    pub path: PathBuf,
}

impl Journald {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "other receivers read files for this"
    )]
    pub(super) fn open(&self) -> io::Result<Box<dyn Deliver>> {
        Ok(Box::new(Journal {
            path: self.path.clone(),
            socket: None,
            next: 0,
        }))
    }
}

struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// So many of the lines at hand were sent by an earlier try.
    next: usize,
}

impl Deliver for Journal {
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble> {
        while let Some(line) = lines.get(self.next) {
            self.send(&entry(line))?;
            self.next += 1;
        }
        self.next = 0;
        Ok(Delivered::default())
    }
}

impl Journal {
    fn send(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            place => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                socket.connect(&self.path)?;
                place.insert(socket)
            }
        };
        let sent = socket.send(entry);
        if sent.is_err() {
            self.socket = None;
        }
        sent.map(drop)
    }
}

/// A record as the journal takes it.
fn entry(line: &Line) -> Vec<u8> {
    let mut entry = Vec::with_capacity(line.bytes.len() * 3);
    let priority = match line.severity {
        Severity::Error => "3",
        Severity::Warn => "4",
        Severity::Info => "6",
    };
    put("PRIORITY", priority.as_bytes(), &mut entry);
    put("SYSLOG_IDENTIFIER", b"tds-tracer", &mut entry);
    put("MESSAGE", line.text(), &mut entry);
    // What the agent has written is JSON.
    if let Ok(value) = serde_json::from_slice(line.text()) {
        fields("TDS", &value, &mut entry);
    }
    entry
}

/// Each value by the path that leads to it; a list's values have the same name.
fn fields(name: &str, value: &Value, entry: &mut Vec<u8>) {
    match value {
        Value::Object(below) => {
            for (key, value) in below {
                fields(&format!("{name}_{}", key.to_uppercase()), value, entry);
            }
        }
        Value::Array(items) => {
            for item in items {
                fields(name, item, entry);
            }
        }
        Value::String(text) => put(name, text.as_bytes(), entry),
        value => put(name, value.to_string().as_bytes(), entry),
    }
}

/// A field: in one line, or with its length where it has several.
fn put(name: &str, value: &[u8], entry: &mut Vec<u8>) {
    if name.len() > NAME {
        return;
    }
    entry.extend(name.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() => byte,
        _ => b'_',
    }));
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Event, Timestamp};

    #[test]
    fn each_value_is_a_field_by_its_path() {
        let line = Line {
            event: Event::Login,
            severity: Severity::Warn,
            at: Timestamp(0),
            bytes: br#"{"login":{"outcome":"failed","ok":false},"list":[{"a":1},{"a":"x\ny"}]}"#
                .to_vec(),
        };
        let mut expected = [
            "PRIORITY=4\nSYSLOG_IDENTIFIER=tds-tracer\nMESSAGE=",
            r#"{"login":{"outcome":"failed","ok":false},"list":[{"a":1},{"a":"x\ny"}]}"#,
            "\nTDS_LIST_A=1\nTDS_LIST_A\n",
        ]
        .concat()
        .into_bytes();
        expected.extend(3_u64.to_le_bytes());
        expected.extend(b"x\ny\nTDS_LOGIN_OK=false\nTDS_LOGIN_OUTCOME=failed\n");
        assert_eq!(entry(&line), expected);
    }
}
