//! Packets whose times are not known, or not to be believed.

use std::collections::BTreeSet;

use harness::pcap::{self, Packet, Temporary, link};
use serde_json::{Value, json};

use super::{CAPTURES, capture, outcome, truth, written};

/// 2100 in nanoseconds since 1970.
const FAR_AHEAD: u64 = 4_102_444_800_000_000_000;

fn ethernet(name: &str) -> Vec<Packet> {
    let packets = pcap::packets(&capture(name)).unwrap();
    pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]))
}

/// What a line says that no time is needed for.
fn timeless(line: &Value) -> Value {
    match line {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| {
                let name = name.as_str();
                let is_time = matches!(name, "timestamp" | "start" | "phases" | "vantage");
                let is_time = is_time || name == "slowest_phase";
                // Where times are not known, nothing is joined by them.
                let is_joined = matches!(name, "attempt" | "line");
                let is_basis = matches!(name, "partial" | "partial_reasons" | "half_open");
                !(is_time || is_joined || is_basis || name.ends_with("_ns"))
            });
            kept.map(|(name, value)| (name.clone(), timeless(value)))
                .collect()
        }
        _ => line.clone(),
    }
}

/// Whether a line leaves out what depends on times, and says so.
fn leaves_times_out(line: &Value) -> bool {
    let reasons = line["connection"]["partial_reasons"].as_array();
    let is_told = reasons.is_some_and(|reasons| reasons.contains(&json!("untimed")));
    is_told && line["phases"] == json!({}) && !line.to_string().contains("_ns\":")
}

#[test]
fn packets_without_times_tell_what_needs_none() {
    for name in CAPTURES {
        let truth = truth(name);
        let file = pcap::untimed(link::ETHERNET, &ethernet(name));
        let file = Temporary::new("untimed.pcapng", &file).unwrap();
        let (status, lines, log) = outcome([file.path()]);
        assert_eq!(status, Some(0), "{log}");
        assert!(log.contains("packets without a time"), "{log}");
        for kind in ["login", "close"] {
            let of = |lines: &[Value]| lines.iter().find(|line| line["event"] == kind).cloned();
            let (said, truth) = (of(&lines).unwrap(), of(&truth).unwrap());
            assert!(leaves_times_out(&said), "{name}: {said:#}");
            assert_eq!(timeless(&said), timeless(&truth), "{name}");
        }
    }
}

#[test]
fn a_clock_that_is_set_back_under_a_login_lets_nothing_pass_for_its_times() {
    for name in CAPTURES {
        let truth = truth(name);
        let packets = ethernet(name);
        let whole = packets.iter().map(|packet| packet.time_ns);
        let took = whole.clone().max().unwrap() - whole.min().unwrap();
        for (at, back) in [(3, 0), (5, 0), (8, 0), (3, 200_000_000), (8, 200_000_000)] {
            let back = took + back;
            let mut packets = packets.clone();
            for packet in &mut packets[at..] {
                packet.time_ns -= back;
            }
            let (_, lines, _) = outcome([written(link::ETHERNET, &packets).path()]);
            let of = |lines: &[Value]| lines.iter().find(|line| line["event"] == "login").cloned();
            let (said, truth) = (of(&lines).unwrap(), of(&truth).unwrap());
            assert!(leaves_times_out(&said), "{name} {at}: {said:#}");
            assert_eq!(timeless(&said), timeless(&truth), "{name} {at}");
        }
    }
}

#[test]
fn one_packet_with_a_wrong_time_lets_none_pass_for_others() {
    let mut both = [ethernet(CAPTURES[0]), ethernet(CAPTURES[3])];
    let begins = both.each_ref().map(|packets| packets[0].time_ns);
    for packet in &mut both[1] {
        packet.time_ns = packet.time_ns - begins[1] + begins[0];
    }
    let mut packets = both.concat();
    packets.sort_by_key(|packet| packet.time_ns);
    let lines = |packets: &[Packet]| {
        let (_, mut lines, log) = outcome([written(link::ETHERNET, packets).path()]);
        lines.retain(|line| line["event"] != "attempt");
        for line in lines.iter_mut().filter_map(Value::as_object_mut) {
            line.remove("line");
        }
        (lines, log)
    };
    let (truth, log) = lines(&packets);
    assert!(!log.contains("an hour"), "{log}");
    for at in 1..packets.len() - 1 {
        for wrong in [FAR_AHEAD, 0] {
            let mut packets = packets.clone();
            packets[at].time_ns = wrong;
            let (said, log) = lines(&packets);
            assert!(log.contains("more than an hour from"), "{log}");
            assert_eq!(said.len(), truth.len(), "packet {at}: {said:#?}");
            let mut changed = BTreeSet::new();
            for (said, truth) in said.iter().zip(&truth) {
                assert_eq!(timeless(said), timeless(truth), "packet {at}");
                if said != truth {
                    let is_short = said["event"] == "mars";
                    assert!(is_short || leaves_times_out(said), "packet {at}: {said:#}");
                    changed.insert(said["connection"]["id"].as_str());
                }
            }
            assert!(changed.len() <= 1, "packet {at}: {changed:?}");
        }
    }
}
