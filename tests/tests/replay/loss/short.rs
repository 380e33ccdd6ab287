//! Captures that end early, and packets of which only the first bytes were kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::expect::LOGIN_PHASES;
use harness::pcap::Temporary;
use harness::replay::{captures, events};
use harness::root::skip;
use serde_json::{Map, Value, json};

use crate::inputs::{CAPTURES, capture, outcome, truth};

/// Facts of a login that are either as they are or not known.
const FACTS: [&str; 6] = ["client", "server", "tds", "tls", "auth", "login"];
/// What depends on how much was seen.
const OF_WHAT_WAS_SEEN: [&str; 10] = [
    "login.duration_ns",
    "login.client_ns",
    "login.server_ns",
    "login.network_ns",
    "login.slowest_phase",
    "login.basis",
    "login.confidence",
    "auth.rounds",
    "auth.controller_ns",
    "tls.resumed",
];

/// What is said that is not so.
fn untruths(said: &Value, truth: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut truth = truth.clone();
    if truth["login"]["loser"] == true && said["login"]["loser"].is_null() {
        // The one that was faster was not seen: then it is one that says nothing.
        truth["login"]["loser"].take();
        truth["login"]["stranger"] = "silent".into();
    }
    let truth = &truth;
    for fact in FACTS {
        contradictions(fact, &said[fact], &truth[fact], &mut wrong);
    }
    let unsure = said["login"]["outcome"] == "unknown";
    let partial = said["connection"]["partial"] == true;
    // Those after the login go on for as long as something is seen of them. Of a partial login
    // phases may be one that were two, where nothing shows what divides them.
    for name in LOGIN_PHASES {
        let (phase, whole) = (&said["phases"][name], &truth["phases"][name]);
        let divided = !partial || phase["start_ns"] == whole["start_ns"];
        if divided && phase["complete"] == true && phase["duration_ns"] != whole["duration_ns"] {
            wrong.push(format!("phases.{name}: {phase}, {whole}"));
        }
    }
    if unsure && !partial {
        wrong.push("unknown, and not partial".to_owned());
    }
    for fact in FACTS {
        let untold = untold(fact, &truth[fact], &said[fact]);
        wrong.extend(untold.filter(|_| !partial));
    }
    for fact in FACTS {
        if said[fact].as_object().is_some_and(Map::is_empty) {
            wrong.push(format!("{fact} without anything in it"));
        }
    }
    wrong
}

/// A fact that is left out, if one is.
fn untold(path: &str, truth: &Value, said: &Value) -> Option<String> {
    match truth {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| untold(&format!("{path}.{name}"), value, &said[name])),
        _ => (said.is_null() && !truth.is_null()).then(|| format!("{path} is left out")),
    }
}

fn contradictions(path: &str, said: &Value, truth: &Value, wrong: &mut Vec<String>) {
    if let Some(fields) = said.as_object() {
        for (name, value) in fields {
            contradictions(&format!("{path}.{name}"), value, &truth[name], wrong);
        }
        return;
    }
    // Of a token that was cut only its kind may be left.
    let vague = path == "auth.kind" && said == "spnego" && truth != "sql";
    // Before a later decision there is time for an alert.
    let later = path.starts_with("tls.alert") && truth.is_null();
    // SQL Browser and the client may spell the same name in their own ways.
    let text = |value: &Value| value.as_str().map(str::to_lowercase);
    let spelt = path == "server.instance" && text(said) == text(truth);
    let vague = vague || later || spelt;
    let open = said.is_null() || said == "unknown" || vague || OF_WHAT_WAS_SEEN.contains(&path);
    if !open && said != truth {
        wrong.push(format!("{path}: {said}, {truth}"));
    }
}

/// Every login of a file that is part of a capture is as in the whole, as far as it goes.
fn assert_no_untruth(title: &str, lines: &[Value], truth: &[Value]) {
    for kind in ["login", "close"] {
        let of = |lines: &[Value]| -> Vec<Value> {
            lines
                .iter()
                .filter(|line| line["event"] == kind)
                .cloned()
                .collect()
        };
        for said in of(lines) {
            let is_same = |line: &&Value| {
                let name = ["client", "server"].map(|side| &line[side]);
                let ours = ["client", "server"].map(|side| &said[side]);
                let starts = [line, &&said].map(|line| &line["connection"]["start"]);
                name.map(|side| &side["port"]) == ours.map(|side| &side["port"])
                    && starts[0] == starts[1]
            };
            let truth = of(truth).into_iter().find(|line| is_same(&line));
            let truth = truth.unwrap_or_else(|| panic!("{title}: {said:#}"));
            let wrong = untruths(&said, &truth);
            assert!(wrong.is_empty(), "{title}, {kind}: {wrong:#?}\n{said:#}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_says_so_and_nothing_that_is_not_so() {
    for name in CAPTURES {
        let truth = truth(name);
        let whole = fs::read(capture(name)).unwrap();
        for at in (25..whole.len()).step_by(whole.len() / 80) {
            let cut = Temporary::new("cut.pcap", &whole[..at]).unwrap();
            let (status, lines, log) = outcome([cut.path()]);
            let title = format!("{name} cut at {at}");
            assert_eq!(status, Some(0), "{title}: {log}");
            // A cut between two packets is none.
            let amid = log.contains("ends inside a packet");
            assert!(amid || ends_with_a_packet(&whole, at), "{title}: {log}");
            assert_no_untruth(&title, &lines, &truth);
        }
    }
}

/// Whether a packet of a pcap file ends at this byte.
fn ends_with_a_packet(file: &[u8], end: usize) -> bool {
    let mut at = 24;
    while at < end {
        let len = [8, 9, 10, 11].map(|byte| file[at + byte]);
        at += 16 + u32::from_le_bytes(len) as usize;
    }
    at == end
}

/// More whose tails matter: redirects, refusals, and what is no login though its headers look so.
const OF_THEIR_TAILS: [&str; 6] = [
    "mssqltds-mock-routing",
    "odbc18-lab-loginfailed",
    "odbc18-lab-krb-loginonly",
    "../drivers/https-on-1433",
    "../drivers/random-on-1433",
    "../drivers/tsql-full12-ntlm-refused",
];

/// The first bytes of each packet of a capture.
fn snapped(capture: &Path, length: usize) -> Option<Temporary> {
    let mut editcap = Command::new("editcap");
    editcap.args(["-F", "nsecpcap", "-s", &length.to_string()]);
    let Ok(output) = editcap.arg(capture).arg("-").output() else {
        skip("editcap", "packets cut to a snap length");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(Temporary::new("snapped.pcap", &output.stdout).unwrap())
}

/// What is said of captures whose packets are cut to each of these lengths.
fn assert_no_untruth_in_short(captures: impl IntoIterator<Item = PathBuf>, lengths: &[usize]) {
    for capture in captures {
        let truth = events(&capture).unwrap();
        for length in lengths {
            let Some(file) = snapped(&capture, *length) else {
                return;
            };
            let (status, lines, log) = outcome([file.path()]);
            let title = format!("{}, {length} bytes of each packet", capture.display());
            assert_eq!(status, Some(0), "{title}: {log}");
            assert_no_untruth(&title, &lines, &truth);
        }
    }
}

#[test]
fn packets_cut_to_a_snap_length_give_nothing_that_is_not_so() {
    let captures = CAPTURES.into_iter().chain(OF_THEIR_TAILS).map(capture);
    let lengths: Vec<_> = (14..80).step_by(3).chain((80..600).step_by(23)).collect();
    assert_no_untruth_in_short(captures, &lengths);
}

#[test]
fn at_the_usual_snap_lengths_no_driver_s_login_is_told_wrong() {
    let drivers = capture("../drivers");
    for folder in [captures(), drivers.with_extension("")] {
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "pcap"));
        assert_no_untruth_in_short(paths, &[68, 96, 128, 172, 256, 425]);
    }
}

/// A pcap file in which each packet that this is true of is cut to a length.
fn cut(whole: &[u8], length: usize, is_cut: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (header, mut rest) = whole.split_at(24);
    let mut file = header.to_vec();
    while let Some((head, packets)) = rest.split_first_chunk::<16>() {
        let kept = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let (packet, others) = packets.split_at(kept as usize);
        let left = if is_cut(packet) {
            &packet[..length.min(packet.len())]
        } else {
            packet
        };
        file.extend(&head[..8]);
        file.extend((left.len() as u32).to_le_bytes());
        file.extend([&head[12..], left].concat());
        rest = others;
    }
    file
}

#[test]
fn a_login_packet_that_alone_was_cut_makes_its_connection_partial() {
    let name = CAPTURES[0];
    let truth = truth(name);
    let whole = fs::read(capture(name)).unwrap();
    // Behind Ethernet, IPv4, and TCP with its times: LOGIN7, in one packet.
    let is_login = |packet: &[u8]| packet.get(66..68) == Some(&[0x10, 1]);
    for length in (54..500).step_by(7) {
        let file = cut(&whole, length, is_login);
        let is_cut = file.len() < whole.len();
        let file = Temporary::new("login.pcap", &file).unwrap();
        let (_, lines, _) = outcome([file.path()]);
        assert_eq!(lines[0]["connection"]["partial"], is_cut, "{length}");
        let reasons = &lines[0]["connection"]["partial_reasons"];
        assert!(!is_cut || reasons == &json!(["gap"]), "{length}: {reasons}");
        assert_no_untruth(&format!("{length} bytes of the login"), &lines, &truth);
    }
}

#[test]
fn headers_alone_still_tell_the_handshake_the_counters_and_the_close() {
    for name in CAPTURES {
        let truth = truth(name);
        // Ethernet, IPv6 and TCP with its options.
        let Some(file) = snapped(&capture(name), 94) else {
            return;
        };
        let (_, lines, _) = outcome([file.path()]);
        let close = |lines: &[Value]| lines.iter().find(|line| line["event"] == "close").cloned();
        let (said, truth) = (close(&lines).unwrap(), close(&truth).unwrap());
        for path in [
            "/tcp",
            "/close/by",
            "/close/how",
            "/phases/handshake/duration_ns",
        ] {
            assert_eq!(
                said.pointer(path),
                truth.pointer(path),
                "{name} {path}: {said:#}"
            );
        }
    }
}
