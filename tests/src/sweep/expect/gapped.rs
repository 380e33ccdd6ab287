//! A connection one packet of which was not captured: the same is said of it, or less, and nothing
//! that is not so.

use serde_json::Value;

use super::lines::{Seen, demand, number, phases, sums, text};
use crate::{replay::field, sweep::engine::Lines};

/// What must be said.
#[derive(Clone, Debug)]
pub struct Gapped {
    /// Of the connection as it was.
    pub whole: Lines,
    /// What the login may be called.
    pub outcomes: Vec<&'static str>,
    /// Bytes are missing.
    pub has_hole: bool,
    /// How far a phase may differ whose border the packet was.
    pub border_ns: u64,
}

/// Facts that are so, or are not said.
const FACTS: [&str; 13] = [
    "tds.version",
    "tds.encryption",
    "tds.encryption_asked",
    "tds.encryption_answered",
    "tds.mars",
    "tds.spid",
    "tds.server_version",
    "tls.version",
    "tls.sni",
    "login.error",
    "login.redirect",
    "login.stranger",
    "login.attention",
];

impl Gapped {
    pub(super) fn judge(&self, said: &Lines) -> Vec<String> {
        let mut wrong = Vec::new();
        let [logins, closes] = [said.logins.len(), said.closes.len()];
        let [right_logins, right_closes] = [self.whole.logins.len(), self.whole.closes.len()];
        demand(
            &mut wrong,
            logins == right_logins,
            "number of logins",
            || logins.to_string(),
        );
        demand(
            &mut wrong,
            closes == right_closes,
            "number of closes",
            || closes.to_string(),
        );
        if let (Some(login), Some(whole)) = (said.logins.first(), self.whole.logins.first()) {
            self.login(login, whole, &mut wrong);
        }
        wrong
    }

    fn login(&self, login: &Value, whole: &Value, wrong: &mut Vec<String>) {
        let outcome = text(login, "login.outcome").unwrap_or("none");
        let may_be = self.outcomes.is_empty() || self.outcomes.contains(&outcome);
        let what = format!("outcome {outcome}, right {}", self.outcomes.join(" or "));
        demand(wrong, may_be, &what, String::new);
        let partial = login["connection"]["partial"] == true;
        let honest =
            partial || outcome != "unknown" || text(whole, "login.outcome") == Some("unknown");
        demand(wrong, honest, "unknown, and not partial", String::new);
        // Where nothing but an acknowledgement is missing, nothing is missing.
        let fits = self.has_hole || !partial || whole["connection"]["partial"] == true;
        demand(wrong, fits, "partial, and no byte is missing", String::new);
        for path in FACTS {
            let [told, right] =
                [login, whole].map(|line| field(line, path).unwrap_or(&Value::Null));
            // LOGINACK, which says it where PRELOGIN's answer is lost, says less of the build.
            let version = path == "tds.server_version";
            let so = told == right || self.has_hole && (told.is_null() || version);
            demand(
                wrong,
                so,
                &format!("{path} {told}, right {right}"),
                String::new,
            );
        }
        let [kind, right] = [login, whole].map(|line| text(line, "auth.kind"));
        let vague = matches!(kind, None | Some("unknown" | "spnego")) && self.has_hole;
        demand(
            wrong,
            vague || kind == right,
            &format!("auth {kind:?}, right {right:?}"),
            String::new,
        );
        wrong.extend(sums(login, if partial { Seen::Parts } else { Seen::All }));
        let whole = phases(whole);
        for (name, phase) in phases(login) {
            let Some((_, right)) = whole.iter().find(|(other, _)| *other == name) else {
                wrong.push(format!("phase {name}, which there was not: "));
                continue;
            };
            let [told, right] = [phase, right].map(|phase| number(phase, "duration_ns"));
            let near = partial || told.abs_diff(right) <= self.border_ns;
            demand(
                wrong,
                near,
                &format!("phase {name} of another length"),
                || format!("{told}, right {right}"),
            );
        }
    }
}
