//! Records that never reached the agent: of each connection nothing is said that is not so, and that something is
//! missing is said wherever it matters.

use harness::records::Records;
use harness::replay::line;
use serde_json::Value;
use tracer::record::Record;
use tracer::session::{Config, Decided, Engine, Input, Listener};

const CAPTURES: [&str; 4] = [
    "odbc18-lab-clear",
    "odbc18-lab-tls12",
    "odbc18-lab-loginfailed",
    "tsql-lab-ntlm-loginonly",
];
const SECOND: u64 = 1_000_000_000;

#[derive(Default)]
struct Heard(Vec<Value>);

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.0.push(line(&record));
    }

    fn decided(&mut self, _: Decided) {}
}

/// What is said of those records that arrive.
fn said(records: &Records, arrives: impl Fn(usize) -> bool) -> Vec<Value> {
    let (mut engine, mut heard) = (Engine::new(Config::default()), Heard::default());
    let mut last = 0;
    for (place, (event, run)) in records.0.iter().enumerate() {
        last = event.time;
        if arrives(place) {
            engine.on_event(Input::Event(event, run), &mut heard);
        }
    }
    for end in records.socket_ends() {
        engine.on_event(Input::SocketEnd(end), &mut heard);
    }
    for later in 1..30 {
        engine.pass_time(last + later * SECOND, &mut heard);
    }
    engine.finish(last + 60 * SECOND, &mut heard);
    let mut lines = heard.0;
    lines.retain(|line| line["event"] == "login" || line["event"] == "close");
    lines
}

/// What has to be as it is where a line says that nothing is missing.
fn told(line: &Value) -> Vec<&Value> {
    let places = [
        "/login/outcome",
        "/login/duration_ns",
        "/close/by",
        "/close/how",
        "/close/class",
        "/phases/handshake",
        "/phases/prelogin",
        "/phases/tls",
        "/phases/login",
        "/phases/auth",
        "/tds",
        "/tls",
        "/auth",
    ];
    let none = &Value::Null;
    let facts = places.map(|place| line.pointer(place).unwrap_or(none));
    facts.to_vec()
}

#[test]
fn a_line_that_says_that_nothing_is_missing_says_the_same_as_if_nothing_were() {
    for capture in CAPTURES {
        let records = Records::of(capture).unwrap();
        let count = records.0.len();
        let whole = said(&records, |_| true);
        let of = |event: &str| whole.iter().find(|line| line["event"] == event).unwrap();
        let direction = |place: usize| records.0[place].0.direction;
        let mut wrong = Vec::new();
        for from in 0..count {
            for to in from..count {
                // Of one side only, or of both.
                for side in [Some(0), Some(1), None] {
                    let is_lost = |place: usize| {
                        (from..=to).contains(&place)
                            && side.is_none_or(|side| side == direction(place))
                    };
                    for line in said(&records, |place| !is_lost(place)) {
                        let truth = of(line["event"].as_str().unwrap());
                        if line["connection"]["partial"] == false && told(&line) != told(truth) {
                            wrong.push((from, to, side, line));
                        }
                    }
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{capture}: {} of {count} records: {:#?}",
            wrong.len(),
            wrong.iter().take(3).collect::<Vec<_>>()
        );
    }
}
