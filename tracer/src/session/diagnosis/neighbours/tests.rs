use super::*;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const SERVER: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 1433);

fn me(wait: Option<Wait>, now: u64) -> Me {
    Me {
        started: 0,
        now,
        wait,
        kind: AuthKind::Ntlm,
        outcome: Some(Outcome::Success),
        syn_again: false,
        resent: false,
        strict: false,
        round_trip: None,
    }
}

fn wait(phase: PhaseName, asked: u64, until: u64, ahead: u16) -> Wait {
    Wait {
        phase,
        asked,
        until,
        answered: true,
        ahead,
    }
}

/// Logins that ask one after the other and are answered at these moments; what is told of each.
fn answered(phase: PhaseName, moments: &[u64]) -> Vec<Around> {
    let asked: Vec<_> = (0..moments.len() as u64).map(|n| n * MILLISECOND).collect();
    came(phase, &asked, |at| moments[(at / MILLISECOND) as usize])
}

/// Logins that ask at these moments and are answered in that order.
fn came(phase: PhaseName, asked: &[u64], answered: impl Fn(u64) -> u64) -> Vec<Around> {
    let mut neighbours = Neighbours::default();
    let mut places = Vec::new();
    for at in asked {
        let mut place = neighbours.enter(SERVER, CLIENT, *at).expect("room");
        neighbours.stands(&mut place, phase, Some(*at), *at);
        places.push((place, *at));
    }
    let mut told = Vec::new();
    for (mut place, at) in places {
        let until = answered(at);
        neighbours.stands(&mut place, phase, None, until);
        let ahead = neighbours.ahead(place, phase);
        let me = me(Some(wait(phase, at, until, ahead)), until);
        told.push(neighbours.around(place, 1433, &me));
        neighbours.leave(place, &me, &[(phase, until - at)]);
    }
    told
}

#[test]
fn logins_that_are_answered_at_one_moment_were_released_together() {
    let moments: Vec<_> = (0..10).map(|n| 14 * SECOND + n * MILLISECOND).collect();
    let told = answered(PhaseName::Prelogin, &moments);
    let last = told.last().expect("ten");
    assert_eq!((last.stalled, last.released), (9, 9));
    assert!(last.steps <= 1, "{last:?}");
    assert_eq!(last.joined, 0, "they had come together");
    let first = told[0];
    assert_eq!(
        (first.stalled, first.in_flight),
        (9, 9),
        "the others still wait"
    );
}

#[test]
fn who_came_at_other_moments_and_is_released_with_it_waited_for_the_same() {
    let asked: Vec<_> = (0..6).map(|n| n * SECOND).collect();
    let told = came(PhaseName::Login, &asked, |_| 14 * SECOND);
    let last = told.last().expect("six");
    assert_eq!((last.joined, last.own_pace), (5, 0), "{last:?}");
    let told = came(PhaseName::Login, &asked, |asked| asked + 8 * SECOND);
    let last = told.last().expect("six");
    assert_eq!((last.joined, last.own_pace), (0, 5), "{last:?}");
}

#[test]
fn the_first_of_a_crowd_that_is_let_go_overtakes_nobody() {
    let asked: Vec<_> = (0..6).map(|n| n * SECOND).collect();
    // The last that came is answered first, and the others a little later, or much.
    for (apart, overtaken) in [(2 * MILLISECOND, [0, 0]), (2 * SECOND, [0, 4])] {
        let mut neighbours = Neighbours::default();
        let mut places: Vec<_> = asked
            .iter()
            .map(|at| {
                let mut place = neighbours.enter(SERVER, CLIENT, *at).expect("room");
                neighbours.stands(&mut place, PhaseName::Login, Some(*at), *at);
                (place, *at)
            })
            .collect();
        for (turn, overtaken) in (0..).zip(overtaken) {
            let (mut place, at) = places.pop().expect("one that waits");
            let until = 20 * SECOND + turn * apart;
            neighbours.stands(&mut place, PhaseName::Login, None, until);
            let me = me(Some(wait(PhaseName::Login, at, until, 0)), until);
            let around = neighbours.around(place, 1433, &me);
            // Beside the one that came after it and was answered before it.
            let later = u32::try_from(turn).expect("few");
            assert_eq!(around.out_of_order, overtaken + later, "{around:?}");
            neighbours.leave(place, &me, &[]);
        }
    }
}

#[test]
fn logins_that_are_answered_one_after_the_other_were_released_in_steps() {
    let moments: Vec<_> = (1..=8).map(|n| n * SECOND).collect();
    let told = answered(PhaseName::Auth, &moments);
    let last = told.last().expect("eight");
    assert_eq!((last.steps, last.ahead), (7, 7), "{last:?}");
    assert_eq!((last.alike.count, last.alike.least), (8, SECOND));
    assert_eq!(last.alone.count, 1, "only the first had nobody before it");
}

#[test]
fn what_waits_in_another_phase_or_at_another_time_is_no_neighbour() {
    let mut neighbours = Neighbours::default();
    let mut other = neighbours.enter(SERVER, CLIENT, 0).expect("room");
    neighbours.stands(&mut other, PhaseName::Auth, Some(0), 0);
    let place = neighbours.enter(SERVER, CLIENT, 0).expect("room");
    let mine = me(Some(wait(PhaseName::Login, 0, 5 * SECOND, 0)), 5 * SECOND);
    let around = neighbours.around(place, 1433, &mine);
    assert_eq!((around.stalled, around.in_flight), (0, 1));
}

#[test]
fn logins_that_come_and_go_while_one_waits_have_passed_it() {
    let mut neighbours = Neighbours::default();
    let place = neighbours.enter(SERVER, CLIENT, 0).expect("room");
    for at in 1..=5 {
        let quick = neighbours.enter(SERVER, CLIENT, at * SECOND).expect("room");
        let ended = at * SECOND + MILLISECOND;
        let mut gone = me(None, ended);
        gone.started = at * SECOND;
        neighbours.leave(quick, &gone, &[]);
    }
    let mine = me(
        Some(wait(PhaseName::Prelogin, 0, 9 * SECOND, 0)),
        9 * SECOND,
    );
    let around = neighbours.around(place, 1433, &mine);
    assert_eq!((around.passed, around.stalled), (5, 0));
}

#[test]
fn a_client_that_opens_one_after_the_other_is_known_by_that() {
    let mut neighbours = Neighbours::default();
    let mut now = 0;
    let mut serial = Vec::new();
    for _ in 0..4 {
        let place = neighbours.enter(SERVER, CLIENT, now).expect("room");
        now += SECOND;
        let mut mine = me(None, now);
        mine.started = now - SECOND;
        serial.push(neighbours.around(place, 1433, &mine).one_after_the_other);
        neighbours.leave(place, &mine, &[]);
        now += MILLISECOND;
    }
    assert_eq!(serial, [0, 1, 2, 3]);
    let late = neighbours
        .enter(SERVER, CLIENT, now + SECOND)
        .expect("room");
    let around = neighbours.around(late, 1433, &me(None, now + SECOND));
    assert_eq!(around.one_after_the_other, 0, "there was a break");
}

#[test]
fn where_a_client_was_sent_on_to_is_known_for_half_a_minute() {
    let mut neighbours = Neighbours::default();
    let place = neighbours.enter(SERVER, CLIENT, 0).expect("room");
    neighbours.sent_on(place, 11_003, SECOND);
    let mut mine = me(None, 20 * SECOND);
    mine.started = 2 * SECOND;
    assert!(neighbours.around(place, 11_003, &mine).was_sent_here);
    assert!(!neighbours.around(place, 1433, &mine).was_sent_here);
    mine.started = 40 * SECOND;
    assert!(!neighbours.around(place, 11_003, &mine).was_sent_here);
}

#[test]
fn servers_clients_and_logins_without_end_take_no_more_memory() {
    let mut neighbours = Neighbours::default();
    for number in 0..5_000_u32 {
        let address = IpAddr::from(number.to_be_bytes());
        let place = neighbours.enter((address, 1433), address, number.into());
        let place = place.expect("a quiet one gives way");
        neighbours.leave(place, &me(None, number.into()), &[]);
    }
    assert_eq!(neighbours.servers.len(), MAX_SERVERS);
    assert_eq!(neighbours.places.len(), MAX_SERVERS);
    assert!(neighbours.clients.len() <= MAX_CLIENTS.get());
    let taken = (0..1_000).filter_map(|at| neighbours.enter(SERVER, CLIENT, at));
    assert_eq!(taken.count(), 256);
}
