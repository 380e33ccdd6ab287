//! What tshark says of a capture.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::pdml::{self, Field};
use super::{SMP, Said, TDS, TDS_IN_SMP, TLS, smp_header, tds_header, tls_header};

/// TDS packet types with which a client that has logged in asks for something.
const REQUESTS: [u32; 4] = [1, 3, 7, 14];
const END_OF_MESSAGE: u32 = 0x01;
const FEATURE_ID: &str = "tds.featureextack.featureid";
const FEATURE_END: u32 = 255;
const CLIENT_HELLO: u32 = 1;
const SERVER_HELLO: u32 = 2;

/// Fields of a client's PRELOGIN and of its answer, by tshark's name and by ours.
const PRELOGIN: [(&str, &str); 6] = [
    ("tds.prelogin.option.version", "prelogin.version"),
    ("tds.prelogin.option.subbuild", "prelogin.sub_build"),
    ("tds.prelogin.option.encryption", "prelogin.encryption"),
    ("tds.prelogin.option.mars", "prelogin.mars"),
    ("tds.prelogin.option.traceid", "prelogin.trace_id"),
    (
        "tds.prelogin.option.fedauthrequired",
        "prelogin.fedauth_required",
    ),
];

/// Fields of LOGIN7.
const LOGIN7: [(&str, &str); 9] = [
    ("tds.7login.version", "login7.tds_version"),
    ("tds.7login.packet_size", "login7.packet_size"),
    ("tds.7login.client_pid", "login7.client_pid"),
    ("tds.7login.clientname", "login7.host_name"),
    ("tds.7login.username", "login7.user_name"),
    ("tds.7login.appname", "login7.app_name"),
    ("tds.7login.libraryname", "login7.library"),
    ("tds.7login.locale", "login7.language"),
    ("tds.7login.databasename", "login7.database"),
];

/// Fields of the tokens of a login's replies.
const TOKENS: [(&str, &str); 13] = [
    ("tds.loginack.interface", "loginack.interface"),
    ("tds.loginack.tdsversion", "loginack.tds_version"),
    ("tds.loginack.progname", "loginack.program"),
    ("tds.loginack.progversion", "loginack.version"),
    ("tds.error.number", "error.number"),
    ("tds.error.state", "error.state"),
    ("tds.error.class", "error.class"),
    ("tds.info.number", "info.number"),
    ("tds.info.state", "info.state"),
    ("tds.info.class", "info.class"),
    ("tds.envchange.type", "envchange.type"),
    (FEATURE_ID, "featureextack.id"),
    ("tds.done.status", "done.status"),
];

/// What tshark says of a capture, and the number of each packet's connection, `None` for what is
/// no TCP.
#[derive(Default)]
pub struct Account {
    /// What is said.
    pub said: Said,
    /// Numbers of connections, by packet.
    pub streams: Vec<Option<u32>>,
}

/// What tshark says of a capture whose servers listen on these ports, where `protocol` is `tds`
/// or, for connections in which TLS comes first, `tls`.
pub fn account(capture: &Path, ports: &BTreeSet<u16>, protocol: &str) -> Result<Account> {
    let each = ports.iter();
    let options = each.flat_map(|port| ["-d".to_owned(), format!("tcp.port=={port},{protocol}")]);
    let packets = pdml::packets(capture, &options.collect::<Vec<_>>())?;
    let mut reading = Reading::default();
    let mut streams = Vec::new();
    for fields in &packets {
        streams.push(pdml::number(fields, "tcp.stream"));
        reading.packet(fields);
    }
    Ok(Account {
        said: reading.said,
        streams,
    })
}

/// Packets read one after the other.
#[derive(Default)]
struct Reading {
    said: Said,
    /// Connections that went on to requests.
    logged_in: BTreeSet<u32>,
    /// Sides amid a message of several packets.
    amid: BTreeSet<(u32, u16)>,
}

/// One packet being read.
#[derive(Default)]
struct Position {
    side: (u32, u16),
    /// The outermost protocol of the fields.
    protocol: String,
    smp: bool,
    /// The numbers of the header that is being read.
    header: Vec<u32>,
    handshake: u32,
    ciphers: u32,
    version: u32,
    /// Type of the ENVCHANGE that is being read.
    change: u32,
}

impl Reading {
    fn packet(&mut self, fields: &[Field]) {
        let number = |name| pdml::number(fields, name);
        let (Some(stream), Some(source)) = (number("tcp.stream"), number("tcp.srcport")) else {
            return;
        };
        let mut position = Position {
            side: (stream, source as u16),
            ..Position::default()
        };
        for field in fields {
            if field.depth == 0 {
                position.protocol.clone_from(&field.name);
                position.smp |= field.name == "smp";
            }
            match field.name.split('.').next() {
                Some("tds") => self.tds(&mut position, field),
                Some("smp") => self.smp(&mut position, field),
                Some("tls") => self.tls(&mut position, field),
                _ => {}
            }
        }
        self.end_of_hello(&mut position);
    }

    fn tds(&mut self, position: &mut Position, field: &Field) {
        let side = position.side;
        let value = field.number().unwrap_or_default();
        match field.name.as_str() {
            "tds.type" => position.header = vec![value],
            "tds.status" | "tds.length" => position.header.push(value),
            "tds.channel" => {
                position.header.push(value);
                self.tds_header(position);
            }
            _ => {}
        }
        for (name, what) in PRELOGIN.iter().chain(&LOGIN7) {
            // An option without a value says nothing.
            if field.name == *name && !field.bytes.is_empty() {
                self.said.add(side, what, plain(field));
            }
        }
        if field.name == "tds.prelogin.option.threadid" {
            self.said.add(side, "prelogin.thread_id", &field.bytes);
        }
        if self.logged_in.contains(&side.0) {
            return;
        }
        for (name, what) in TOKENS {
            // The end of the list of features is no feature.
            let end = name == FEATURE_ID && value == FEATURE_END;
            if field.name == name && !end {
                self.said.add(side, what, plain(field));
            }
        }
        match field.name.as_str() {
            "tds.envchange.type" => position.change = value,
            "tds.envchange.newvalue_string" => {
                let what = match position.change {
                    1 => "envchange.database",
                    4 => "envchange.packet_size",
                    _ => return,
                };
                self.said.add(side, what, &field.show);
            }
            _ => {}
        }
    }

    fn tds_header(&mut self, position: &Position) {
        let &[kind, status, length, channel] = position.header.as_slice() else {
            return;
        };
        let side = position.side;
        if REQUESTS.contains(&kind) {
            self.logged_in.insert(side.0);
        }
        let header = tds_header(kind as u8, status as u8, channel as u16, length);
        if position.smp {
            self.said.add(side, TDS_IN_SMP, header);
            return;
        }
        if !self.amid.contains(&side) {
            self.said.add(side, TDS, header);
        }
        if status & END_OF_MESSAGE == 0 {
            self.amid.insert(side);
        } else {
            self.amid.remove(&side);
        }
    }

    fn smp(&mut self, position: &mut Position, field: &Field) {
        let value = field.number().unwrap_or_default();
        match field.name.as_str() {
            "smp.smid" => position.header.clear(),
            "smp.flags" | "smp.sid" | "smp.length" | "smp.seqnum" => position.header.push(value),
            "smp.wndw" => {
                if let &[flags, sid, length, seqnum] = position.header.as_slice() {
                    let header = smp_header(flags as u8, sid as u16, length, seqnum, value);
                    self.said.add(position.side, SMP, header);
                }
                self.logged_in.insert(position.side.0);
            }
            _ => {}
        }
    }

    fn tls(&mut self, position: &mut Position, field: &Field) {
        let side = position.side;
        let value = field.number().unwrap_or_default();
        match field.name.as_str() {
            "tls.record.content_type" | "tls.record.opaque_type" => position.header = vec![value],
            "tls.record.length" if position.protocol == "tls" => {
                if let Some(kind) = position.header.first() {
                    // The header itself is not counted in.
                    let header = tls_header(*kind as u8, value + 5);
                    self.said.add(side, TLS, header);
                }
            }
            "tls.handshake.type" => {
                self.end_of_hello(position);
                position.handshake = value;
            }
            "tls.handshake.ciphersuite" if position.handshake == CLIENT_HELLO => {
                position.ciphers += 1;
            }
            "tls.handshake.ciphersuite" if position.handshake == SERVER_HELLO => {
                self.said.add(side, "server hello.cipher", value);
                // `Cipher Suite: NAME (0xc030)`
                let name = field.label.split(' ').nth(2).unwrap_or_default();
                self.said.add(side, "server hello.cipher_name", name);
            }
            "tls.handshake.version" if position.handshake == CLIENT_HELLO => {
                self.said.add(side, "client hello.version", value);
            }
            // The extension comes later and says more.
            "tls.handshake.version" | "tls.handshake.extensions.supported_version"
                if position.handshake == SERVER_HELLO =>
            {
                position.version = value;
            }
            "tls.handshake.extensions_server_name" => {
                self.said.add(side, "client hello.server_name", &field.show);
            }
            "tls.handshake.extensions_alpn_str" => {
                self.said.add(side, "hello.alpn", &field.show);
            }
            _ => {}
        }
    }

    /// Says what is known only once a whole hello was read.
    fn end_of_hello(&mut self, position: &mut Position) {
        let (side, ciphers, version) = (position.side, position.ciphers, position.version);
        match position.handshake {
            CLIENT_HELLO => self.said.add(side, "client hello.ciphers", ciphers),
            SERVER_HELLO => self.said.add(side, "server hello.version", version),
            _ => {}
        }
        position.handshake = 0;
        position.ciphers = 0;
    }
}

/// A field's value: numbers in decimal, texts as they are.
fn plain(field: &Field) -> String {
    match field.number() {
        Some(number) => number.to_string(),
        None => field.show.clone(),
    }
}
