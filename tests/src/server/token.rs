//! The tokens of a reply (MS-TDS 2.2.7).

use super::login7::Login7;
use super::prelogin::SERVER_VERSION;

/// Values of DONE's status.
pub mod done {
    /// The last result.
    pub const FINAL: u16 = 0x00;
    /// Another result follows.
    pub const MORE: u16 = 0x01;
    /// The request failed.
    pub const ERROR: u16 = 0x02;
    /// The row count is valid.
    pub const COUNT: u16 = 0x10;
    /// The answer to an attention.
    pub const ATTENTION: u16 = 0x20;
}

/// DONE tokens: of a batch, of a procedure, of a statement in a procedure.
pub mod end {
    /// DONE.
    pub const BATCH: u8 = 0xFD;
    /// DONEPROC.
    pub const PROCEDURE: u8 = 0xFE;
    /// DONEINPROC.
    pub const STATEMENT: u8 = 0xFF;
}

/// Where a client is sent on to.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database, of enhanced routing only.
    pub database: Option<String>,
}

const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];
const SERVER_NAME: &str = "SCENARIO";
const SELECT: u16 = 0xC1;

/// A reply as it grows.
pub struct Reply {
    bytes: Vec<u8>,
    /// TDS 7.2 and later have wider row counts and line numbers.
    wide: bool,
}

impl Reply {
    /// Starts an empty reply.
    pub fn new(wide: bool) -> Self {
        Self {
            bytes: Vec::new(),
            wide,
        }
    }

    /// The message's payload.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// LOGINACK (2.2.7.14).
    #[must_use]
    pub fn login_ack(mut self, login: &Login7) -> Self {
        let version: u32 = match login.version >> 24 {
            0x08 => 0x0800_0000,
            0x73 => 0x730B_0003,
            0x72 => 0x7209_0002,
            0x71 => 0x7100_0001,
            0x70 | 0x07 => 0x0700_0000,
            _ => 0x7400_0004,
        };
        let mut body = vec![1];
        body.extend(version.to_be_bytes());
        body.extend(short_text("Microsoft SQL Server"));
        body.extend(&SERVER_VERSION[..4]);
        self.sized(0xAD, &body);
        self
    }

    /// ERROR (2.2.7.10).
    #[must_use]
    pub fn error(mut self, number: u32, state: u8, class: u8, text: &str) -> Self {
        self.message(0xAA, number, state, class, text);
        self
    }

    /// INFO (2.2.7.13).
    #[must_use]
    pub fn info(mut self, number: u32, state: u8, text: &str) -> Self {
        self.message(0xAB, number, state, 0, text);
        self
    }

    /// ENVCHANGE (2.2.7.9) of a text: database (1), language (2), size (4).
    #[must_use]
    pub fn change(self, kind: u8, new: &str, old: &str) -> Self {
        self.raw_change(kind, &short_text(new), &short_text(old))
    }

    /// ENVCHANGE of the collation.
    #[must_use]
    pub fn collation(self) -> Self {
        let mut new = vec![COLLATION.len() as u8];
        new.extend(COLLATION);
        self.raw_change(7, &new, &[0])
    }

    /// ENVCHANGE of a transaction: begun (8), committed (9), rolled back (10).
    #[must_use]
    pub fn transaction(self, kind: u8, id: u64) -> Self {
        let mut descriptor = vec![8];
        descriptor.extend(id.to_le_bytes());
        match kind {
            8 => self.raw_change(kind, &descriptor, &[0]),
            _ => self.raw_change(kind, &[0], &descriptor),
        }
    }

    /// ENVCHANGE 20, or 21 where the route names a database.
    #[must_use]
    pub fn route(self, route: &Route) -> Self {
        let mut value = vec![0];
        value.extend(route.port.to_le_bytes());
        value.extend(long_text(&route.host));
        let kind = match &route.database {
            Some(database) => {
                value.extend(long_text(database));
                21
            }
            None => 20,
        };
        let mut new = (value.len() as u16).to_le_bytes().to_vec();
        new.extend(value);
        self.raw_change(kind, &new, &[0, 0])
    }

    /// SSPI (2.2.7.22).
    #[must_use]
    pub fn sspi(mut self, blob: &[u8]) -> Self {
        self.sized(0xED, blob);
        self
    }

    /// FEDAUTHINFO (2.2.7.12): where to fetch a token, and for whom.
    #[must_use]
    pub fn fedauth_info(mut self, sts_url: &str, spn: &str) -> Self {
        const ENTRY_LEN: usize = 9;
        let values = [(1, utf16le(sts_url)), (2, utf16le(spn))];
        let mut body = (values.len() as u32).to_le_bytes().to_vec();
        let mut offset = body.len() + values.len() * ENTRY_LEN;
        for (id, value) in &values {
            body.push(*id);
            body.extend((value.len() as u32).to_le_bytes());
            body.extend((offset as u32).to_le_bytes());
            offset += value.len();
        }
        for (_, value) in values {
            body.extend(value);
        }
        self.bytes.push(0xEE);
        self.bytes.extend((body.len() as u32).to_le_bytes());
        self.bytes.extend(body);
        self
    }

    /// FEATUREEXTACK (2.2.7.11).
    #[must_use]
    pub fn features(mut self, acknowledged: &[(u8, Vec<u8>)]) -> Self {
        if acknowledged.is_empty() {
            return self;
        }
        self.bytes.push(0xAE);
        for (id, data) in acknowledged {
            self.bytes.push(*id);
            self.bytes.extend((data.len() as u32).to_le_bytes());
            self.bytes.extend(data);
        }
        self.bytes.push(0xFF);
        self
    }

    /// One column of integers, and its DONE.
    #[must_use]
    pub fn integers(mut self, values: &[i32], token: u8, status: u16) -> Self {
        self.one_column(&[0x38], "value");
        for value in values {
            self.bytes.push(0xD1);
            self.bytes.extend(value.to_le_bytes());
        }
        self.end(token, status | done::COUNT, SELECT, values.len() as u64)
    }

    /// One row of one text, and its DONE.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        let mut column = vec![0xE7];
        column.extend(8000_u16.to_le_bytes());
        column.extend(COLLATION);
        self.one_column(&column, "value");
        self.bytes.push(0xD1);
        let value = utf16le(value);
        self.bytes.extend((value.len() as u16).to_le_bytes());
        self.bytes.extend(value);
        self.end(end::BATCH, done::COUNT, SELECT, 1)
    }

    /// RETURNSTATUS 0 (2.2.7.18).
    #[must_use]
    pub fn return_status(mut self) -> Self {
        self.bytes.extend([0x79, 0, 0, 0, 0]);
        self
    }

    /// RETURNVALUE (2.2.7.19) with an integer, such as a statement's handle.
    #[must_use]
    pub fn return_value(mut self, value: i32) -> Self {
        self.bytes.extend([0xAC, 0, 0, 0, 1]);
        self.user_type();
        self.bytes.extend([0, 0, 0x26, 4, 4]);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// DONE, DONEPROC or DONEINPROC (2.2.7.6-8).
    #[must_use]
    pub fn end(mut self, token: u8, status: u16, command: u16, rows: u64) -> Self {
        self.bytes.push(token);
        self.bytes.extend(status.to_le_bytes());
        self.bytes.extend(command.to_le_bytes());
        if self.wide {
            self.bytes.extend(rows.to_le_bytes());
        } else {
            self.bytes.extend((rows as u32).to_le_bytes());
        }
        self
    }

    /// DONE of a batch without rows.
    #[must_use]
    pub fn done(self, status: u16) -> Self {
        self.end(end::BATCH, status, 0, 0)
    }

    fn one_column(&mut self, type_info: &[u8], name: &str) {
        self.bytes.extend([0x81, 1, 0]);
        self.user_type();
        self.bytes.extend([0x08, 0]);
        self.bytes.extend(type_info);
        self.bytes.extend(short_text(name));
    }

    fn user_type(&mut self) {
        self.bytes
            .extend(if self.wide { &[0; 4][..] } else { &[0; 2][..] });
    }

    fn message(&mut self, token: u8, number: u32, state: u8, class: u8, text: &str) {
        let mut body = number.to_le_bytes().to_vec();
        body.extend([state, class]);
        body.extend(long_text(text));
        body.extend(short_text(SERVER_NAME));
        body.push(0);
        body.extend(if self.wide {
            &[1, 0, 0, 0][..]
        } else {
            &[1, 0][..]
        });
        self.sized(token, &body);
    }

    fn raw_change(mut self, kind: u8, new: &[u8], old: &[u8]) -> Self {
        self.sized(0xE3, &[&[kind], new, old].concat());
        self
    }

    fn sized(&mut self, token: u8, body: &[u8]) {
        self.bytes.push(token);
        self.bytes.extend((body.len() as u16).to_le_bytes());
        self.bytes.extend(body);
    }
}

/// Text as UTF-16LE.
pub fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn short_text(text: &str) -> Vec<u8> {
    let units = utf16le(text);
    [&[(units.len() / 2) as u8], units.as_slice()].concat()
}

fn long_text(text: &str) -> Vec<u8> {
    let units = utf16le(text);
    [&((units.len() / 2) as u16).to_le_bytes(), units.as_slice()].concat()
}
