//! A connection whose first packets passed before the agent came.

use super::lines::{Seen, demand, number, sums, text};
use crate::sweep::engine::Lines;

/// What must be said of it.
#[derive(Clone, Debug)]
pub struct Joined {
    /// How many `login` lines there may be.
    pub logins: [usize; 2],
    /// How many `close` lines.
    pub closes: [usize; 2],
    /// What the login may be called.
    pub outcomes: Vec<&'static str>,
    /// Phases of which the first message was not seen.
    pub unseen: Vec<&'static str>,
    /// Whether the kind of authentication is known.
    pub auth_is_known: bool,
    /// The kind of authentication; what may be said of it where nothing is known is `unknown`.
    pub auth: Option<String>,
    /// Whether anything of the login is left to tell authentication by.
    pub of_the_login: bool,
    /// What the connection has agreed on.
    pub encryption: Vec<&'static str>,
    /// The connection's name, where all that are older than the agent have the same.
    pub id: Option<String>,
}

impl Joined {
    pub(super) fn judge(&self, said: &Lines) -> Vec<String> {
        let mut wrong = Vec::new();
        for (what, count, [least, most]) in [
            ("logins", said.logins.len(), self.logins),
            ("closes", said.closes.len(), self.closes),
        ] {
            let what = format!("{count} {what}, right {least} to {most}");
            demand(
                &mut wrong,
                (least..=most).contains(&count),
                &what,
                String::new,
            );
        }
        for line in said.logins.iter().chain(&said.closes) {
            let event = text(line, "event").unwrap_or("line");
            for phase in &self.unseen {
                let told = line["phases"].get(phase);
                let what = format!("{event} phase {phase}, whose beginning was not seen");
                let how = || format!("{} ns", told.map_or(0, |told| number(told, "duration_ns")));
                demand(&mut wrong, told.is_none(), &what, how);
            }
            if let Some(kind) = text(line, "auth.kind").filter(|_| self.auth_is_known) {
                let vague = self.of_the_login && matches!(kind, "unknown" | "spnego");
                let so = self.auth.as_deref() == Some(kind) && self.of_the_login;
                let what = format!("{event} auth {kind}");
                demand(&mut wrong, vague || so, &what, || {
                    format!("{:?} is so", self.auth)
                });
            }
            if let Some(encryption) = text(line, "tds.encryption") {
                let so = self.encryption.contains(&encryption);
                let what = format!("{event} encryption {encryption}");
                demand(&mut wrong, so, &what, || {
                    format!("{:?} is so", self.encryption)
                });
            }
            if let Some(id) = &self.id {
                let told = text(line, "connection.id").unwrap_or("none");
                demand(&mut wrong, told == id, "another id", || {
                    format!("{told}, right {id}")
                });
            }
            let reasons = line["connection"]["partial_reasons"].as_array();
            let late =
                reasons.is_some_and(|reasons| reasons.iter().any(|reason| reason == "joined_late"));
            demand(
                &mut wrong,
                late,
                &format!("{event} not joined_late"),
                String::new,
            );
            wrong.extend(sums(line, Seen::End));
        }
        for login in &said.logins {
            let outcome = text(login, "login.outcome").unwrap_or("none");
            let what = format!("outcome {outcome}, right {}", self.outcomes.join(" or "));
            demand(
                &mut wrong,
                self.outcomes.contains(&outcome),
                &what,
                String::new,
            );
        }
        wrong
    }
}
