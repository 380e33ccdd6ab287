//! A client with an address of either family, whose process is not known.

use super::*;

/// The client's address of the other family, and the server's.
const CLIENT: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
const SERVER: End = End {
    address: CLIENT,
    port: 1433,
};

/// It uses a connection of one family, and has tried the other one at the same time.
fn both(lived: &mut Lived) -> [Handle; 2] {
    let used = lived.opens_from(CLIENT, SERVER, 0);
    let dead = lived.opens(1, server(2, 1433), MILLISECOND / 10);
    lived.begins(used, MILLISECOND);
    [used, dead]
}

#[test]
fn a_syn_of_the_other_family_that_nobody_answers_and_nobody_sends_again_has_lost() {
    // It is seen that it is not sent again; or nobody watches so long.
    for (outcome, at) in [(Outcome::Unreachable, 4 * SECOND), (Outcome::Unknown, 0)] {
        let mut lived = Lived::default();
        let [used, dead] = both(&mut lived);
        lived.succeeds(used, 5 * MILLISECOND);
        assert!(lived.told.is_empty());
        let lost = lived.ends_as_of(
            dead,
            Ends::silent(outcome),
            MILLISECOND,
            at + 6 * MILLISECOND,
        );
        assert!(lost.loser);
        lived.passes(4 * SECOND + 6 * MILLISECOND);
        assert_eq!(lived.told(), [(vec![used, dead], vec![dead])]);
    }
}

#[test]
fn a_syn_that_is_sent_again_is_another_clients() {
    let mut lived = Lived::default();
    let [used, dead] = both(&mut lived);
    lived.succeeds(used, 5 * MILLISECOND);
    lived.syn_again(dead, SECOND);
    let named = lived.ends(dead, Ends::silent(Outcome::Unreachable), 7 * SECOND);
    assert!(!named.loser);
    lived.passes(20 * SECOND);
    assert_eq!(lived.told().len(), 2);
}

#[test]
fn who_is_refused_in_one_family_goes_on_in_the_other() {
    for (pause, is_one) in [(MILLISECOND, true), (100 * MILLISECOND, false)] {
        let mut lived = Lived::default();
        let refused = lived.opens_from(CLIENT, SERVER, 0);
        lived.ends(refused, Ends::returns(Outcome::Refused), MILLISECOND);
        let next = lived.opens(1, server(2, 1433), MILLISECOND + pause);
        lived.begins(next, 102 * MILLISECOND);
        lived.succeeds(next, 109 * MILLISECOND);
        lived.passes(10 * SECOND);
        let expected = if is_one { 1 } else { 2 };
        assert_eq!(lived.told().len(), expected, "{pause}");
    }
}

#[test]
fn of_two_that_were_refused_nobody_knows_which_one_goes_on() {
    let mut lived = Lived::default();
    for last in [7, 8] {
        let client = IpAddr::from([0, 0, 0, 0, 0, 0, 0, last]);
        let refused = lived.opens_from(client, SERVER, 0);
        lived.ends(refused, Ends::returns(Outcome::Refused), MILLISECOND);
    }
    let next = lived.opens(1, server(2, 1433), 2 * MILLISECOND);
    lived.succeeds(next, 9 * MILLISECOND);
    lived.passes(10 * SECOND);
    assert_eq!(lived.told().len(), 3);
}

#[test]
fn where_a_third_client_connects_at_the_same_time_nobody_knows_whose_the_other_family_is() {
    let mut first = Lived::default();
    let third = first.opens(9, server(4, 1433), 0);
    let refused = first.opens_from(CLIENT, SERVER, 0);
    first.ends(refused, Ends::returns(Outcome::Refused), MILLISECOND);
    let next = first.opens(1, server(2, 1433), 2 * MILLISECOND);
    for handle in [third, next] {
        first.begins(handle, 3 * MILLISECOND);
        first.succeeds(handle, 9 * MILLISECOND);
    }
    first.passes(10 * SECOND);
    assert_eq!(first.told().len(), 3);

    let mut second = Lived::default();
    let [used, dead] = both(&mut second);
    let third = second.opens(9, server(4, 1433), 2 * MILLISECOND);
    second.begins(third, 2 * MILLISECOND);
    for handle in [used, third] {
        second.succeeds(handle, 5 * MILLISECOND);
    }
    let named = second.ends(dead, Ends::silent(Outcome::Unreachable), 4 * SECOND);
    assert!(!named.loser);
    second.passes(20 * SECOND);
    assert_eq!(second.told().len(), 3);
}
