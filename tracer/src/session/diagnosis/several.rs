//! A login that waited for long more than once: each wait has a cause.

use super::{
    MOST, Ranked, Symptoms, fitting,
    symptoms::{NOT_WHY, Who},
};
use crate::record::Outcome;

/// Waits beside the longest one that are asked about.
const OTHERS: usize = 2;
/// No more is believed of a server's wait of which is not known what others waited for then.
const UNCOMPARED: f64 = 0.6;

/// Adds the likeliest cause of each other long wait to those of the longest one, behind the first.
pub(super) fn add_others(symptoms: &Symptoms<'_>, ranked: &mut Vec<Ranked>) {
    let Some(most) = ranked.first().map(|first| first.confidence) else {
        return;
    };
    let failed = !symptoms.outcome.is_some_and(Outcome::is_good);
    for wait in symptoms.other_stalls().into_iter().take(OTHERS) {
        let mut other = symptoms.clone();
        other.looked_at = Some(wait);
        let compared = symptoms.around.phase;
        let alone = wait.who == Who::Server && compared.is_some_and(|phase| phase != wait.phase);
        if alone {
            other.around = symptoms.around.but_waits();
        }
        let new = fitting(&other).into_iter().filter(|new| {
            let known = ranked.iter().any(|known| known.slug() == new.slug());
            !known && !new.is_finding
        });
        let Some(mut new) = new.reduce(likelier) else {
            continue;
        };
        new.confidence = new.confidence.min(most);
        if alone {
            new.confidence = new.confidence.min(UNCOMPARED);
        }
        if failed && !symptoms.stopped_at(wait.phase) {
            new.confidence = new.confidence.min(NOT_WHY);
        }
        other.place(&mut new.evidence);
        ranked.truncate(MOST - 1);
        // Behind those that are as likely.
        let at = ranked
            .iter()
            .rposition(|known| known.confidence >= new.confidence);
        ranked.insert(at.map_or(0, |at| at + 1), new);
    }
}

/// The likelier of two, the first where they are equally likely.
fn likelier(one: Ranked, other: Ranked) -> Ranked {
    if other.confidence > one.confidence {
        other
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Nanos, PhaseName, Waited},
        session::diagnosis::{ranked, symptoms::SECOND, tests::slow},
    };

    fn waits(login: &mut Symptoms<'_>, phase: PhaseName, client: u64, server: u64) {
        let part = login.parts.iter_mut().find(|part| part.name == phase);
        let part = part.expect("the phase");
        part.waited = Some(Waited {
            client_ns: Nanos(client),
            server_ns: Nanos(server),
            network_ns: Nanos(0),
        });
        part.duration = client + server;
        login.duration = login.parts.iter().map(|part| part.duration).sum();
    }

    fn told(login: &Symptoms<'_>) -> Vec<&'static str> {
        ranked(login).iter().map(Ranked::slug).collect()
    }

    #[test]
    fn a_client_and_a_server_that_were_both_slow_are_both_named_the_slower_one_first() {
        let mut login = slow(PhaseName::Login, Who::Server);
        waits(&mut login, PhaseName::Login, 2 * SECOND, 3 * SECOND);
        assert_eq!(told(&login), ["server_slow_login", "client_slow"]);
        waits(&mut login, PhaseName::Login, 4 * SECOND, 3 * SECOND);
        assert_eq!(told(&login), ["client_slow", "server_slow_login"]);
    }

    #[test]
    fn what_is_short_beside_the_longest_wait_has_no_cause_of_its_own() {
        let mut login = slow(PhaseName::Login, Who::Server);
        waits(&mut login, PhaseName::Login, SECOND / 2, 3 * SECOND);
        assert_eq!(told(&login), ["server_slow_login"]);
        waits(&mut login, PhaseName::Login, 2 * SECOND, 30 * SECOND);
        assert_eq!(told(&login), ["server_slow_login"]);
    }
}
