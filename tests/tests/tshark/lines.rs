//! What `replay` writes against what tshark reads.

use std::{collections::BTreeMap, path::Path};

use harness::{
    decoded::{Key, SMP, Said, TDS},
    replay::{events, field},
};
use serde_json::{Value, json};

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// A field of a line: its path, who says it, and tshark's name for it.
struct Field {
    path: &'static str,
    side: usize,
    what: &'static str,
    /// From all that tshark reads, in order, to what the line must say.
    meaning: fn(&[String]) -> Value,
}

const FIELDS: &[Field] = &[
    Field::new(
        "tds.encryption_asked",
        CLIENT,
        "prelogin.encryption",
        encryption,
    ),
    Field::new(
        "tds.encryption_answered",
        SERVER,
        "prelogin.encryption",
        encryption,
    ),
    Field::new("tds.mars", SERVER, "prelogin.mars", |values| {
        json!(values[0] == "1")
    }),
    Field::new(
        "tds.fedauth_required",
        SERVER,
        "prelogin.fedauth_required",
        |values| json!(values[0] == "1"),
    ),
    Field::new(
        "tds.client_version",
        CLIENT,
        "prelogin.version",
        product_version,
    ),
    Field::new(
        "tds.server_version",
        SERVER,
        "prelogin.version",
        product_version,
    ),
    Field::new(
        "tds.connection_guid",
        CLIENT,
        "prelogin.trace_id",
        |values| guid(&values[0], 0),
    ),
    Field::new("tds.activity_guid", CLIENT, "prelogin.trace_id", |values| {
        guid(&values[0], 16)
    }),
    Field::new("tds.version", SERVER, "loginack.tds_version", tds_version),
    Field::new("tds.server_program", SERVER, "loginack.program", first),
    Field::new(
        "tds.packet_size",
        SERVER,
        "envchange.packet_size",
        last_number,
    ),
    Field::new("tds.spid", SERVER, TDS, session_id),
    Field::new("tls.version", SERVER, "server hello.version", tls_version),
    Field::new("tls.cipher", SERVER, "server hello.cipher_name", last),
    Field::new("tls.sni", CLIENT, "client hello.server_name", last),
    Field::new("login.error.number", SERVER, "error.number", first_number),
    Field::new("login.error.state", SERVER, "error.state", first_number),
    Field::new("login.error.class", SERVER, "error.class", first_number),
    Field::new("login.database", SERVER, "envchange.database", last),
    Field::new("login.app_name", CLIENT, "login7.app_name", last),
    Field::new("login.client_library", CLIENT, "login7.library", last),
];

impl Field {
    const fn new(
        path: &'static str,
        side: usize,
        what: &'static str,
        meaning: fn(&[String]) -> Value,
    ) -> Self {
        Self {
            path,
            side,
            what,
            meaning,
        }
    }

    /// Whether the reply to a login says it.
    fn is_of_reply(&self) -> bool {
        let before = ["prelogin.", "server hello."];
        self.side == SERVER && !before.iter().any(|what| self.what.starts_with(what))
    }
}

/// How many fields of a capture's lines were compared, and those that differ.
pub(crate) fn compare(
    capture: &Path,
    ends: &BTreeMap<u32, [u16; 2]>,
    theirs: &Said,
) -> (usize, Vec<String>) {
    let events = events(capture).unwrap();
    let mut compared = 0;
    let mut rows = Vec::new();
    let mut judge = |path: &str, line: &Value, expected: Value| {
        compared += 1;
        let said = field(line, path).cloned().unwrap_or_default();
        if said != expected {
            let client = &line["client"]["port"];
            rows.push(format!("{client} {path}: {said}, by tshark {expected}"));
        }
    };
    let closes = connections(&events, ends, "close");
    for (stream, line) in connections(&events, ends, "login") {
        // Its reply came when the client had given up, and the login was told.
        let is_late = closes
            .iter()
            .any(|(other, close)| *other == stream && !close["login"]["late_reply_ns"].is_null());
        for field in FIELDS
            .iter()
            .filter(|field| !is_late || !field.is_of_reply())
        {
            let values = theirs.get(&key(stream, ends[&stream][field.side], field.what));
            // Of a connection joined late no login's reply is known, whose header this is.
            let unknown = field.what == TDS && line["connection"]["partial"] == true;
            if values.is_empty() || unknown {
                continue;
            }
            // A server says no to MARS also where its client did not speak of it.
            let asked = theirs.get(&key(stream, ends[&stream][CLIENT], field.what));
            let is_unasked = field.path == "tds.mars" && asked.is_empty();
            let meaning = (!is_unasked).then(|| (field.meaning)(values));
            judge(field.path, line, meaning.unwrap_or_default());
        }
    }
    for (stream, line) in closes {
        let packets = theirs.get(&key(stream, ends[&stream][CLIENT], SMP));
        let opened = packets
            .iter()
            .filter(|packet| packet.starts_with("flags 0x01"));
        if !packets.is_empty() {
            judge("mars.sessions", line, json!(opened.count()));
        }
    }
    (compared, rows)
}

fn key(stream: u32, source: u16, what: &'static str) -> Key {
    Key {
        stream,
        source,
        what,
    }
}

/// Lines of a kind with the numbers of their connections. Of connections with the same ports, the
/// one that starts first has the lower number.
fn connections<'a>(
    events: &'a [Value],
    ends: &BTreeMap<u32, [u16; 2]>,
    kind: &str,
) -> Vec<(u32, &'a Value)> {
    let mut lines: Vec<_> = events.iter().filter(|line| line["event"] == kind).collect();
    lines.sort_by_key(|line| line["connection"]["start"].as_str());
    let mut taken = Vec::new();
    for line in lines {
        let ports = [&line["client"]["port"], &line["server"]["port"]];
        let fits = |(stream, own): &(&u32, &[u16; 2])| {
            json!(own) == json!(ports) && !taken.iter().any(|(other, _)| other == *stream)
        };
        if let Some((stream, _)) = ends.iter().find(fits) {
            taken.push((*stream, line));
        }
    }
    taken
}

fn first(values: &[String]) -> Value {
    json!(values[0])
}

fn last(values: &[String]) -> Value {
    json!(values[values.len() - 1])
}

fn first_number(values: &[String]) -> Value {
    json!(number(&values[0]))
}

fn last_number(values: &[String]) -> Value {
    json!(number(&values[values.len() - 1]))
}

fn number(value: &str) -> u32 {
    value.parse().unwrap()
}

fn encryption(values: &[String]) -> Value {
    let value = number(&values[0]);
    let name = ["off", "on", "not_sup", "req"][(value & 0x03) as usize];
    // MS-TDS 2.2.6.5: the client has a certificate too.
    if value & 0x80 == 0 {
        json!(name)
    } else {
        json!(format!("client_cert_{name}"))
    }
}

fn product_version(values: &[String]) -> Value {
    let [major, minor, high, low] = number(&values[0]).to_be_bytes();
    json!(format!(
        "{major}.{minor}.{}.0",
        u16::from_be_bytes([high, low])
    ))
}

/// MS-TDS 2.2.7.14.
fn tds_version(values: &[String]) -> Value {
    json!(match number(&values[0]) {
        0x0700_0000 => "7.0",
        0x7100_0001 => "7.1",
        0x7209_0002 => "7.2",
        0x730A_0003 | 0x730B_0003 => "7.3",
        0x7400_0004 => "7.4",
        0x0800_0000 => "8.0",
        other => panic!("{other:#x} is no version of TDS"),
    })
}

fn tls_version(values: &[String]) -> Value {
    json!(match number(&values[values.len() - 1]) {
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 => "1.3",
        other => panic!("{other:#x} is no version of TLS"),
    })
}

/// The first channel that is not 0, as the headers name it.
fn session_id(values: &[String]) -> Value {
    let mut channels = values.iter().filter_map(|header| {
        let (_, rest) = header.split_once("channel ")?;
        rest.split_once(',')?.0.parse::<u32>().ok()
    });
    channels
        .find(|channel| *channel != 0)
        .map_or(Value::Null, Value::from)
}

/// A GUID's text from its bytes, of which the first eight are little-endian numbers.
fn guid(bytes: &str, from: usize) -> Value {
    let bytes: Vec<_> = bytes.split(':').skip(from).take(16).collect();
    if bytes.iter().all(|byte| *byte == "00") {
        return Value::Null;
    }
    let part = |order: &[usize]| order.iter().map(|at| bytes[*at]).collect::<String>();
    json!(
        [
            part(&[3, 2, 1, 0]),
            part(&[5, 4]),
            part(&[7, 6]),
            part(&[8, 9]),
            part(&[10, 11, 12, 13, 14, 15])
        ]
        .join("-")
    )
}
