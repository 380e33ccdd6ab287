//! What is said on standard error when all is read.

use std::fs;

use harness::pcap::{self, Temporary, link};

use crate::inputs::{CAPTURES, capture, outcome, written};

#[test]
fn the_summary_counts_what_was_read_and_how_the_logins_ended() {
    let names = [CAPTURES[0], "odbc18-lab-loginfailed"];
    let (mut packets, mut bytes) = (0, 0);
    for name in names {
        // Behind the headers of file and packets.
        let length = fs::metadata(capture(name)).unwrap().len();
        let count = pcap::packets(&capture(name)).unwrap().len() as u64;
        packets += count;
        bytes += length - 24 - 16 * count;
    }
    let (status, lines, log) = outcome(names.map(capture));
    assert_eq!(status, Some(0), "{log}");
    let of = |outcome: &str| {
        let logins = lines.iter().filter(|line| line["event"] == "login");
        let of_it = logins.filter(|line| line["login"]["outcome"] == outcome);
        of_it.count()
    };
    let (failed, success) = (of("failed"), of("success"));
    let logins = failed + success;
    let expected = format!(
        "tds-tracer: 2 files, {packets} packets, {bytes} bytes, {logins} connections, \
         {logins} logins: {failed} failed, {success} success\n"
    );
    assert_eq!(log, expected);
}

#[test]
fn the_summary_of_one_of_a_thing_says_so() {
    let (_, _, log) = outcome([capture(CAPTURES[0])]);
    assert!(log.starts_with("tds-tracer: 1 file, 22 packets, "), "{log}");
    assert!(
        log.ends_with(" 1 connection, 1 login: 1 success\n"),
        "{log}"
    );
    let whole = fs::read(capture(CAPTURES[0])).unwrap();
    let empty = Temporary::new("empty.pcap", &whole[..24]).unwrap();
    let (_, _, log) = outcome([empty.path()]);
    let nothing = "tds-tracer: 1 file, 0 packets, 0 bytes, 0 connections, 0 logins\n";
    assert_eq!(log, nothing);
}

#[test]
fn the_summary_says_what_was_lost_and_what_the_snap_length_cut() {
    let mut packets = pcap::packets(&capture(CAPTURES[0])).unwrap();
    let mut fragment = packets[3].clone();
    fragment.bytes[6..8].copy_from_slice(&[0, 8]);
    packets.push(fragment);
    let framed = pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]));
    let whole = pcap::file(link::ETHERNET, &framed);
    let file = Temporary::new("whole.pcap", &whole).unwrap();
    let (_, _, log) = outcome([file.path()]);
    assert!(log.ends_with("tds-tracer: lost: 1 fragment\n"), "{log}");
    assert!(!log.contains("snap length"), "{log}");

    let mut cut = whole;
    let packet = framed.last().unwrap().bytes.len();
    let at = cut.len() - packet;
    cut.truncate(at + 60);
    cut[at - 8..at - 4].copy_from_slice(&60_u32.to_le_bytes());
    let file = Temporary::new("cut.pcap", &cut).unwrap();
    let (_, _, log) = outcome([file.path()]);
    assert!(
        log.contains("tds-tracer: 1 packet was cut to a snap length\n"),
        "{log}"
    );
}

#[test]
fn the_summary_names_link_types_that_were_not_read() {
    let packets = pcap::packets(&capture(CAPTURES[0])).unwrap();
    let file = written(105, &packets);
    let (_, _, log) = outcome([file.path()]);
    let expected = "tds-tracer: not read: 22 link type 105 is not supported\n";
    assert!(log.ends_with(expected), "{log}");
}
