use std::{collections::HashMap, net::IpAddr};

use proptest::prelude::*;

use super::*;
use crate::{
    record::{AuthKind, ConnectionId, IncidentScope, Outcome},
    session::diagnosis::Ranked,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// Nobody begins at the beginning of time.
const START: u64 = 1000 * MINUTE;

/// Incidents, and what was told of them.
struct Lived {
    incidents: Incidents,
    told: Vec<News>,
    connections: u64,
}

impl Default for Lived {
    fn default() -> Self {
        Self {
            incidents: Incidents::new(Some(IncidentLimits::default())),
            told: Vec::new(),
            connections: 0,
        }
    }
}

fn address(last: u16) -> IpAddr {
    let [high, low] = last.to_be_bytes();
    IpAddr::from([10, 0, high, low])
}

impl Lived {
    fn ended(&mut self, (client, server): (u16, u16), outcome: Option<Outcome>, at: u64) -> Ended {
        self.connections += 1;
        Ended {
            connection: ConnectionId(self.connections),
            at: START + at,
            started: START + at - SECOND,
            duration: SECOND,
            client: address(client),
            server: (address(server), 1433),
            process: None,
            is_clients: false,
            application: None,
            kind: AuthKind::Unknown,
            outcome,
            phase: None,
            error: None,
        }
    }

    fn wrong(&mut self, slug: &str, ends: (u16, u16), at: u64) -> Option<IncidentId> {
        let ended = self.ended(ends, Some(Outcome::Timeout), at);
        self.tell(&wrong(slug, ended), false)
    }

    fn well(&mut self, ends: (u16, u16), at: u64) {
        let ended = self.ended(ends, Some(Outcome::Success), at);
        self.tell(&Login::Other(ended), false);
    }

    fn tell(&mut self, login: &Login, again: bool) -> Option<IncidentId> {
        let id = self.incidents.login(login, again);
        self.told.extend(self.incidents.take_news());
        id
    }

    fn passes(&mut self, at: u64) {
        self.incidents.pass_time(START + at);
        self.told.extend(self.incidents.take_news());
    }

    fn finish(mut self, at: u64) -> Vec<News> {
        self.incidents.finish(START + at);
        self.told.extend(self.incidents.take_news());
        self.told
    }
}

fn wrong(slug: &str, ended: Ended) -> Login {
    let why = Ranked::named(slug, 0.8);
    Login::Wrong(Box::new(Seen { ended, why }))
}

fn actions(told: &[News]) -> Vec<IncidentAction> {
    told.iter().map(|news| news.action).collect()
}

#[test]
fn five_logins_within_a_minute_open_an_incident_and_four_do_not() {
    let mut lived = Lived::default();
    for n in 0..4 {
        assert_eq!(lived.wrong("server_silent", (1, 2), n * 10 * SECOND), None);
    }
    // The first is out of the window now.
    assert_eq!(lived.wrong("server_silent", (1, 2), 61 * SECOND), None);
    let id = lived.wrong("server_silent", (1, 2), 62 * SECOND);
    assert!(id.is_some());
    assert_eq!(actions(&lived.told), [IncidentAction::Opened]);
    let open = &lived.told[0].open;
    assert_eq!((open.tally.logins, open.of_logins), (5, 5));
    assert_eq!(open.start, START + 9 * SECOND);
    assert_eq!(lived.wrong("server_silent", (1, 2), 63 * SECOND), id);
}

#[test]
fn a_storm_is_a_handful_of_lines_that_count_every_login() {
    let mut lived = Lived::default();
    for n in 0..100_000_u64 {
        let ends = ((n % 40_000) as u16, 2);
        lived.wrong("port_closed", ends, n * SECOND / 500);
    }
    lived.passes(10 * MINUTE);
    let told = lived.finish(10 * MINUTE);
    assert!(told.len() <= 5, "{}", told.len());
    let last = told.last().expect("an end");
    assert_eq!(last.outcome, Some(IncidentOutcome::Quiet));
    let tally = &last.open.tally;
    assert_eq!((tally.logins, last.open.of_logins), (100_000, 100_000));
    assert!(tally.clients.is_full && tally.clients.count() <= 256);
}

#[test]
fn an_incident_is_told_no_more_than_once_a_minute_and_less_the_longer_it_lasts() {
    let mut lived = Lived::default();
    for n in 0..60 * 60_u64 {
        lived.wrong("port_closed", (1, 2), n * SECOND);
    }
    let told = lived.finish(60 * MINUTE);
    let updates: Vec<_> = told
        .iter()
        .filter(|news| news.action != IncidentAction::Closed)
        .map(|news| news.at)
        .collect();
    assert!(updates.is_sorted_by(|one, next| next - one >= MINUTE));
    assert!((5..10).contains(&updates.len()), "{}", updates.len());
}

#[test]
fn two_causes_at_once_are_two_incidents_and_one_trouble_told_by_two_names_is_one() {
    let mut lived = Lived::default();
    for n in 0..10 {
        lived.wrong("server_silent", (1, 2), n * SECOND);
        lived.wrong("server_threads_exhausted", (1, 2), n * SECOND);
        lived.wrong("certificate_rejected", (3, 2), n * SECOND);
    }
    let told = lived.finish(11 * SECOND);
    let closed: Vec<_> = told
        .iter()
        .filter(|news| news.outcome == Some(IncidentOutcome::Ongoing))
        .collect();
    assert_eq!((told.len(), closed.len()), (4, 2));
    assert_eq!(closed[0].open.tally.logins, 20);
    assert_eq!(closed[0].open.tally.causes().count(), 2);
    assert_eq!(closed[1].open.tally.logins, 10);
}

#[test]
fn it_is_over_when_hardly_any_goes_wrong_and_recovered_where_one_like_them_went_well() {
    for (good, outcome) in [
        (Some((1, 2)), IncidentOutcome::Recovered),
        // Of another client, which had no trouble.
        (Some((7, 2)), IncidentOutcome::Quiet),
        (None, IncidentOutcome::Quiet),
    ] {
        let mut lived = Lived::default();
        for n in 0..10 {
            lived.wrong("port_closed", (1, 2), n * SECOND);
        }
        if let Some(ends) = good {
            lived.well(ends, 20 * SECOND);
        }
        lived.passes(3 * MINUTE);
        let closed = lived.told.last().expect("an end");
        assert_eq!(closed.outcome, Some(outcome));
        assert!(closed.at <= START + 80 * SECOND, "a window later");
        assert_eq!(closed.open.tally.last, START + 9 * SECOND);
        let all = 10 + u64::from(good.is_some());
        assert_eq!(closed.open.of_logins, all);
    }
}

#[test]
fn what_usually_goes_wrong_opens_none_and_what_is_more_than_that_does() {
    let mut lived = Lived::default();
    // As many as open one elsewhere, but one in a hundred; for an hour.
    for n in 0..60 * 60 * 10_u64 {
        let at = n * SECOND / 10;
        if n % 100 == 0 {
            lived.wrong("login_rejected", (1, 2), at);
        } else {
            lived.well((3, 2), at);
        }
    }
    assert!(lived.told.is_empty());
    for n in 0..30 {
        lived.wrong("login_rejected", (1, 2), 60 * MINUTE + n * SECOND);
    }
    assert_eq!(actions(&lived.told), [IncidentAction::Opened]);
    let usual = lived.told[0].open.usual.expect("what is usual");
    assert!((5.0..7.0).contains(&usual), "{usual}");
}

#[test]
fn logins_that_go_wrong_at_many_servers_alike_are_one_incident_of_their_cause() {
    let mut lived = Lived::default();
    for n in 0..60_u16 {
        lived.wrong("syn_unanswered", (1, n), u64::from(n) * SECOND / 4);
    }
    let opened: Vec<_> = lived.told.iter().map(|news| news.scope.told()).collect();
    assert_eq!(opened, [IncidentScope::Cause]);
    // And where many servers have enough for an incident each, a few have their own.
    let mut lived = Lived::default();
    for n in 0..60 * 20_u16 {
        lived.wrong("syn_unanswered", (1, n % 60), u64::from(n) * SECOND / 40);
    }
    let told = lived.finish(MINUTE);
    assert!(told.len() <= 10, "{}", told.len());
}

#[test]
fn a_domain_controllers_trouble_is_one_wherever_it_is_met() {
    let mut lived = Lived::default();
    for n in 0..6_u16 {
        lived.wrong("domain_controller_slow", (1, n), u64::from(n) * SECOND);
    }
    assert_eq!(lived.told.len(), 1);
    assert_eq!(lived.told[0].open.tally.servers.count(), 5);
}

#[test]
fn a_login_that_was_pending_counts_once_and_moves_when_it_is_decided() {
    let mut lived = Lived::default();
    let pending: Vec<_> = (0..6)
        .map(|n| lived.ended((1, 2), None, n * SECOND))
        .collect();
    for ended in &pending {
        lived.tell(&wrong("server_silent", ended.clone()), false);
    }
    for (place, ended) in pending.iter().enumerate() {
        let (at, duration) = (ended.at + 20 * SECOND, 50 * SECOND);
        let ended = ended.clone();
        let decided = |outcome| Ended {
            at,
            duration,
            outcome: Some(outcome),
            ..ended
        };
        let login = match place {
            0 => Login::Other(decided(Outcome::Unknown)),
            1 => wrong("server_slow_login", decided(Outcome::Success)),
            _ => wrong("server_silent", decided(Outcome::Timeout)),
        };
        assert!(lived.tell(&login, true).is_some());
    }
    let told = lived.finish(MINUTE);
    assert_eq!(told[0].open.tally.pending(), 5);
    let tally = &told.last().expect("an end").open.tally;
    assert_eq!((tally.logins, tally.pending()), (6, 0));
    assert_eq!((tally.failed, tally.slow), (4, 1));
    assert_eq!(told[0].open.of_logins, 5);
}

#[test]
fn time_that_jumps_to_its_end_and_back_ends_incidents_and_nothing_hangs() {
    for end in [u64::MAX, u64::MAX - 1, u64::MAX / 2] {
        let mut lived = Lived::default();
        for n in 0..6 {
            lived.wrong("port_closed", (1, 2), n * SECOND);
        }
        lived.incidents.pass_time(end);
        lived.incidents.pass_time(end);
        lived.incidents.pass_time(START);
        for n in 0..6 {
            lived.wrong("port_closed", (1, 2), n * SECOND);
        }
        let told = lived.finish(MINUTE);
        let ends = told.iter().filter(|news| news.outcome.is_some());
        assert_eq!(ends.count(), 2, "{end}");
    }
}

#[test]
fn where_nobody_wants_to_hear_of_incidents_nothing_is_kept() {
    let mut lived = Lived {
        incidents: Incidents::new(None),
        ..Lived::default()
    };
    for n in 0..20 {
        lived.wrong("port_closed", (1, 2), n);
    }
    assert!(lived.incidents.watches.is_empty() && lived.incidents.logins.is_empty());
    assert!(lived.finish(MINUTE).is_empty());
}

const SLUGS: [&str; 8] = [
    "server_silent",
    "port_closed",
    "client_slow",
    "login_rejected",
    "domain_controller_slow",
    "client_gave_up",
    "packet_loss",
    "certificate_rejected",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_wrong_wherever_memory_is_bounded_and_every_incident_is_told_to_its_end(
        logins in prop::collection::vec(
            (0..SLUGS.len() + 2, 0..2000_u16, 0..2000_u16, 0..3 * SECOND),
            1..3000,
        ),
    ) {
        let live = || {
            let mut lived = Lived::default();
            let mut at = 0;
            for (what, client, server, after) in &logins {
                at += after;
                let few = what % 2 == 0;
                let server = if few { server % 3 } else { *server };
                match SLUGS.get(*what) {
                    Some(slug) => {
                        lived.wrong(slug, (*client, server), at);
                    }
                    None => lived.well((*client, server), at),
                }
                let incidents = &lived.incidents;
                assert!(incidents.watches.len() <= MAX_WATCHES);
                assert!(incidents.logins.len() <= MAX_SCOPES);
                assert!(incidents.open.len() <= MAX_OPEN);
            }
            lived.finish(at)
        };
        let told = live();
        let mut open: HashMap<IncidentId, u64> = HashMap::new();
        for news in &told {
            let now = &news.open;
            prop_assert!(now.of_logins >= now.tally.logins);
            let before = open.insert(now.id, now.tally.logins);
            match news.action {
                IncidentAction::Opened => prop_assert_eq!(before, None),
                _ => prop_assert!(before.is_some_and(|before| before <= now.tally.logins)),
            }
            if news.action == IncidentAction::Closed {
                open.remove(&now.id);
            }
        }
        prop_assert!(open.is_empty());
        let again = live();
        let both = [told, again].map(|told| {
            let each = told.iter().map(|news| (news.at, news.open.id, news.open.tally.logins));
            each.collect::<Vec<_>>()
        });
        prop_assert_eq!(&both[0], &both[1], "the same logins make the same incidents");
    }
}

#[test]
fn what_was_usual_before_a_restart_is_no_incident_after_it() {
    let every = |lived: &mut Lived, seconds: u64, minutes: u64| {
        for n in 0..minutes * 60 / seconds {
            lived.wrong("port_closed", (1, 2), n * seconds * SECOND);
        }
    };
    let mut before = Lived::default();
    every(&mut before, 20, 40);
    before.passes(40 * MINUTE);
    assert!(before.told.is_empty());
    let kept = before.incidents.usual();
    let one = &kept.met[0];
    assert_eq!(one.family, "unreachable");
    assert!((2.5..3.1).contains(&one.per_minute), "{one:?}");

    let mut anew = Lived::default();
    every(&mut anew, 10, 3);
    assert!(
        !anew.told.is_empty(),
        "nothing is usual to who knows nothing"
    );
    let mut after = Lived::default();
    after.incidents.learn(&kept);
    every(&mut after, 10, 3);
    assert!(after.told.is_empty(), "{:?}", actions(&after.told));
    for n in 0..60 {
        after.wrong("port_closed", (1, 2), 3 * MINUTE + n * SECOND / 2);
    }
    assert_eq!(actions(&after.told)[0], IncidentAction::Opened);
}

#[test]
fn a_trouble_that_nobody_knows_is_passed_over() {
    let mut kept = Troubles {
        watched_ns: u64::MAX,
        met: Vec::new(),
    };
    for (family, per_minute) in [("no_such_trouble", 1.0), ("unreachable", f64::NAN)] {
        kept.met.push(crate::session::TroubleBaseline {
            family: family.to_owned(),
            error: 0,
            server: None,
            client: Some(address(3)),
            process: Some("app".to_owned()),
            per_minute,
        });
    }
    let mut lived = Lived::default();
    lived.incidents.learn(&kept);
    assert!(lived.incidents.usual().met.is_empty());
}
