//! Attempts that go on where a connection came to nothing, or through another one.

use super::*;

const AT_ONCE: u64 = 100 * MILLISECOND;

impl Lived {
    /// The client says who it is.
    fn says(&mut self, handle: Handle, (thread, connection): (u32, u8), at: u64) {
        self.begins(handle, at);
        let said = Said {
            thread: (thread != 0).then_some(thread),
            connection: (connection != 0).then_some(Guid([connection; 16])),
        };
        self.attempts.says(handle, said, START + at);
        self.told.extend(self.attempts.take_over());
    }

    /// A connection that is given up after a slice of a timeout; when.
    fn times_out(&mut self, to: End, at: u64) -> Named {
        let handle = self.opens(1, to, at);
        self.begins(handle, at + MILLISECOND);
        self.ends(handle, Ends::returns(Outcome::Timeout), at + 2 * SECOND)
    }

    /// How many connections each attempt that was told had, and what came of it.
    fn summary(&self) -> Vec<(u32, Outcome)> {
        let told = self.told.iter();
        told.map(|attempt| (attempt.connections, attempt.outcome()))
            .collect()
    }
}

#[test]
fn a_try_that_follows_at_once_to_the_same_server_is_of_the_same_attempt() {
    for pid in [None, Some(7)] {
        let mut lived = Lived {
            pid,
            ..Lived::default()
        };
        let first = lived.times_out(server(2, 1433), 0);
        let second = lived.times_out(server(2, 1433), 2 * SECOND + AT_ONCE);
        let last = lived.opens(1, server(2, 1433), 4 * SECOND + 3 * AT_ONCE);
        lived.begins(last, 4 * SECOND + 4 * AT_ONCE);
        assert!(lived.told.is_empty(), "it goes on");
        let third = lived.succeeds(last, 5 * SECOND);
        assert_eq!([first.id, second.id, third.id], [first.id; 3]);
        assert_eq!([first.number, second.number, third.number], [1, 2, 3]);
        lived.passes(5 * SECOND);
        assert_eq!(lived.summary(), [(3, Outcome::Success)]);
    }
}

#[test]
fn a_try_that_comes_late_or_may_be_anothers_is_of_its_own() {
    let mut late = Lived::default();
    late.times_out(server(2, 1433), 0);
    let next = late.opens(1, server(2, 1433), 4 * SECOND);
    late.succeeds(next, 5 * SECOND);
    assert_eq!(
        late.summary(),
        [(1, Outcome::Timeout), (1, Outcome::Success)]
    );

    // Another thread of the process is at the same server.
    let mut two = Lived {
        pid: Some(7),
        ..Lived::default()
    };
    let other = two.opens(1, server(2, 1433), SECOND);
    two.times_out(server(2, 1433), 0);
    let next = two.opens(1, server(2, 1433), 2 * SECOND + AT_ONCE);
    two.succeeds(next, 3 * SECOND);
    two.succeeds(other, 3 * SECOND);
    two.passes(10 * SECOND);
    assert_eq!(two.told.len(), 3, "{:#?}", two.told);
}

#[test]
fn another_thread_that_comes_instead_is_no_next_try() {
    let mut lived = Lived::default();
    let first = lived.opens(1, server(2, 1433), 0);
    lived.says(first, (11, 0), MILLISECOND);
    lived.ends(first, Ends::returns(Outcome::Timeout), 2 * SECOND);
    let other = lived.opens(1, server(2, 1433), 2 * SECOND + 50 * MILLISECOND);
    lived.says(other, (12, 0), 2 * SECOND + 51 * MILLISECOND);
    let named = lived.succeeds(other, 2 * SECOND + 60 * MILLISECOND);
    assert_eq!(named.number, 1);
    let next = lived.opens(1, server(2, 1433), 2 * SECOND + AT_ONCE);
    lived.says(next, (11, 0), 2 * SECOND + AT_ONCE + MILLISECOND);
    let named = lived.succeeds(next, 3 * SECOND);
    assert_eq!(named.number, 2);
    lived.passes(10 * SECOND);
    assert_eq!(
        lived.summary(),
        [(1, Outcome::Success), (2, Outcome::Success)]
    );
}

#[test]
fn after_an_error_that_passes_the_next_try_may_take_ten_seconds() {
    let mut lived = Lived::default();
    let asleep = lived.opens(1, server(2, 1433), 0);
    lived.begins(asleep, MILLISECOND);
    let failed = Ends {
        returns: Returns::Later,
        ..Ends::as_(Outcome::Failed)
    };
    lived.ends(asleep, failed, 10 * MILLISECOND);
    let next = lived.opens(1, server(2, 1433), 10 * SECOND);
    assert_eq!(lived.succeeds(next, 11 * SECOND).number, 2);
    assert_eq!(lived.summary(), [(2, Outcome::Success)]);
}

#[test]
fn two_hundred_attempts_of_two_processes_at_the_same_time_do_not_mix() {
    let mut lived = Lived::default();
    let mut expected = HashMap::default();
    for number in 0..100_u64 {
        let from = number * 20 * SECOND;
        // One tries twice, the other one three times, at the same times and servers.
        for (pid, tries) in [(7, 2), (8, 3)] {
            lived.pid = Some(pid);
            for one in 0..tries {
                let at = from + u64::from(pid) * MILLISECOND + one * (2 * SECOND + AT_ONCE);
                expected.insert((pid, number, one), at);
            }
        }
    }
    let mut steps: Vec<_> = expected.into_iter().collect();
    steps.sort_by_key(|(_, at)| *at);
    let mut named = HashMap::<(u32, u64), Vec<Named>>::default();
    for ((pid, number, one), at) in steps {
        lived.pid = Some(pid);
        let is_last = one + 5 == u64::from(pid) - 1;
        let handle = lived.opens(1, server(2, 1433), at);
        lived.begins(handle, at);
        // The other process does the same within milliseconds.
        let ends = if is_last {
            Ends::as_(Outcome::Success)
        } else {
            Ends::returns(Outcome::Timeout)
        };
        let all = named.entry((pid, number)).or_default();
        all.push(lived.ends_as_of(handle, ends, at + 2 * SECOND - SECOND, at));
    }
    lived.passes(3000 * SECOND);
    assert_eq!(lived.told.len(), 200);
    let whole = |attempt: &&Attempt| attempt.outcome() == Outcome::Success;
    assert_eq!(lived.told.iter().filter(whole).count(), 200);
    for ((pid, _), all) in named {
        let ids: Vec<_> = all.iter().map(|one| one.id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{pid}: {all:?}");
        let told = lived.told.iter().find(|told| told.id == Some(ids[0]));
        assert_eq!(told.map(|told| told.connections), Some(pid - 5));
    }
}

#[test]
fn a_connection_that_passes_on_what_another_one_says_is_a_proxys() {
    let mut lived = Lived {
        pid: Some(7),
        ..Lived::default()
    };
    let client = lived.opens(1, server(1, 15001), 0);
    lived.says(client, (0, 9), MILLISECOND);
    lived.pid = Some(8);
    let proxy = lived.opens(1, server(2, 1433), 2 * MILLISECOND);
    lived.says(proxy, (0, 9), 3 * MILLISECOND);
    let inner = lived.succeeds(proxy, 10 * MILLISECOND);
    assert!(lived.told.is_empty(), "the client has not heard of it");
    lived.pid = Some(7);
    let outer = lived.succeeds(client, 11 * MILLISECOND);
    assert_eq!(inner.id, outer.id);
    lived.passes(SECOND);
    let [attempt] = &lived.told[..] else {
        panic!("{:#?}", lived.told)
    };
    assert_eq!(attempt.connections, 2);
    let roles: Vec<_> = attempt.parts.iter().map(|part| part.role).collect();
    assert_eq!(roles, [Role::Proxied, Role::Own]);
    assert_eq!(attempt.end() - attempt.start(), 11 * MILLISECOND);
}

#[test]
fn connections_that_are_named_alike_one_after_the_other_are_no_proxys() {
    let mut lived = Lived::default();
    let [one, other] = [2, 3].map(|last| {
        let handle = lived.opens(1, server(last, 1433), u64::from(last) * SECOND);
        lived.says(handle, (0, 9), u64::from(last) * SECOND + MILLISECOND);
        lived.succeeds(handle, u64::from(last) * SECOND + 2 * MILLISECOND)
    });
    assert_ne!(one.id, other.id);
    assert_eq!(lived.told.len(), 2);
}

#[test]
fn the_failover_partner_that_was_told_earlier_is_tried_next() {
    let mut lived = Lived::default();
    let earlier = lived.opens(1, server(2, 1433), 0);
    let told = Ends {
        partner: Some("10.0.0.3,1500"),
        ..Ends::as_(Outcome::Success)
    };
    lived.ends(earlier, told, SECOND);
    let first = lived.times_out(server(2, 1433), 100 * SECOND);
    let partner = lived.opens(1, server(3, 1500), 102 * SECOND + AT_ONCE);
    let dead = Ends {
        returns: Returns::AtOnce,
        ..Ends::silent(Outcome::Unreachable)
    };
    let second = lived.ends(partner, dead, 110 * SECOND);
    assert_eq!(first.id, second.id);
    lived.passes(120 * SECOND);
    let last = lived.told.last().expect("an attempt");
    let roles: Vec<_> = last.parts.iter().map(|part| part.role).collect();
    assert_eq!(roles, [Role::Own, Role::ToPartner]);
    assert_eq!(last.outcome(), Outcome::Unreachable);
}

#[test]
fn those_that_only_wait_make_room_for_others() {
    let mut lived = Lived::default();
    for number in 0..400 {
        let handle = lived.opens(1, server(2, 2000 + number), 0);
        assert_ne!(handle, 0, "{number} is followed");
        lived.ends(handle, Ends::returns(Outcome::Refused), MILLISECOND);
    }
    lived.passes(10 * SECOND);
    assert_eq!(lived.told.len(), 400);
}

#[test]
fn a_login_that_recovers_a_session_names_the_connection_that_is_gone() {
    let mut lived = Lived {
        pid: Some(7),
        ..Lived::default()
    };
    for (pid, id) in [(7, 70), (8, 80)] {
        lived.attempts.closes(Gone {
            who: Who::Process(pid),
            server: server(2, 1433),
            id: ConnectionId(id),
            at: START,
            idle: 300 * SECOND,
        });
    }
    let recovers = Ends {
        recovers: true,
        ..Ends::as_(Outcome::Success)
    };
    for _ in 0..2 {
        let again = lived.opens(1, server(2, 1433), SECOND);
        lived.ends(again, recovers, SECOND + MILLISECOND);
    }
    let gone: Vec<_> = lived.told.iter().map(|told| told.recovers).collect();
    let one = gone[0].expect("a connection that is gone");
    assert_eq!((one.id, one.idle), (ConnectionId(70), 300 * SECOND));
    assert_eq!(
        gone[1], None,
        "each is recovered once, and by its own process"
    );
}

/// A SYN that is sent again after one second and after three, and then given up.
fn given_up(lived: &mut Lived, at: u64) -> Handle {
    let dead = lived.opens(1, server(2, 1433), at);
    lived.syn_again(dead, at + SECOND);
    lived.syn_again(dead, at + 3 * SECOND);
    dead
}

#[test]
fn a_try_at_the_server_that_did_not_answer_follows_where_its_syn_was_due_again() {
    let mut lived = Lived::default();
    let dead = given_up(&mut lived, 0);
    let next = lived.opens(1, server(2, 1433), 5 * SECOND);
    lived.begins(next, 5 * SECOND + MILLISECOND);
    lived.succeeds(next, 5 * SECOND + 9 * MILLISECOND);
    let unanswered = Ends::silent(Outcome::Unreachable);
    let named = lived.ends_as_of(dead, unanswered, 3 * SECOND, 8 * SECOND);
    assert!(!named.loser);
    assert_eq!(lived.summary(), [(2, Outcome::Success)]);

    // So it is where that one is not answered either.
    let mut lived = Lived::default();
    let dead = given_up(&mut lived, 0);
    let next = given_up(&mut lived, 5 * SECOND);
    lived.ends_as_of(dead, unanswered, 3 * SECOND, 9 * SECOND);
    lived.ends_as_of(next, unanswered, 8 * SECOND, 15 * SECOND);
    lived.passes(30 * SECOND);
    assert_eq!(lived.summary(), [(2, Outcome::Unreachable)]);

    // One that goes on has not been given up.
    let mut lived = Lived::default();
    let dead = given_up(&mut lived, 0);
    let other = lived.opens(1, server(2, 1433), 5 * SECOND);
    lived.syn_again(dead, 7 * SECOND);
    lived.ends_as_of(dead, unanswered, 7 * SECOND, 15 * SECOND);
    lived.ends_as_of(other, unanswered, 6 * SECOND, 16 * SECOND);
    lived.passes(30 * SECOND);
    assert_eq!(lived.summary().len(), 2);
}

#[test]
fn what_another_thread_of_the_process_opens_at_the_same_server_meanwhile_is_no_next_try() {
    let mut lived = Lived {
        pid: Some(7),
        ..Lived::default()
    };
    let dead = given_up(&mut lived, 0);
    let other = lived.opens(1, server(2, 1433), 5 * SECOND);
    lived.begins(other, 5 * SECOND + MILLISECOND);
    lived.succeeds(other, 5 * SECOND + 9 * MILLISECOND);
    let unanswered = Ends::silent(Outcome::Unreachable);
    lived.ends_as_of(dead, unanswered, 3 * SECOND, 6 * SECOND);
    lived.passes(30 * SECOND);
    assert_eq!(lived.summary().len(), 2);
}
