use serde_json::{Value, json};

use super::{facts::Facts, gather::Gathered, html::html, line::Line, markdown::markdown};

const SLOW: u64 = 1_000_000_000;

/// A `login` line.
fn login(number: u64, took_ms: u64, change: impl FnOnce(&mut Value)) -> Value {
    let took = took_ms * 1_000_000;
    let start =
        jiff::Timestamp::from_second(1_790_000_000 + number.cast_signed() / 10).expect("a time");
    let end = start + std::time::Duration::from_nanos(took);
    let mut line = json!({
        "schema_version": "1",
        "timestamp": end.to_string(),
        "severity": if took > SLOW { "warn" } else { "info" },
        "host": {"name": "app1"},
        "run_id": "1b6bd9c440e234a4",
        "line": number + 1,
        "event": "login",
        "connection": {"id": format!("{number:016x}"), "vantage": "client", "start": start.to_string(), "partial": false},
        "client": {"address": "10.0.0.1", "port": 40_000 + number % 20_000},
        "server": {"address": format!("10.0.1.{}", number % 3), "port": 1433},
        "process": {"pid": 7, "name": "shop"},
        "attempt": {"id": format!("{number:016x}"), "number": 1},
        "tcp": {},
        "tds": {"encryption": "full", "connection_guid": "3cc01095-b890-3fe9-9154-3bfbd4175f34"},
        "auth": {"kind": "ntlm"},
        "login": {"outcome": "success", "basis": "observed", "duration_ns": took, "app_name": "shop"},
        "phases": {
            "handshake": {"start_ns": 0, "duration_ns": took / 10, "client_ns": 0, "server_ns": took / 10, "network_ns": 0},
            "prelogin": {"start_ns": took / 10, "duration_ns": took - took / 10, "client_ns": 5, "server_ns": took / 2, "network_ns": 0},
        },
    });
    if took > SLOW {
        line["diagnosis"] = json!([{"cause": "server_threads_exhausted", "confidence": 0.9, "for": "database",
            "evidence": {"phase": "prelogin", "side": "server", "waited_ns": took, "stalled_with_it": 63}}]);
    }
    change(&mut line);
    line
}

fn failed(line: &mut Value) {
    line["severity"] = json!("error");
    line["login"]["outcome"] = json!("failed");
    line["login"]["error"] = json!({"number": 18456, "state": 1, "class": 14});
    line["diagnosis"] = json!([{"cause": "login_rejected", "confidence": 0.97, "for": "identity",
        "evidence": {"error": 18456, "state": 1, "phase": "login", "means": "user, password or right to connect is wrong"}}]);
}

fn gathered(lines: impl IntoIterator<Item = Value>) -> Gathered {
    let mut gathered = Gathered::new(SLOW, 12);
    for line in lines {
        let line: Line = serde_json::from_value(line).expect("a line");
        gathered.take(line);
    }
    gathered
}

fn facts(lines: impl IntoIterator<Item = Value>) -> Facts {
    Facts::new(&gathered(lines), None)
}

#[test]
fn three_sentences_say_what_happened_why_and_what_helps() {
    let well = (0..20).map(|number| login(number, 8, |_| {}));
    let slow = (20..23).map(|number| login(number, 14_200, |_| {}));
    let facts = facts(well.chain(slow).chain([login(23, 5, failed)]));
    insta::assert_snapshot!(facts.verdict.sentences.join("\n"));
    assert!(!facts.verdict.good);
}

#[test]
fn where_nothing_went_wrong_that_is_said() {
    let facts = facts((0..20).map(|number| login(number, 8, |_| {})));
    assert!(facts.verdict.good);
    let [sentence] = &facts.verdict.sentences[..] else {
        panic!("{:?}", facts.verdict)
    };
    assert!(
        sentence.contains("none failed") && sentence.contains("8.00 ms"),
        "{sentence}"
    );
    assert!(facts.logins.is_empty());
}

#[test]
fn each_kind_of_trouble_is_shown_before_a_second_of_any() {
    let slow = (0..100).map(|number| login(number * 3, 5_000 + number, |_| {}));
    let facts = facts(slow.chain([login(302, 5, failed)]));
    let shown: Vec<_> = facts.logins.iter().map(|login| login.failed).collect();
    assert_eq!(shown, [false, true, false, false, false]);
    assert_eq!(facts.logins[0].took, "5.10 s");
}

#[test]
fn an_attempt_shows_what_came_before_its_first_packet() {
    let line = login(1, 5, failed);
    let start = line["connection"]["start"].clone();
    let attempt = json!({
        "timestamp": line["timestamp"], "event": "attempt", "severity": "error", "client": {"address": "10.0.0.1"},
        "attempt": {"id": line["attempt"]["id"], "start": start, "duration_ns": 5_005_000_000_u64, "outcome": "failed",
            "target": {}, "connections": 1, "parts": [
                {"kind": "dns", "start_ns": 0, "duration_ns": 5_000_000_000_u64, "outcome": "answered", "name": "sql1.example"},
                {"kind": "login", "start_ns": 5_000_000_000_u64, "duration_ns": 5_000_000, "outcome": "failed",
                    "connection_id": line["connection"]["id"]},
            ], "diagnosis": [{"cause": "name_resolution", "confidence": 0.8, "for": "network", "evidence": {}}]},
    });
    let facts = facts([line, attempt]);
    let names: Vec<_> = facts.logins[0]
        .waterfall
        .rows
        .iter()
        .map(|row| row.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["dns sql1.example", "login", "handshake", "prelogin"]
    );
    assert!(
        facts.logins[0].why.contains("name"),
        "{}",
        facts.logins[0].why
    );
}

#[test]
fn how_logins_ended_is_told_with_what_that_means() {
    let reset = |line: &mut Value| {
        line["severity"] = json!("error");
        line["login"]["outcome"] = json!("reset");
    };
    let well = (0..3).map(|number| login(number, 8, |_| {}));
    let facts = facts(well.chain([login(3, 5, failed), login(4, 5, reset)]));
    let told: Vec<_> = facts
        .outcomes
        .iter()
        .map(|row| (row.outcome.as_str(), row.of_error(), row.logins))
        .collect();
    let no_error = String::new;
    assert_eq!(
        told,
        [
            ("success", no_error(), 3),
            ("failed", "18456, state 1".to_owned(), 1),
            ("reset", no_error(), 1)
        ]
    );
    assert!(facts.outcomes[1].means.contains("password"));
    assert!(markdown(&facts).expect("text").contains("18456, state 1"));
}

#[test]
fn a_clock_that_was_set_back_is_told() {
    let facts = facts([login(1, 8, |line| {
        line["connection"]["partial"] = json!(true);
        line["connection"]["partial_reasons"] = json!(["untimed"]);
    })]);
    let said = facts.unseen.join("\n");
    assert!(
        said.contains("By reason: untimed 1.") && said.contains("clock was set back"),
        "{said}"
    );
}

#[test]
fn lines_that_are_not_here_are_counted() {
    let numbers = [0, 1, 2, 7, 8];
    let facts = facts(numbers.map(|number| login(number, 8, |_| {})));
    assert!(
        facts
            .unseen
            .iter()
            .any(|said| said.starts_with("4 of the agents' lines")),
        "{:?}",
        facts.unseen
    );
}

#[test]
fn logins_that_are_still_undecided_at_the_end_are_counted() {
    let pending = |number| {
        login(number, 0, |line| {
            line["event"] = json!("pending");
            line["login"]["outcome"] = json!(null);
        })
    };
    let decided = login(1, 31_000, |line| line["line"] = json!(4));
    let facts = facts([pending(1), pending(2), decided]);
    assert!(
        facts
            .unseen
            .iter()
            .any(|said| said.starts_with("1 login undecided at the end")),
        "{:?}",
        facts.unseen
    );
}

/// What a stranger may call himself.
fn hostile() -> String {
    let bad = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'`| \u{202E}[x](javascript:1)\n# x\u{0}";
    bad.to_owned() + &"x".repeat(10_000)
}

#[test]
fn hostile_names_change_nothing_in_any_form() {
    let spoil = |line: &mut Value| {
        failed(line);
        let bad = json!(hostile());
        for path in [
            "/host/name",
            "/run_id",
            "/connection/id",
            "/connection/community_id",
            "/connection/vantage",
            "/client/address",
            "/server/address",
            "/server/instance",
            "/process/name",
            "/process/container_id",
            "/tds/encryption",
            "/tds/connection_guid",
            "/auth/kind",
            "/login/outcome",
            "/login/app_name",
            "/login/client_library",
            "/diagnosis/0/cause",
            "/diagnosis/0/for",
        ] {
            let (parent, name) = path.rsplit_once('/').expect("a path");
            line.pointer_mut(parent).expect("an object")[name] = bad.clone();
        }
        line["diagnosis"][0]["evidence"] = json!({ hostile(): hostile() });
        line["phases"][hostile()] = line["phases"]["prelogin"].clone();
        line["tds"]["user_agent"] = json!({"driver": hostile(), "version": hostile()});
        line["process"]["container"] = json!({"name": hostile()});
        line["process"]["k8s"] = json!({"namespace": hostile(), "pod": hostile()});
    };
    let incident = json!({"timestamp": "2026-11-28T00:00:00Z", "event": "incident", "incident": {"id": hostile(), "cause": hostile(),
        "for": hostile(), "start": "2026-11-28T00:00:00Z", "servers": {"count": 1, "top": [{"address": hostile()}]}}});
    let loss = json!({"timestamp": "2026-11-28T00:00:00Z", "event": "loss", "loss": {"reason": hostile(), "count": 1}});
    let agent = json!({"timestamp": "2026-11-28T00:00:00Z", "event": "agent",
        "agent": {"action": "degraded", "reason": hostile(), "detail": hostile()}});
    let attempt = json!({"timestamp": "2026-11-28T00:00:00Z", "event": "attempt", "attempt": {"id": "x", "outcome": hostile(),
        "parts": [{"kind": hostile(), "name": hostile(), "outcome": hostile(), "start_ns": 0, "duration_ns": u64::MAX}]}});
    let spoilt = login(1, 5, |line| {
        spoil(line);
        line["attempt"]["id"] = json!("x");
    });
    let facts = facts([spoilt, attempt, incident, loss, agent]);
    let page = html(&facts).expect("a page");
    assert_eq!(page.matches("<script>").count(), 1);
    for bad in [
        "<script>alert",
        "<img",
        "\u{202E}",
        "\u{0}",
        "</style></title>",
    ] {
        assert!(!page.contains(bad), "{bad} in the page");
    }
    assert!(!page.contains(&"x".repeat(200)));
    let text = markdown(&facts).expect("text");
    for bad in ["<script", "<img", "\u{202E}", "[x](", "\n# x"] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
    let sql = facts.logins[0].keys.sql.as_deref();
    assert_eq!(sql, None, "what is no address gets into no query");
}

#[test]
fn the_page_runs_nothing_but_its_own_and_fetches_nothing() {
    let page = html(&facts([login(1, 5, failed)])).expect("a page");
    assert!(
        page.contains("default-src &#39;none&#39;; style-src &#39;sha256-"),
        "{page}"
    );
    for fetched in [
        "src=",
        "href=\"http",
        "url(",
        "@import",
        " style=",
        "onclick",
    ] {
        assert!(!page.contains(fetched), "{fetched}");
    }
}

#[test]
fn ten_thousand_logins_make_a_small_page() {
    let lines = (0..10_000).map(|number| match number % 100 {
        0 => login(number, 5, failed),
        1 => login(number, 2_000 + number, |_| {}),
        _ => login(number, 8, |line| {
            line["client"]["address"] =
                json!(format!("10.1.{}.{}", number / 256 % 256, number % 256));
        }),
    });
    let facts = facts(lines);
    assert_eq!(facts.timeline.steps.iter().flatten().sum::<u64>(), 10_000);
    let page = html(&facts).expect("a page");
    assert!(page.len() < 512 << 10, "{} bytes", page.len());
}

#[test]
fn what_is_told_apart_is_bounded() {
    let lines = (0..3_000).map(|number| {
        login(number, 2_000, |line| {
            for path in [
                "/server/address",
                "/process/name",
                "/login/app_name",
                "/diagnosis/0/cause",
                "/host/name",
            ] {
                *line.pointer_mut(path).expect("a name") = json!(format!("name-{number}"));
            }
        })
    });
    let gathered = gathered(lines);
    assert!(gathered.columns.values().all(|values| values.len() <= 201));
    assert!(gathered.causes.len() <= 200);
    let rows = gathered
        .columns
        .values()
        .map(|values| values.values().map(|share| share.logins).sum::<u64>());
    assert!(
        rows.filter(|logins| *logins > 0)
            .all(|logins| logins == 3_000)
    );
}

#[test]
fn phases_are_compared_with_another_time() {
    let before = gathered((0..100).map(|number| login(number, 8, |_| {})));
    let now = gathered((0..100).map(|number| login(number, 80, |_| {})));
    let facts = Facts::new(&now, Some(&before));
    let whole = &facts.phases[0];
    assert_eq!(whole.now.cells()[0], "80.0 ms");
    assert_eq!(
        whole.before.map(|before| before.cells()[0].clone()),
        Some("8.00 ms".to_owned())
    );
    assert!(html(&facts).expect("a page").contains("half before"));
    assert!(markdown(&facts).expect("text").contains("half before"));
}
