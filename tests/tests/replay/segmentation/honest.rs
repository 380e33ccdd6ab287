//! What may be said of a login of which a part was not seen: less, and nothing that is not so.

use harness::replay::{Frame, said};
use proptest::{prelude::*, test_runner::TestCaseError};
use serde_json::Value;

/// What is said of a login that may not be so: a fact that the whole connection contradicts.
/// Times and counts are of what was seen, and are not compared here; neither is how it is known.
fn untruths(said: &Value, truth: &Value) -> Vec<String> {
    const OF_WHAT_WAS_SEEN: [&str; 18] = [
        ".tls.hello.segments",
        ".severity",
        ".timestamp",
        // Whether they are so is looked at by themselves.
        ".phases",
        ".tcp",
        ".connection.partial",
        ".connection.partial_reasons",
        ".connection.start",
        ".connection.id",
        // It is named after a connection, and joined by what was seen.
        ".attempt",
        ".connection.vantage",
        ".login.basis",
        ".login.confidence",
        ".login.duration_ns",
        ".login.slowest_phase",
        ".login.client_ns",
        ".login.server_ns",
        ".login.network_ns",
    ];
    // What was asked for stands until the server is heard to have chosen otherwise.
    const CHOSEN_LATER: [&str; 2] = [".login.database", ".tds.packet_size"];
    let mut untruths = Vec::new();
    // Only a login of which something is missing may be one of which nothing is known.
    let is_partial = said["connection"]["partial"] == true;
    compare_facts("", said, truth, &mut |path, said, truth| {
        // Of a token that was cut only its kind may be left.
        let vague = path == ".auth.kind" && said == "spnego" && truth != "sql";
        // Before a later decision there is time for an alert.
        let vague = vague || path.starts_with(".tls.alert") && truth.is_null();
        // LOGINACK says less of the build than PRELOGIN.
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let beginning = text(truth).starts_with(&format!("{}.", text(said)));
        let vague = vague || path == ".tds.server_version" && beginning;
        let vague = vague || path == ".diagnosis" && known_causes(said, truth);
        let unknown = said.is_null() || said == "unknown" && is_partial || vague;
        let seen = OF_WHAT_WAS_SEEN.iter().any(|skip| path.starts_with(skip));
        if said != truth && !unknown && !seen && !CHOSEN_LATER.contains(&path) {
            untruths.push(format!("{path}: {said}, and it is {truth}"));
        }
    });
    untruths
}

/// Whether every cause that is told is a cause of the whole login too, or says that none is known.
fn known_causes(said: &Value, truth: &Value) -> bool {
    let of = |causes: &Value| {
        let causes = causes.as_array().into_iter().flatten();
        causes
            .map(|cause| cause["cause"].clone())
            .collect::<Vec<_>>()
    };
    let known = of(truth);
    let mut told = of(said).into_iter();
    told.all(|cause| cause == "unknown" || known.contains(&cause))
}

fn compare_facts(
    path: &str,
    said: &Value,
    truth: &Value,
    each: &mut impl FnMut(&str, &Value, &Value),
) {
    match said.as_object() {
        Some(fields) => {
            for (name, value) in fields {
                compare_facts(&format!("{path}.{name}"), value, &truth[name], each);
            }
        }
        None => each(path, said, truth),
    }
}

/// The lost segments' login is partial, or the same; and whatever it says is so.
pub(crate) fn login(lossy: &[Frame], frames: &[Frame]) -> Result<(), TestCaseError> {
    let truths = said(frames, "login").unwrap();
    for login in said(lossy, "login").unwrap() {
        let truth = truths
            .iter()
            .find(|truth| truth["client"] == login["client"])
            .unwrap();
        let untruths = untruths(&login, truth);
        prop_assert!(
            untruths.is_empty(),
            "{}\nsaid: {login}",
            untruths.join("\n")
        );
        phases_in_order(&login, truth)?;
        phases_are_its_own(&login, truth)?;
        if login["connection"]["partial"] == false {
            prop_assert_eq!(
                &login["connection"]["id"],
                &truth["connection"]["id"],
                "{}",
                login
            );
        }
    }
    Ok(())
}

/// Each phase starts where the one before it ended, the handshake first of all; between two there may
/// be one of which too little was seen.
fn phases_in_order(login: &Value, truth: &Value) -> Result<(), TestCaseError> {
    let all = phases_of(truth);
    let nanos = |phase: &Value, field| phase[field].as_u64();
    let mut phases: Vec<_> = login["phases"].as_object().unwrap().iter().collect();
    phases.sort_by_key(|(_, phase)| (nanos(phase, "start_ns"), nanos(phase, "duration_ns")));
    for pair in phases.windows(2) {
        let [(before, one), (name, next)] = pair else {
            continue;
        };
        if !all
            .windows(2)
            .any(|pair| pair == [before.as_str(), name.as_str()])
        {
            continue;
        }
        let end = nanos(one, "start_ns").zip(nanos(one, "duration_ns"));
        let end = end.map(|(start, duration)| start + duration);
        prop_assert_eq!(end, nanos(next, "start_ns"), "{}: {}", name, login);
        prop_assert!(*name != "handshake", "{}", login);
    }
    Ok(())
}

/// The phases of a login in the order in which they happened.
fn phases_of(login: &Value) -> Vec<&str> {
    let phases = login["phases"].as_object().unwrap();
    let mut names: Vec<_> = phases.keys().map(String::as_str).collect();
    names.sort_by_key(|name| phases[*name]["start_ns"].as_u64());
    names
}

/// Every phase is one that the whole login has, and what is told of who was waited for makes it.
fn phases_are_its_own(login: &Value, truth: &Value) -> Result<(), TestCaseError> {
    for (name, phase) in login["phases"].as_object().unwrap() {
        let own = &truth["phases"][name];
        prop_assert!(own.is_object(), "there was no phase {}: {}", name, login);
        let nanos = |field: &str| phase[field].as_u64();
        let shares = ["client_ns", "server_ns", "network_ns"].map(nanos);
        if shares.iter().any(Option::is_some) {
            let sum: u64 = shares.into_iter().flatten().sum();
            prop_assert_eq!(Some(sum), nanos("duration_ns"), "{}: {}", name, login);
        }
    }
    Ok(())
}

/// A client's orderly end is not called abnormal where only the login before it was missed.
pub(crate) fn close(lossy: &[Frame], frames: &[Frame]) -> Result<(), TestCaseError> {
    let truths = said(frames, "close").unwrap();
    for close in said(lossy, "close").unwrap() {
        let truth = truths
            .iter()
            .find(|truth| truth["client"] == close["client"])
            .unwrap();
        let abnormal = [&close, truth].map(|close| close["close"]["class"] == "abnormal");
        let by_client = close["close"]["by"] == "client";
        prop_assert!(abnormal != [true, false] || !by_client, "{}", close);
    }
    Ok(())
}
