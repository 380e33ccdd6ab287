use super::*;
use crate::record::{LookupOutcome, PartOutcome};

mod again;
mod families;
mod lived;
mod mixed;
mod questions;

use self::lived::{Ends, Lived};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const START: u64 = 1000 * SECOND;

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn server(last: u8, port: u16) -> End {
    End {
        address: address(last),
        port,
    }
}

#[test]
fn logins_of_a_pool_that_open_at_the_same_time_are_an_attempt_each() {
    let mut lived = Lived::default();
    let all: Vec<_> = (0..8)
        .map(|at| lived.opens(1, server(2, 1433), at))
        .collect();
    for one in &all {
        lived.begins(*one, MILLISECOND);
    }
    for one in &all {
        let named = lived.succeeds(*one, 5 * MILLISECOND);
        assert_eq!((named.id.0, named.number), (u64::from(*one), 1));
    }
    assert_eq!(lived.told.len(), 8, "each is told at once");
    let told = lived.told();
    assert!(
        told.iter()
            .all(|(all, lost)| all.len() == 1 && lost.is_empty())
    );
}

#[test]
fn the_slower_of_parallel_connections_are_part_of_the_winners_attempt() {
    let mut lived = Lived::default();
    let [first, second, third] = [2, 3, 4].map(|last| lived.opens(1, server(last, 1433), 0));
    lived.accepted(second, MILLISECOND);
    lived.accepted(first, 2 * MILLISECOND);
    // Before the winner has said anything, the others are closed.
    let named = lived.ends(first, Ends::silent(Outcome::Aborted), 2 * MILLISECOND);
    assert!(named.loser);
    lived.accepted(third, 3 * MILLISECOND);
    lived.speaks(second, 3 * MILLISECOND);
    let reset = lived.ends(third, Ends::silent(Outcome::Reset), 3 * MILLISECOND);
    assert_eq!((reset.id, reset.number, reset.loser), (named.id, 2, true));
    let won = lived.succeeds(second, 9 * MILLISECOND);
    assert_eq!((won.id, won.number, won.loser), (named.id, 3, false));
    assert_eq!(lived.told.len(), 1);
    assert_eq!(lived.told[0].outcome(), Outcome::Success);
    assert_eq!(
        lived.told(),
        [(vec![first, second, third], vec![first, third])]
    );
}

#[test]
fn an_address_that_does_not_answer_is_waited_for_and_told_with_the_one_that_won() {
    let mut lived = Lived::default();
    let dead = lived.opens(1, server(2, 1433), 0);
    let alive = lived.opens(1, server(3, 1433), 0);
    lived.begins(alive, MILLISECOND);
    let won = lived.succeeds(alive, 9 * MILLISECOND);
    lived.passes(3 * SECOND);
    assert_eq!(lived.told.len(), 0, "the other may belong to it");
    let named = lived.ends_as_of(dead, Ends::silent(Outcome::Unreachable), 0, 4 * SECOND);
    assert_eq!((named.id, named.number, named.loser), (won.id, 2, true));
    assert_eq!(lived.told(), [(vec![dead, alive], vec![dead])]);
}

#[test]
fn an_address_that_is_still_tried_after_another_was_reached_is_another_attempts() {
    let mut lived = Lived::default();
    let dead = lived.opens(1, server(2, 1433), 0);
    let alive = lived.opens(1, server(3, 1433), 0);
    lived.begins(alive, MILLISECOND);
    lived.succeeds(alive, 9 * MILLISECOND);
    lived.syn_again(dead, SECOND);
    assert_eq!(lived.told.len(), 1, "nobody waits for it any more");
    lived.ends_as_of(dead, Ends::silent(Outcome::Unreachable), SECOND, 6 * SECOND);
    assert_eq!(lived.told(), [(vec![alive], vec![]), (vec![dead], vec![])]);
}

#[test]
fn a_probe_beside_two_logins_is_of_neither() {
    let mut lived = Lived::default();
    let [one, other, probe] = [2, 3, 4].map(|last| lived.opens(1, server(last, 1433), 0));
    lived.begins(one, MILLISECOND);
    lived.begins(other, MILLISECOND);
    lived.accepted(probe, MILLISECOND);
    assert!(
        !lived
            .ends(probe, Ends::silent(Outcome::Aborted), 2 * MILLISECOND)
            .loser
    );
    lived.succeeds(one, 9 * MILLISECOND);
    lived.succeeds(other, 9 * MILLISECOND);
    let told = lived.told();
    assert_eq!(told.len(), 3);
}

#[test]
fn a_probe_of_the_same_address_or_another_port_or_at_another_time_is_an_attempt_of_its_own() {
    for (last, port, at) in [(2, 1433, 0), (3, 1500, 0), (3, 1433, 100 * MILLISECOND)] {
        let mut lived = Lived::default();
        let login = lived.opens(1, server(2, 1433), 0);
        lived.begins(login, MILLISECOND);
        let probe = lived.opens(1, server(last, port), at + MILLISECOND);
        lived.accepted(probe, at + 2 * MILLISECOND);
        let named = lived.ends(probe, Ends::silent(Outcome::Aborted), at + 3 * MILLISECOND);
        assert!(!named.loser);
        lived.succeeds(login, at + 9 * MILLISECOND);
        assert_eq!(lived.told().len(), 2);
    }
}

#[test]
fn who_opens_connections_together_and_uses_none_is_taken_for_a_probe_from_then_on() {
    let mut lived = Lived::default();
    let round = |lived: &mut Lived, at: u64, used: bool| {
        let both = [2, 3].map(|last| lived.opens(1, server(last, 1433), at));
        for one in both {
            lived.accepted(one, at + MILLISECOND);
        }
        let silent = Ends::silent(Outcome::Aborted);
        let loser = lived.ends(both[0], silent, at + 2 * MILLISECOND).loser;
        if used {
            lived.speaks(both[1], at + 3 * MILLISECOND);
            lived.succeeds(both[1], at + 9 * MILLISECOND);
        } else {
            lived.ends(both[1], silent, at + 3 * MILLISECOND);
        }
        loser
    };
    assert!(round(&mut lived, 0, true));
    // At the first of two ends nobody can know.
    assert!(round(&mut lived, 10 * SECOND, false));
    assert!(!round(&mut lived, 20 * SECOND, false));
    assert!(!round(&mut lived, 30 * SECOND, false));
    let attempts = lived.told().len();
    assert_eq!(attempts, 1 + 1 + 2 + 2);
}

#[test]
fn where_two_families_race_the_only_rival_is_of_the_same_client() {
    let six: [IpAddr; 2] = ["fd00::1", "fd00::2"].map(|text| text.parse().unwrap());
    let to = End {
        address: six[1],
        port: 1433,
    };
    for rivals in [1, 2] {
        let mut lived = Lived::default();
        let mut others = Vec::new();
        for _ in 0..rivals {
            let faster = lived.opens_from(six[0], to, 0);
            lived.accepted(faster, 50_000);
            others.push(faster);
        }
        let slower = lived.opens(1, server(2, 1433), 100_000);
        lived.accepted(slower, 150_000);
        let named = lived.ends(slower, Ends::silent(Outcome::Aborted), 160_000);
        assert_eq!(named.loser, rivals == 1);
        for faster in others {
            lived.speaks(faster, MILLISECOND);
            lived.succeeds(faster, 5 * MILLISECOND);
        }
        assert_eq!(lived.told().len(), if rivals == 1 { 1 } else { 3 });
    }
}

#[test]
fn who_is_refused_goes_on_to_another_address_unless_it_may_be_another_who_was() {
    for others in [0, 1] {
        let mut lived = Lived::default();
        for _ in 0..=others {
            let refused = lived.opens(1, server(2, 1433), 0);
            lived.ends(refused, Ends::as_(Outcome::Refused), MILLISECOND);
        }
        let next = lived.opens(1, server(3, 1433), 2 * MILLISECOND);
        lived.begins(next, 3 * MILLISECOND);
        let named = lived.succeeds(next, 9 * MILLISECOND);
        assert_eq!(named.number, if others == 0 { 2 } else { 1 });
        assert_eq!(lived.told().len(), if others == 0 { 1 } else { 3 });
    }
}

#[test]
fn who_is_refused_and_tries_again_there_or_elsewhere_later_makes_another_attempt() {
    for (last, at) in [(2, 100 * MILLISECOND), (3, 2 * SECOND)] {
        let mut lived = Lived::default();
        let refused = lived.opens(1, server(2, 1433), 0);
        lived.ends(refused, Ends::as_(Outcome::Refused), MILLISECOND);
        let next = lived.opens(1, server(last, 1433), at);
        lived.begins(next, at + MILLISECOND);
        assert_eq!(lived.succeeds(next, at + 9 * MILLISECOND).number, 1);
        assert_eq!(lived.told().len(), 2);
    }
}

#[test]
fn the_address_after_one_that_does_not_answer_is_of_the_same_attempt() {
    let mut lived = Lived::default();
    let dead = lived.opens(1, server(2, 1433), 0);
    lived.syn_again(dead, SECOND);
    lived.syn_again(dead, 3 * SECOND);
    let next = lived.opens(1, server(3, 1433), 5 * SECOND);
    lived.begins(next, 5 * SECOND + MILLISECOND);
    let won = lived.succeeds(next, 5 * SECOND + 9 * MILLISECOND);
    let unreachable = Ends::silent(Outcome::Unreachable);
    let named = lived.ends_as_of(dead, unreachable, 3 * SECOND, 9 * SECOND);
    // It was not slower than one that was opened beside it: it failed.
    assert_eq!((named.id, named.loser), (won.id, false));
    assert_eq!(lived.told(), [(vec![dead, next], vec![])]);
}

#[test]
fn one_of_several_connections_that_open_meanwhile_does_not_follow_what_is_not_answered() {
    let mut lived = Lived::default();
    let dead = lived.opens(1, server(2, 1433), 0);
    for at in [700, 800] {
        let other = lived.opens(1, server(3, 1433), at * MILLISECOND);
        lived.begins(other, (at + 1) * MILLISECOND);
        lived.succeeds(other, (at + 9) * MILLISECOND);
    }
    lived.ends_as_of(dead, Ends::silent(Outcome::Unreachable), 0, 4 * SECOND);
    assert_eq!(lived.told().len(), 3);
}

#[test]
fn a_connection_to_what_was_looked_up_follows_the_lookup_each_its_own() {
    let mut lived = Lived::default();
    lived.looked_up(1, "A", &[(2, 1500)], MILLISECOND);
    lived.looked_up(1, "A", &[(2, 1500)], 2 * MILLISECOND);
    lived.looked_up(9, "A", &[(2, 1500)], 2 * MILLISECOND);
    let all = [3, 4, 5].map(|at| lived.opens(1, server(2, 1500), at * MILLISECOND));
    for one in all {
        lived.begins(one, 6 * MILLISECOND);
        lived.succeeds(one, 9 * MILLISECOND);
    }
    lived.passes(10 * SECOND);
    let parts: Vec<_> = lived
        .told
        .iter()
        .map(|attempt| attempt.parts.len())
        .collect();
    assert_eq!(parts, [2, 2, 1, 1]);
    assert_eq!(lived.told[3].client, address(9));
    assert_eq!(lived.told[3].outcome(), Outcome::Unknown);
}

#[test]
fn what_another_process_of_the_same_address_has_looked_up_is_not_followed() {
    let mut lived = Lived::default();
    for pid in [1, 2] {
        lived.pid = Some(pid);
        lived.looked_up(1, "A", &[(2, 1500)], u64::from(pid) * MILLISECOND);
    }
    // The one that has asked last connects first, and a third one has not asked.
    for (pid, at) in [(3, 3), (2, 4), (1, 5)] {
        lived.pid = Some(pid);
        let one = lived.opens(1, server(2, 1500), at * MILLISECOND);
        lived.begins(one, 6 * MILLISECOND);
        lived.succeeds(one, (6 + at) * MILLISECOND);
    }
    lived.passes(10 * SECOND);
    let starts = lived.told.iter().map(|attempt| attempt.start() - START);
    let starts: Vec<_> = starts.map(|start| start / MILLISECOND).collect();
    assert_eq!(starts, [3, 1, 0]);
}

#[test]
fn the_families_of_one_process_race_as_addresses_of_one_family_do() {
    let mut lived = Lived {
        pid: Some(1),
        ..Lived::default()
    };
    let of_v6 = |last: &str| End {
        address: last.parse().unwrap(),
        port: 1433,
    };
    let slower = lived.opens_from("fd00::1".parse().unwrap(), of_v6("fd00::2"), 0);
    let faster = lived.opens(1, server(2, 1433), MILLISECOND);
    lived.begins(faster, 2 * MILLISECOND);
    lived.accepted(slower, 3 * MILLISECOND);
    lived.ends(slower, Ends::silent(Outcome::Aborted), 300 * MILLISECOND);
    lived.succeeds(faster, 500 * MILLISECOND);
    lived.passes(10 * SECOND);
    let clients: Vec<_> = lived.told.iter().map(|attempt| attempt.client).collect();
    assert_eq!(clients, [address(1)]);
    assert_eq!(lived.told(), [(vec![slower, faster], vec![slower])]);
}

#[test]
fn a_redirect_is_followed_to_where_it_leads_and_nowhere_else() {
    let to = |last| Some(address(last));
    for (place, next, follows) in [
        ((to(3), 1500), server(3, 1500), true),
        ((None, 1500), server(7, 1500), true),
        ((to(3), 1500), server(3, 1433), false),
        ((to(3), 1500), server(4, 1500), false),
    ] {
        let mut lived = Lived::default();
        let first = lived.opens(1, server(2, 1433), 0);
        lived.begins(first, MILLISECOND);
        lived.ends(first, Ends::sent_to(place), 5 * MILLISECOND);
        assert_eq!(lived.told.len(), 0);
        let second = lived.opens(1, next, 6 * MILLISECOND);
        lived.begins(second, 7 * MILLISECOND);
        let named = lived.succeeds(second, 9 * MILLISECOND);
        assert_eq!(named.number == 2, follows, "{place:?}");
        assert_eq!(lived.told().len(), if follows { 1 } else { 2 });
    }
}

#[test]
fn an_attempt_is_told_when_nothing_can_follow_any_more() {
    let mut lived = Lived::default();
    let first = lived.opens(1, server(2, 1433), 0);
    lived.begins(first, MILLISECOND);
    lived.ends(first, Ends::sent_to((None, 1500)), 5 * MILLISECOND);
    lived.passes(patience::FOLLOWED);
    assert_eq!(lived.told.len(), 0);
    lived.passes(patience::FOLLOWED + 6 * MILLISECOND);
    assert_eq!(lived.told.len(), 1);
    assert!(lived.attempts.clients.is_empty() && lived.attempts.timers.is_empty());
}

#[test]
fn a_flood_of_connections_takes_bounded_memory_and_each_is_told() {
    let mut lived = Lived::default();
    let count = MAX_TRIES as u32 + 1000;
    for number in 0..count {
        let client = IpAddr::from((0x0B00_0000 + number).to_be_bytes());
        lived.opens_from(client, server(2, 1433), 0);
        assert!(lived.attempts.homes.len() <= MAX_TRIES);
        assert!(lived.attempts.clients.len() <= MAX_TRIES);
    }
    let handles: Vec<_> = lived.opened.keys().copied().collect();
    for handle in handles {
        lived.ends(handle, Ends::silent(Outcome::Unreachable), SECOND);
    }
    assert!(lived.attempts.clients.is_empty());
    // All that were not followed have the same handle here.
    assert_eq!(lived.told().len(), MAX_TRIES + 1);
}

#[test]
fn a_client_with_too_many_at_once_is_told_one_by_one() {
    let mut lived = Lived::default();
    let all: Vec<_> = (0..1000)
        .map(|_| lived.opens(1, server(2, 1433), 0))
        .collect();
    assert_eq!(all.iter().filter(|handle| **handle > 0).count(), 256);
    for handle in all {
        lived.succeeds(handle, SECOND);
    }
    assert_eq!(lived.told().len(), 1000);
}
