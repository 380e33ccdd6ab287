//! Other protocols on their own ports, as their own programs spoke them on one host: HTTP (once from
//! port 1433), HTTPS with TLS 1.2 and 1.3, HTTP/2, git, telnet, and Java's debugger.

use std::fs;
use std::path::{Path, PathBuf};

use harness::pcap;

use crate::{lines, outcome, written};

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/others");
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_other_protocol_is_taken_for_a_login_whether_alone_or_among_others() {
    let captures = captures();
    assert!(captures.len() >= 8);
    for capture in &captures {
        let said = lines(capture, &[]);
        assert!(said.is_empty(), "{}: {said:#?}", capture.display());
    }
    let (status, said, log) = outcome(&captures);
    assert_eq!((status, said.len()), (Some(0), 0), "{log}{said:#?}");
}

#[test]
fn no_other_protocol_is_taken_for_a_login_wherever_its_capture_begins() {
    for capture in captures() {
        // Behind the handshake nothing but port 1433 says who serves.
        let from_1433 = capture.ends_with("http-from-1433.pcap");
        let last = if from_1433 { 2 } else { 24 };
        let packets = pcap::packets(&capture).unwrap();
        let framed = pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]));
        for begin in 1..framed.len().min(last) {
            let file = written(pcap::link::ETHERNET, &framed[begin..]);
            let said = lines(file.path(), &[]);
            let title = format!("{} without its first {begin}", capture.display());
            assert!(said.is_empty(), "{title}: {said:#?}");
        }
    }
}
