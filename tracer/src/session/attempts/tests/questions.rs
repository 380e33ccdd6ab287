//! Attempts whose questions to SQL Browser are not answered, or asked again.

use super::*;

/// How long a lookup waits for its answer.
const PATIENCE: u64 = 5 * SECOND;
const NOWHERE: &[(u8, u16)] = &[];

impl Lived {
    fn asks(&mut self, name: &str, port: u16, at: u64) {
        self.passes(at);
        let question = Question::new((port, address(2)), name.into(), START + at);
        self.attempts.asks(self.who(address(1)), question);
    }

    fn answers(&mut self, port: u16, asked: u64, at: u64) {
        let question = (LookupOutcome::Answered, port, asked);
        self.lookup_ends(1, ("SALES", &[(2, 1500)]), question, at);
    }

    fn is_silent(&mut self, port: u16, asked: u64) {
        let question = (LookupOutcome::Timeout, port, asked);
        self.lookup_ends(1, ("sales", NOWHERE), question, asked + PATIENCE);
    }

    fn logs_in(&mut self, at: u64) {
        let one = self.opens(1, server(2, 1500), at);
        self.begins(one, at + MILLISECOND);
        self.succeeds(one, at + 5 * MILLISECOND);
    }

    /// What each attempt that was told consists of, and how long each part took.
    fn parts(&self) -> Vec<Vec<(PartKind, PartOutcome, u64)>> {
        let told = self.told.iter().map(|attempt| {
            let mut parts: Vec<_> = attempt.parts.iter().collect();
            parts.sort_by_key(|part| part.start);
            let part = |part: &&Done| (part.kind, part.outcome, part.end - part.start);
            parts.iter().map(part).collect()
        });
        told.collect()
    }
}

const SILENT: PartOutcome = PartOutcome::Lookup(LookupOutcome::Timeout);
const ANSWERED: PartOutcome = PartOutcome::Lookup(LookupOutcome::Answered);
const SUCCESS: PartOutcome = PartOutcome::Login(Outcome::Success);

#[test]
fn a_question_that_is_asked_again_from_another_port_is_of_the_same_attempt() {
    let mut lived = Lived::default();
    lived.asks("sales", 1, 0);
    lived.asks("SALES", 2, SECOND);
    lived.answers(2, SECOND, SECOND + MILLISECOND);
    lived.logs_in(SECOND + 2 * MILLISECOND);
    lived.is_silent(1, 0);
    lived.passes(20 * SECOND);
    let expected = [
        (PartKind::Lookup, SILENT, SECOND),
        (PartKind::Lookup, ANSWERED, MILLISECOND),
        (PartKind::Login, SUCCESS, 5 * MILLISECOND),
    ];
    assert_eq!(lived.parts(), [expected]);
    assert_eq!(lived.told[0].start(), START);
    assert!(lived.attempts.clients.is_empty());
}

#[test]
fn questions_that_nobody_answers_are_one_attempt_in_vain() {
    let mut lived = Lived::default();
    for (port, at) in [(1, 0), (2, SECOND), (3, 2 * SECOND)] {
        lived.asks("sales", port, at);
    }
    for (port, at) in [(1, 0), (2, SECOND), (3, 2 * SECOND)] {
        lived.is_silent(port, at);
    }
    lived.passes(20 * SECOND);
    let lookup = |took| (PartKind::Lookup, SILENT, took);
    assert_eq!(
        lived.parts(),
        [[lookup(SECOND), lookup(SECOND), lookup(PATIENCE)]]
    );
    assert!(lived.attempts.clients.is_empty());
}

#[test]
fn of_several_questions_in_vain_each_lasts_until_the_next_one() {
    let mut lived = Lived::default();
    for (port, at) in [(1, 0), (2, SECOND), (3, 2 * SECOND)] {
        lived.asks("sales", port, at);
    }
    lived.answers(3, 2 * SECOND, 2 * SECOND + MILLISECOND);
    lived.logs_in(2 * SECOND + 2 * MILLISECOND);
    let took: Vec<_> = lived.parts().concat().iter().map(|part| part.2).collect();
    assert_eq!(took, [SECOND, SECOND, MILLISECOND, 5 * MILLISECOND]);
}

#[test]
fn who_asks_again_after_a_server_that_did_not_answer_makes_the_next_try() {
    let mut lived = Lived::default();
    lived.asks("sales", 1, 0);
    lived.answers(1, 0, MILLISECOND);
    let dead = lived.opens(1, server(2, 1500), 2 * MILLISECOND);
    lived.syn_again(dead, SECOND);
    lived.asks("sales", 2, 2 * SECOND);
    lived.answers(2, 2 * SECOND, 2 * SECOND + MILLISECOND);
    lived.logs_in(2 * SECOND + 2 * MILLISECOND);
    lived.ends_as_of(dead, Ends::silent(Outcome::Unreachable), SECOND, 5 * SECOND);
    lived.passes(20 * SECOND);
    assert_eq!(lived.parts().len(), 1);
}

#[test]
fn an_answer_that_comes_late_is_told_if_somebody_goes_there() {
    for follows in [false, true] {
        let mut lived = Lived::default();
        lived.asks("sales", 1, 0);
        lived.asks("sales", 2, SECOND);
        lived.answers(2, SECOND, SECOND + MILLISECOND);
        lived.logs_in(SECOND + 2 * MILLISECOND);
        lived.answers(1, 0, SECOND + 20 * MILLISECOND);
        if follows {
            lived.logs_in(SECOND + 21 * MILLISECOND);
        }
        lived.passes(20 * SECOND);
        assert_eq!(lived.parts().len(), if follows { 2 } else { 1 });
        assert!(lived.attempts.clients.is_empty());
    }
}

#[test]
fn questions_that_are_asked_at_once_are_of_two_logins() {
    let mut lived = Lived::default();
    lived.asks("sales", 1, 0);
    lived.asks("sales", 2, MILLISECOND);
    lived.answers(2, MILLISECOND, 2 * MILLISECOND);
    lived.answers(1, 0, 3 * MILLISECOND);
    lived.logs_in(4 * MILLISECOND);
    lived.logs_in(5 * MILLISECOND);
    let expected = [(PartKind::Lookup, ANSWERED), (PartKind::Login, SUCCESS)];
    for attempt in lived.parts() {
        let parts: Vec<_> = attempt.iter().map(|part| (part.0, part.1)).collect();
        assert_eq!(parts, expected);
    }
    assert_eq!(lived.told.len(), 2);
}

#[test]
fn who_says_the_instance_it_wants_has_asked_for_it_though_no_answer_was_seen() {
    for (instance, is_it) in [("SALES", true), ("STOCK", false)] {
        let mut lived = Lived::default();
        lived.asks("sales", 1, 0);
        let one = lived.opens(1, server(2, 1500), 2 * MILLISECOND);
        lived.begins(one, 3 * MILLISECOND);
        lived.attempts.wants(one, instance);
        lived.succeeds(one, 7 * MILLISECOND);
        lived.is_silent(1, 0);
        lived.passes(20 * SECOND);
        let login = (PartKind::Login, SUCCESS, 5 * MILLISECOND);
        if is_it {
            let lookup = (PartKind::Lookup, SILENT, 2 * MILLISECOND);
            assert_eq!(lived.parts(), [[lookup, login]]);
        } else {
            assert_eq!(lived.told.len(), 2);
        }
    }
}

#[test]
fn a_try_that_begins_with_the_same_question_is_of_the_same_attempt() {
    // The second answer takes longer than an attempt waits for its next try.
    for took in [MILLISECOND, 2 * SECOND] {
        let mut lived = Lived::default();
        lived.asks("sales", 1, 0);
        lived.answers(1, 0, MILLISECOND);
        let refused = lived.opens(1, server(2, 1500), 2 * MILLISECOND);
        lived.ends(refused, Ends::returns(Outcome::Refused), 3 * MILLISECOND);
        let again = 103 * MILLISECOND;
        lived.asks("sales", 2, again);
        lived.answers(2, again, again + took);
        lived.logs_in(again + took + MILLISECOND);
        lived.passes(20 * SECOND);
        let kinds: Vec<_> = lived.parts().concat().iter().map(|part| part.0).collect();
        assert_eq!(lived.told.len(), 1, "{took}");
        assert_eq!(
            kinds,
            [
                PartKind::Lookup,
                PartKind::Login,
                PartKind::Lookup,
                PartKind::Login
            ]
        );
    }
}

#[test]
fn a_flood_of_questions_from_one_client_takes_bounded_memory() {
    let mut lived = Lived::default();
    for number in 0..10_000 {
        lived.asks("sales", number, u64::from(number));
        let own = lived.attempts.clients.values().next();
        assert!(own.is_some_and(|own| own.questions.len() <= 64));
    }
    for number in 0..10_000 {
        lived.is_silent(number, u64::from(number));
    }
    lived.passes(20 * SECOND);
    assert!(lived.attempts.clients.is_empty());
}
