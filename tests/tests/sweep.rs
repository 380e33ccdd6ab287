//! Every connection of every capture, cut, joined, lost in part, doubled, put out of order and
//! delayed at every packet: what must be said follows from its bytes.

use std::{collections::BTreeMap, fs};

use harness::{
    replay::captures,
    sweep::{kinds::Kind, sources::connections, sweep},
};
use serde_json::Value;

/// As many as a small machine has processors.
const THREADS: usize = 2;

#[test]
fn of_every_variant_of_every_connection_what_is_said_is_so() {
    let connections = connections("").unwrap();
    let report = sweep(&connections, &Kind::ALL, THREADS);
    let all = report.variants();
    println!(
        "{} connections, {all} variants\n{report}",
        connections.len()
    );
    assert!(
        all > 50 * connections.len(),
        "hardly anything varied: {all}"
    );
    assert!(report.is_right(), "{report}");
}

/// What is asked of the agent is only as good as the sweep's own reading.
#[test]
fn what_the_sweep_reads_is_what_was_read_by_hand() {
    const ANSWERED: [&str; 3] = ["success", "failed", "redirected"];
    let text = fs::read_to_string(captures().join("expect.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let key = |capture: &str, start: &str| (capture.to_owned(), start.replace('.', ""));
    let by_hand: BTreeMap<_, _> = all
        .iter()
        .filter_map(|one| {
            Some((
                key(one["capture"].as_str()?, one["syn"].as_str()?),
                &one["fields"],
            ))
        })
        .collect();
    let mut compared = 0;
    for connection in connections("").unwrap() {
        let capture = connection.name.split('#').next().unwrap();
        let start = connection.packets[0].time_ns;
        let Some(fields) = by_hand.get(&(capture.to_owned(), start.to_string())) else {
            continue;
        };
        let name = &connection.name;
        let truth = &connection.truth;
        let outcome = fields["login.outcome"]
            .as_str()
            .filter(|outcome| ANSWERED.contains(outcome));
        let read = truth
            .decided
            .filter(|(_, outcome)| *outcome != "tls_failed");
        assert_eq!(read.map(|(_, outcome)| outcome), outcome, "{name}");
        if let Some(duration) = fields["login.duration_ns"].as_u64() {
            let decided = read.map(|(index, _)| connection.packets[index].time_ns - start);
            assert_eq!(decided, Some(duration), "{name}");
        }
        if let Some(encryption) = fields["tds.encryption"].as_str() {
            assert!(
                truth.encryption.contains(&encryption),
                "{name}: {:?}",
                truth.encryption
            );
        }
        compared += 1;
    }
    assert!(compared >= 16, "hardly anything compared: {compared}");
}

/// A judge that lets everything pass would pass the sweep.
#[test]
fn what_is_said_wrongly_is_seen() {
    use harness::sweep::engine::lines;

    for connection in connections("odbc18-clear-mars-reset").unwrap() {
        for kind in Kind::ALL {
            let (mut blind, mut all) = (0, 0);
            kind.each(&connection, &mut |variant| {
                let mut said = lines(&variant.input, connection.port);
                // To say nothing is right of some that are joined at their end.
                if said.logins.is_empty() && said.closes.is_empty() {
                    return;
                }
                for line in said.logins.iter_mut().chain(&mut said.closes) {
                    line["login"]["outcome"] = "none of all".into();
                    line["connection"]["partial_reasons"] = Value::Null;
                    line["close"]["by"] = "nobody".into();
                }
                all += 1;
                blind += usize::from(variant.expected.judge(&said).is_empty());
            });
            assert!(all > 0 && blind == 0, "{kind}: {blind} of {all}");
        }
    }
}
