//! However TCP cuts, repeats and reorders a connection, the same is said about its login; and of
//! one whose segments were lost nothing is said that is not so.

mod honest;
mod lost;

use std::{env, path::PathBuf};

use harness::replay::{Frame, frames, said};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::Value;
use tracer_ebpf::framing::{Framing, packet_type, plausible};

/// One of each: encryption, authentication, outcome.
const CAPTURES: [&str; 20] = [
    "captures/odbc18-lab-clear",
    "captures/odbc18-lab-ipv6",
    "captures/odbc18-lab-tls12",
    "captures/odbc18-lab-strict13",
    "captures/odbc18-lab-krb-loginonly",
    "captures/odbc18-lab-mars-loginonly",
    "captures/odbc18-lab-loginfailed",
    "captures/mssqltds-mock-routing",
    "captures/tsql-lab-ntlm-loginonly",
    "rows/mssqltds-clear-routed-database",
    "rows/mssqltds-clear-token-on-demand",
    "rows/odbc18-clear-partner",
    "rows/odbc18-clear-two-errors",
    "rows/odbc18-full12-client-certificate",
    "rows/pytds-clear-fallback",
    "rows/pytds-clear-spnego-kerberos",
    "sequences/sql-auth",
    "sequences/kerberos",
    "sequences/ntlm",
    "sequences/mars",
];

/// More that can be misread where something is missing: refusals in the dark, strangers, silence.
const EASILY_MISREAD: [&str; 9] = [
    "drivers/https-on-1433",
    "drivers/jtds-full13-refused",
    "drivers/mssqltds-strict13-refused-at-length",
    "drivers/nmap-probe",
    "drivers/odbc18-strict13-silent",
    "drivers/pymssql-strict13-both-close",
    "drivers/random-on-1433",
    "drivers/tedious-full12-untrusted",
    "drivers/tsql-full12-ntlm-refused",
];

/// As many as are tried at each capture, unless `PROPTEST_CASES` says how many.
const CASES: u32 = 64;

/// Where in a capture, and how: indices are taken modulo what there is.
type Places = Vec<(u16, u16)>;

fn connection(name: &str) -> Vec<Frame> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    frames(&fixtures.join(format!("{name}.pcap"))).unwrap()
}

fn logins(frames: &[Frame]) -> Vec<Value> {
    said(frames, "login").unwrap()
}

/// A login without what counts segments rather than bytes.
fn uncounted(mut logins: Vec<Value>) -> Vec<Value> {
    for login in &mut logins {
        if let Some(tcp) = login["tcp"].as_object_mut() {
            tcp.remove("packets");
            tcp.remove("retransmits");
        }
        if let Some(hello) = login["tls"]["hello"].as_object_mut() {
            hello.remove("segments");
        }
        if let Some(phases) = login["phases"].as_object_mut() {
            for phase in phases.values_mut() {
                phase.as_object_mut().unwrap().remove("retransmits");
            }
        }
    }
    logins
}

/// Runs a property on every capture.
fn check(property: impl Fn(&[Frame], Places) -> Result<(), TestCaseError>) {
    for name in CAPTURES {
        let frames = connection(name);
        let config = Config::default();
        let mut runner = TestRunner::new(Config {
            cases: env::var_os("PROPTEST_CASES").map_or(CASES, |_| config.cases),
            failure_persistence: None,
            ..config
        });
        let places = vec((any::<u16>(), any::<u16>()), 1..12);
        let result = runner.run(&places, |places| property(&frames, places));
        if let Err(error) = result {
            panic!("{name}: {error}");
        }
    }
}

fn same(left: &[Value], right: &[Value]) -> Result<(), TestCaseError> {
    prop_assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        let differences = differences("", left, right);
        prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
    Ok(())
}

/// Every leaf that differs, by path.
fn differences(path: &str, left: &Value, right: &Value) -> Vec<String> {
    let (Some(fields), Some(others)) = (left.as_object(), right.as_object()) else {
        let differs = left != right;
        return differs
            .then(|| format!("{path}: {left}, {right}"))
            .into_iter()
            .collect();
    };
    let mut names: Vec<_> = fields.keys().chain(others.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .flat_map(|name| differences(&format!("{path}.{name}"), &left[name], &right[name]))
        .collect()
}

/// Whether a segment is a login, or a challenge and its proof in clear, the secrets of which are left out before
/// anything is read: where they are is known only from a whole message.
fn has_secrets(frame: &Frame) -> bool {
    matches!(
        frame.payload[..],
        [0x10 | 0x11, 0 | 1, _, _, 0, 0, _, 0, ..] | [4, _, _, _, _, _, _, _, 0xED, ..]
    )
}

/// Whether a segment begins, by chance, like a packet whose body is secret: should it come before
/// the ones it follows, its bytes are left out, and said to be missing.
fn looks_secret(frame: &Frame) -> bool {
    let header = frame.payload.first_chunk();
    let header = header.and_then(|prefix| plausible(prefix, false));
    header.is_some_and(|header| {
        let secrets = [
            packet_type::FEDERATED_TOKEN,
            packet_type::LOGIN7,
            packet_type::SSPI,
        ];
        header.framing == Framing::Tds && secrets.contains(&header.kind)
    })
}

/// Whether a segment may be what proves that a port is SQL Server's: for that it must be whole.
fn is_proof(frame: &Frame) -> bool {
    frame.payload.first_chunk() == Some(&[0x12, 1]) && !frame.has_port(1433)
        || frame.payload.first_chunk() == Some(&[4, 1]) && !frame.has_port(1433)
}

fn cut(frames: &mut Vec<Frame>, index: u16, at: u16) -> Option<usize> {
    let index = usize::from(index) % frames.len();
    let len = frames[index].payload.len();
    if len < 2 || has_secrets(&frames[index]) || is_proof(&frames[index]) {
        return None;
    }
    let pieces = frames[index].cut(1 + usize::from(at) % (len - 1));
    if looks_secret(&pieces[1]) {
        return None;
    }
    frames.splice(index..=index, pieces);
    Some(index)
}

/// A segment that is followed by the next one of its side, both at the time of the later one.
fn neighbours(frames: &mut [Frame], index: u16) -> Option<usize> {
    let pairs: Vec<_> = (1..frames.len())
        .filter(|index| frames[index - 1].is_followed_by(&frames[*index]))
        .collect();
    let index = *pairs.get(usize::from(index) % pairs.len().max(1))? - 1;
    frames[index].time_ns = frames[index + 1].time_ns;
    Some(index)
}

#[test]
fn cut_anywhere_a_login_is_the_same() {
    check(|frames, places| {
        let mut cuts = frames.to_vec();
        for (index, at) in places {
            cut(&mut cuts, index, at);
        }
        same(&uncounted(logins(&cuts)), &uncounted(logins(frames)))
    });
}

#[test]
fn of_a_login_in_clear_that_is_cut_less_is_said_and_nothing_untrue() {
    for name in CAPTURES {
        let frames = connection(name);
        let with_secrets = (0..frames.len()).filter(|index| has_secrets(&frames[*index]));
        for index in with_secrets {
            for at in 1..frames[index].payload.len() {
                let mut cuts = frames.clone();
                cuts.splice(index..=index, frames[index].cut(at));
                let mut swapped = cuts.clone();
                swapped.swap(index, index + 1);
                for frames_in_pieces in [cuts, swapped] {
                    if let Err(error) = honest::login(&frames_in_pieces, &frames) {
                        panic!("{name}, segment {index} cut after {at}: {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn merged_segments_give_the_same_login() {
    check(|frames, places| {
        let mut merged = frames.to_vec();
        for (index, _) in places {
            if let Some(index) = neighbours(&mut merged, index) {
                let apart = logins(&merged);
                let one = merged[index].merge(&merged[index + 1]);
                merged.splice(index..=index + 1, [one]);
                same(&uncounted(logins(&merged)), &uncounted(apart))?;
            }
        }
        Ok(())
    });
}

#[test]
fn copies_of_packets_change_nothing() {
    check(|frames, places| {
        let mut copied = frames.to_vec();
        for (index, later_ns) in places {
            let index = usize::from(index) % copied.len();
            let mut copy = copied[index].clone();
            copy.time_ns += u64::from(later_ns) % 1000;
            copied.insert(index + 1, copy);
        }
        same(&logins(&copied), &logins(frames))
    });
}

#[test]
fn retransmissions_are_counted_and_change_nothing_else() {
    check(|frames, places| {
        let mut repeated = frames.to_vec();
        for (index, later) in places {
            let index = usize::from(index) % repeated.len();
            let mut again = repeated[index].clone();
            if again.payload.is_empty() {
                continue;
            }
            let place = (index + 1 + usize::from(later) % 4).min(repeated.len());
            again.time_ns = repeated[place - 1].time_ns;
            again.reidentify();
            repeated.insert(place, again);
        }
        let [repeated, frames] = [&repeated[..], frames].map(|frames| {
            let mut logins = uncounted(logins(frames));
            logins.iter_mut().for_each(leave_out_shares);
            logins
        });
        same(&repeated, &frames)
    });
}

/// From the first to the last copy of a packet the time is the network's.
fn leave_out_shares(login: &mut Value) {
    const SHARES: [&str; 3] = ["client_ns", "server_ns", "network_ns"];
    let phases = login["phases"].as_object_mut().unwrap();
    let parts = phases.values_mut().filter_map(Value::as_object_mut);
    parts.for_each(|part| part.retain(|name, _| !SHARES.contains(&name.as_str())));
    let login = login["login"].as_object_mut().unwrap();
    login.retain(|name, _| !SHARES.contains(&name.as_str()));
}

#[test]
fn segments_that_change_places_give_the_same_login() {
    check(|frames, places| {
        let mut ordered = frames.to_vec();
        for (index, at) in &places {
            cut(&mut ordered, *index, *at);
        }
        for (index, _) in &places {
            neighbours(&mut ordered, *index);
        }
        let mut swapped = ordered.clone();
        let mut moved = Vec::new();
        for (index, _) in places {
            let Some(index) = neighbours(&mut swapped, index) else {
                continue;
            };
            if swapped[index].time_ns != ordered[index].time_ns
                || (index.saturating_sub(1)..=index + 2).any(|near| moved.contains(&near))
            {
                swapped[index].time_ns = ordered[index].time_ns;
                continue;
            }
            swapped.swap(index, index + 1);
            moved.extend([index, index + 1]);
        }
        same(&uncounted(logins(&swapped)), &uncounted(logins(&ordered)))
    });
}

#[test]
fn phases_add_up_where_a_clock_runs_backwards() {
    for name in CAPTURES {
        let frames = connection(name);
        for index in 0..frames.len() {
            let mut late = frames.clone();
            late[index].time_ns += 2_000_000_000;
            for login in logins(&late) {
                let Some(whole) = login["login"]["duration_ns"].as_u64() else {
                    continue;
                };
                let phases = login["phases"].as_object().unwrap();
                let durations = phases.values().map(|phase| phase["duration_ns"].as_u64());
                assert_eq!(
                    durations.sum::<Option<u64>>(),
                    Some(whole),
                    "{name} {index}"
                );
            }
        }
    }
}

/// What TLS says in clear is told whole, though its middle comes last.
#[test]
fn a_handshake_in_three_pieces_is_the_same_whichever_comes_last() {
    let frames = connection("rows/odbc18-full12-client-certificate");
    let expected = uncounted(logins(&frames));
    let wrapped =
        |frame: &Frame| matches!(frame.payload[..], [0x12, _, _, _, _, _, _, _, 0x16, ..]);
    let of_handshake = (0..frames.len()).filter(|index| wrapped(&frames[*index]));
    for index in of_handshake {
        let len = frames[index].payload.len();
        for (first, second) in [(9, 20), (13, 40), (13, len / 2), (len / 3, len - 5)] {
            let mut pieces = frames.clone();
            pieces.splice(index..=index, frames[index].cut(second));
            pieces.splice(index..=index, frames[index].cut(second)[0].cut(first));
            pieces.swap(index + 1, index + 2);
            let result = same(&uncounted(logins(&pieces)), &expected);
            assert!(
                result.is_ok(),
                "segment {index}, {first}, {second}: {result:?}"
            );
        }
    }
}
