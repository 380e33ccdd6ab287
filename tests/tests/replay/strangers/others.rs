//! Other protocols on their own ports, as their own programs spoke them on one host: databases and
//! caches, the web with and without TLS and with and without ALPN, mail, files, and Sybase's TDS.

use std::fs;
use std::path::{Path, PathBuf};

use harness::pcap;
use tracer_ebpf::first::{First, first};

use crate::inputs::{lines, outcome, written};

/// What may come of a connection that is no login.
const UNDECIDED: [&str; 4] = ["aborted", "closed", "reset", "unknown"];

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/others");
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_other_protocol_is_taken_for_a_login_whether_alone_or_among_others() {
    let captures = captures();
    assert!(captures.len() >= 25);
    for capture in &captures {
        let said = lines(capture, &[]);
        assert!(said.is_empty(), "{}: {said:#?}", capture.display());
    }
    let (status, said, log) = outcome(&captures);
    assert_eq!((status, said.len()), (Some(0), 0), "{log}{said:#?}");
}

#[test]
fn of_another_protocol_on_a_watched_port_nothing_is_said_of_tds() {
    for capture in captures() {
        let port = server_port(&capture).to_string();
        let said = lines(&capture, &["--port", &port]);
        let title = capture.display();
        assert_eq!(said[0]["event"], "login", "{title}: {said:#?}");
        for line in &said {
            if line["event"] == "loss" {
                continue;
            }
            if line["event"] == "attempt" {
                assert_eq!(line["attempt"]["parts"][0]["kind"], "connect", "{title}");
                continue;
            }
            let outcome = line["login"]["outcome"].as_str().unwrap();
            assert!(UNDECIDED.contains(&outcome), "{title}: {line:#}");
            // Of TLS that names no protocol nothing may tell whose it is.
            let is_named = line["login"]["stranger"].is_string();
            assert!(is_named || line["tls"].is_object(), "{title}: {line:#}");
            for nothing in ["tds", "auth", "mars", "requests"] {
                assert_eq!(line.get(nothing), None, "{title}: {line:#}");
            }
        }
    }
}

/// The port that the first packet, a SYN, is for.
fn server_port(capture: &Path) -> u16 {
    let syn = pcap::packets(capture).unwrap().swap_remove(0);
    let tcp = usize::from(syn.bytes[0] & 0x0F) * 4;
    u16::from_be_bytes([syn.bytes[tcp + 2], syn.bytes[tcp + 3]])
}

#[test]
fn no_other_protocol_is_taken_for_a_login_wherever_its_capture_begins() {
    for capture in captures() {
        // Behind the handshake nothing but port 1433 says who serves.
        let port = server_port(&capture).to_string();
        let from_1433 = capture.ends_with("http-from-1433.pcap");
        let last = if from_1433 { 2 } else { 24 };
        let packets = pcap::packets(&capture).unwrap();
        let framed = pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]));
        for begin in 1..framed.len().min(last) {
            let file = written(pcap::link::ETHERNET, &framed[begin..]);
            let said = lines(file.path(), &[]);
            let title = format!("{} without its first {begin}", capture.display());
            assert!(said.is_empty(), "{title}: {said:#?}");
            for line in lines(file.path(), &["--port", &port]) {
                let outcome = line["login"]["outcome"].as_str().unwrap_or("unknown");
                assert!(UNDECIDED.contains(&outcome), "{title}: {line:#}");
                assert_eq!(line.get("tds"), None, "{title}: {line:#}");
            }
        }
    }
}

#[test]
fn no_other_protocol_begins_as_tds_does_wherever_one_looks() {
    for capture in captures() {
        let packets = pcap::packets(&capture).unwrap();
        let begun: Vec<_> = packets
            .iter()
            .filter_map(|packet| {
                let payload = packet.payload();
                first(payload, 0, payload.len() as u32)
            })
            .collect();
        // An old client of SQL Server begins as one of Sybase does.
        let expected = if capture.ends_with("sybase-tds5.pcap") {
            vec![First::OldLogin]
        } else {
            Vec::new()
        };
        assert_eq!(begun, expected, "{}", capture.display());
    }
}
