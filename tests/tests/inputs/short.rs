//! Captures that end early, and packets of which only the first bytes were kept.

use std::fs;
use std::process::Command;

use harness::expect::LOGIN_PHASES;
use harness::pcap::Temporary;
use harness::root::skip;
use serde_json::{Map, Value};

use crate::{CAPTURES, capture, outcome, truth};

/// Facts of a login that are either as they are or not known.
const FACTS: [&str; 6] = ["client", "server", "tds", "tls", "auth", "login"];
/// What depends on how much was seen.
const OF_WHAT_WAS_SEEN: [&str; 6] = [
    "login.duration_ns",
    "login.basis",
    "login.confidence",
    "auth.rounds",
    "auth.controller_ns",
    "tls.resumed",
];

/// What is said that is not so.
fn untruths(said: &Value, truth: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
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
        if said[fact].as_object().is_some_and(Map::is_empty) {
            wrong.push(format!("{fact} without anything in it"));
        }
    }
    wrong
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
        let (said, truth) = (of(lines), of(truth));
        assert!(said.len() <= truth.len(), "{title}: {said:#?}");
        for (said, truth) in said.iter().zip(&truth) {
            let wrong = untruths(said, truth);
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

#[test]
fn packets_cut_to_a_snap_length_give_nothing_that_is_not_so() {
    for name in CAPTURES.into_iter().chain(OF_THEIR_TAILS) {
        let truth = truth(name);
        for length in (14..80).step_by(3).chain((80..600).step_by(23)) {
            let mut editcap = Command::new("editcap");
            editcap.args(["-F", "nsecpcap", "-s", &length.to_string()]);
            let Ok(output) = editcap.arg(capture(name)).arg("-").output() else {
                skip("editcap", "packets cut to a snap length");
                return;
            };
            assert!(output.status.success());
            let file = Temporary::new("snapped.pcap", &output.stdout).unwrap();
            let (status, lines, log) = outcome([file.path()]);
            let title = format!("{name}, {length} bytes of each packet");
            assert_eq!(status, Some(0), "{title}: {log}");
            assert_no_untruth(&title, &lines, &truth);
        }
    }
}

#[test]
fn headers_alone_still_tell_the_handshake_the_counters_and_the_close() {
    for name in CAPTURES {
        let truth = truth(name);
        let mut editcap = Command::new("editcap");
        // Ethernet, IPv6 and TCP with its options.
        editcap.args(["-F", "nsecpcap", "-s", "94"]);
        let Ok(output) = editcap.arg(capture(name)).arg("-").output() else {
            skip("editcap", "headers alone");
            return;
        };
        let file = Temporary::new("headers.pcap", &output.stdout).unwrap();
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
