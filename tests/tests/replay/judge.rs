//! What is wrong in what was said, of many variants.

use harness::{expect::LOGIN_PHASES, replay::field};
use serde_json::Value;

use crate::hear::{Heard, number};
use crate::script::MILLISECOND;

/// Complaints, each with the variant that it is about.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    all: Vec<String>,
    variants: usize,
}

impl Wrong {
    /// Looks at the only login and close of a variant.
    pub(crate) fn look(
        &mut self,
        variant: &str,
        heard: &Heard,
        judge: impl FnOnce(&mut Judge<'_>),
    ) {
        self.variants += 1;
        match heard.only() {
            Ok((login, close)) => {
                let mut judge_of = Judge {
                    login,
                    close,
                    wrong: Vec::new(),
                };
                judge_of.sums();
                judge(&mut judge_of);
                let found = judge_of.wrong;
                self.all
                    .extend(found.iter().map(|one| format!("{variant}: {one}")));
            }
            Err(count) => self.all.push(format!("{variant}: {count}")),
        }
    }

    /// A variant is looked at by whoever calls this.
    pub(crate) fn count(&mut self) {
        self.variants += 1;
    }

    /// Adds a complaint where something is not so.
    pub(crate) fn demand(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.all.push(what());
        }
    }
}

/// Nothing may be wrong, and something must have been looked at.
impl Drop for Wrong {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let most = std::env::var("COMPLAINTS").ok();
        let most = most.and_then(|most| most.parse().ok()).unwrap_or(60);
        let some: Vec<_> = self.all.iter().take(most).cloned().collect();
        assert!(
            self.all.is_empty(),
            "{} complaints of {} variants:\n{}",
            self.all.len(),
            self.variants,
            some.join("\n")
        );
        assert!(self.variants > 0, "nothing was looked at");
    }
}

/// What is said of one connection.
pub(crate) struct Judge<'a> {
    pub(crate) login: &'a Value,
    pub(crate) close: &'a Value,
    wrong: Vec<String>,
}

impl Judge<'_> {
    pub(crate) fn demand(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.wrong.push(what());
        }
    }

    /// The login's outcome is one of these, here and in the close.
    pub(crate) fn outcome(&mut self, right: &[&str]) {
        for line in [self.login, self.close] {
            let told = text(line, "login.outcome").unwrap_or("none");
            let confidence = field(line, "login.confidence").cloned();
            self.demand(right.contains(&told), || {
                let event = &line["event"];
                format!("{event} {told} ({confidence:?}), right {right:?}")
            });
        }
    }

    pub(crate) fn never(&mut self, wrong: &[&str]) {
        for line in [self.login, self.close] {
            let told = text(line, "login.outcome").unwrap_or("none");
            let confidence = field(line, "login.confidence").cloned();
            self.demand(!wrong.contains(&told), || {
                format!("{} {told} ({confidence:?}), which it is not", line["event"])
            });
        }
    }

    pub(crate) fn owed_by(&mut self, right: Option<&str>) {
        let told = text(self.login, "login.owed_by");
        self.demand(told == right, || {
            format!("owed_by {told:?}, right {right:?}")
        });
    }

    /// A phase's share is so long, a little more or less.
    pub(crate) fn share(&mut self, phase: &str, side: &str, right: u64, slack: u64) {
        let path = format!("phases.{phase}.{side}_ns");
        let told = field(self.login, &path).and_then(Value::as_u64);
        let near = told.is_some_and(|told| told.abs_diff(right) <= slack);
        self.demand(near, || format!("{path} {told:?}, right about {right}"));
    }

    /// The login took so long, a little more or less.
    pub(crate) fn duration(&mut self, right: u64) {
        let told = number(self.login, "login.duration_ns");
        self.demand(told.abs_diff(right) <= MILLISECOND, || {
            format!("duration {told}, right {right}")
        });
    }

    /// Both lines have this value at a path, or none.
    pub(crate) fn said(&mut self, path: &str, right: &Value) {
        for line in [self.login, self.close] {
            let told = field(line, path).unwrap_or(&Value::Null);
            self.demand(told == right, || {
                format!("{} {path} {told}, right {right}", line["event"])
            });
        }
    }

    pub(crate) fn no_phase(&mut self, phase: &str) {
        for line in [self.login, self.close] {
            let told = field(line, &format!("phases.{phase}"));
            self.demand(told.is_none(), || {
                format!("{} has {phase}: {told:?}", line["event"])
            });
        }
    }

    /// The phase that the login ended in is this one, and only it is incomplete.
    pub(crate) fn ended_in(&mut self, right: &str) {
        let told: Vec<_> = LOGIN_PHASES
            .iter()
            .filter_map(|name| Some((*name, field(self.login, &format!("phases.{name}"))?)))
            .collect();
        let last = told.last().map(|(name, _)| *name);
        self.demand(last == Some(right), || {
            format!("ended in {last:?}, right {right}")
        });
        for (name, phase) in &told {
            let complete = phase["complete"] == true;
            self.demand(complete == (Some(*name) != last), || {
                format!("phase {name} complete: {complete}")
            });
        }
    }

    pub(crate) fn class(&mut self, right: &str) {
        let told = text(self.close, "close.class");
        self.demand(told == Some(right), || {
            format!("close {told:?}, right {right}")
        });
    }

    /// `handshake + prelogin + tls + login + auth = login.duration_ns`, one after the other.
    fn sums(&mut self) {
        let late = field(self.login, "connection.partial_reasons")
            .and_then(Value::as_array)
            .is_some_and(|reasons| reasons.iter().any(|reason| reason == "joined_late"));
        if late {
            return;
        }
        let mut sum = 0;
        for name in LOGIN_PHASES {
            let Some(phase) = field(self.login, &format!("phases.{name}")) else {
                continue;
            };
            let of = |share: &str| number(phase, share);
            let parts = of("client_ns") + of("server_ns") + of("network_ns");
            // Behind a gap nobody knows who was waited for, and it is left out.
            let is_known = !phase["client_ns"].is_null();
            self.demand(!is_known || parts == of("duration_ns"), || {
                format!("shares of {name} make {parts}: {phase}")
            });
            sum += of("duration_ns");
        }
        let duration = number(self.login, "login.duration_ns");
        self.demand(sum == duration, || {
            format!("phases make {sum} of {duration}")
        });
    }
}

/// A text of a line.
pub(crate) fn text<'a>(line: &'a Value, path: &str) -> Option<&'a str> {
    field(line, path).and_then(Value::as_str)
}
