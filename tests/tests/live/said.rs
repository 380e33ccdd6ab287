//! What the lines of one connection must say.

use std::time::Duration;

use harness::agent::of;
use harness::expect::{
    LOGIN_PHASES, Shape, assert_phase, assert_sums, assert_times, cut_phases, last_reply, leaving,
    line_phases, phases,
};
use serde_json::Value;

use crate::run::{PORT, Run};

/// Phases of a login without TLS.
pub(crate) const CLEAR: [&str; 3] = ["handshake", "prelogin", "login"];
/// Those of one with TLS inside TDS.
pub(crate) const WRAPPED: [&str; 4] = ["handshake", "prelogin", "tls", "login"];

impl Run {
    /// A value of the `login` line.
    pub(crate) fn value(&self, pointer: &str) -> &Value {
        self.login.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Both lines say this.
    pub(crate) fn assert_eq(&self, pointer: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        for line in [&self.login, &self.close] {
            assert_eq!(
                line.pointer(pointer),
                Some(&expected),
                "{pointer}: {line:#}"
            );
        }
    }

    /// The `close` line says this of the end.
    pub(crate) fn assert_close(&self, by: &str, how: &str, class: &str) {
        for (field, expected) in [("by", by), ("how", how), ("class", class)] {
            assert_eq!(
                self.close["close"][field], expected,
                "close.{field}: {:#}",
                self.close
            );
        }
    }

    /// The phases are these, and only the last may be incomplete.
    pub(crate) fn assert_phases(&self, expected: &[&str], last_complete: bool) {
        assert_sums(&self.login);
        let found: Vec<_> = line_phases(&self.login)
            .into_iter()
            .map(|(name, ..)| name)
            .filter(|name| LOGIN_PHASES.contains(&name.as_str()))
            .collect();
        let mut ordered = found.clone();
        ordered.sort_by_key(|name| expected.iter().position(|known| known == name));
        assert_eq!(ordered, expected, "{:#}", self.login);
        for (index, name) in expected.iter().enumerate() {
            let complete = last_complete || index + 1 < expected.len();
            assert_eq!(
                self.login["phases"][name]["complete"], complete,
                "{name}: {:#}",
                self.login
            );
        }
    }

    /// The outcome, and what is said of every connection that completes its
    /// handshake.
    pub(crate) fn assert_outcome(&self, outcome: &str, encryption: Option<&str>) {
        assert_eq!(
            self.login["login"]["outcome"], outcome,
            "{:#}\nclient: {}",
            self.login, self.fared.output
        );
        self.assert_eq("/schema_version", "1");
        self.assert_eq("/server/port", PORT);
        self.assert_eq("/connection/partial", false);
        // Two namespaces of one kernel: the agent sees the sockets of both, where there are two.
        let vantage = if outcome == "refused" {
            "client"
        } else {
            "both"
        };
        self.assert_eq("/connection/vantage", vantage);
        self.assert_eq("/server/address", self.path.address());
        assert_eq!(
            self.value("/tds/encryption").as_str(),
            encryption,
            "{:#}",
            self.login
        );
        assert_eq!(
            self.login.pointer("/connection/id"),
            self.close.pointer("/connection/id"),
            "the lines are not of one connection"
        );
        let losses = of(&self.events, "loss");
        assert!(losses.is_empty(), "something was lost: {losses:#?}");
    }

    /// The client was let in, and that is known as well as this encryption lets it be known.
    pub(crate) fn assert_success(&self, encryption: &str) {
        assert!(
            self.fared.ok,
            "the client was not let in: {}",
            self.fared.output
        );
        self.assert_outcome("success", Some(encryption));
        let dark = matches!(encryption, "full" | "strict");
        self.assert_eq("/login/basis", if dark { "inferred" } else { "observed" });
        let confidence = self.value("/login/confidence").as_f64();
        assert_eq!(confidence.is_some(), dark, "{:#}", self.login);
        assert!(
            confidence.is_none_or(|confidence| confidence > 0.5 && confidence <= 1.0),
            "{:#}",
            self.login
        );
    }

    /// Every phase took as long as the capture says, those after the login too.
    pub(crate) fn assert_captured(&self, shape: Shape) {
        self.assert_captured_rounds(shape, 0);
    }

    /// The same for a login with rounds of authentication.
    pub(crate) fn assert_captured_rounds(&self, shape: Shape, rounds: usize) {
        let mut ends = phases(&self.segments, shape).unwrap();
        if rounds > 0 {
            ends.push(("auth", last_reply(&self.segments, rounds, shape).unwrap()));
        }
        assert_times(&self.login, &ends);
        match self.close["phases"]["command"]["complete"].as_bool() {
            Some(true) => {
                let answered = last_reply(&self.segments, rounds + 1, shape).unwrap();
                ends.push(("command", answered));
            }
            // Nobody answers: that is waited for until somebody leaves.
            Some(false) => ends.push(("command", leaving(&self.segments).unwrap().0)),
            None => {}
        }
        assert_times(&self.close, &ends);
        self.assert_left();
    }

    /// The same for a login that ended in the phase `last`, when somebody left.
    pub(crate) fn assert_captured_until(&self, shape: Shape, last: &'static str) {
        let ends = cut_phases(&self.segments, shape, last).unwrap();
        assert_times(&self.login, &ends);
        assert_times(&self.close, &ends);
        self.assert_left();
    }

    /// The end of the connection took as long as the capture says.
    fn assert_left(&self) {
        let (first, last) = leaving(&self.segments).unwrap();
        assert_phase(&self.close, "close", last - first);
    }

    /// A duration of the login, in nanoseconds.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_nanos(self.value("/login/duration_ns").as_u64().unwrap())
    }
}
