use proptest::prelude::*;
use tracer_ebpf::seq::Seq;

use super::*;
use crate::session::input::Piece;

const SECOND: u64 = 1_000_000_000;
/// When all begins.
const START: u64 = 1000 * SECOND;
const ME: Who = Who::Process(7);
const CONNECTION: Handle = 1;

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// A packet of port 40000 to a service, or from it, in so many tenths of a second.
fn packet(at: u16, transport: Transport, sign: Sign<'_>, tenths: u64) -> Beside<'_> {
    Beside {
        time: START + tenths * SECOND / 10,
        client: (address(1), 40_000),
        service: (address(88), at),
        transport,
        sign,
        opened: None,
        accepted: None,
        process: None,
    }
}

fn piece(kept: &[u8]) -> Piece<'_> {
    Piece {
        seq: Seq(0),
        kept,
        len: kept.len(),
    }
}

#[derive(Default)]
struct Watched {
    services: Services,
    owner: Option<Owner>,
    name: Option<&'static str>,
}

impl Watched {
    /// One whose client has a connection at work.
    fn during() -> Self {
        Self {
            owner: Some(Owner::One(CONNECTION)),
            ..Self::default()
        }
    }

    fn sees(&mut self, beside: &Beside<'_>) -> &mut Self {
        let owner = self.owner.unwrap_or(Owner::Nobody);
        let name = self.name.map(Text::from);
        self.services.take(ME, beside, || (owner, name));
        self
    }

    fn udp(&mut self, sign: Sign<'_>, tenths: u64) -> &mut Self {
        self.sees(&packet(port::KERBEROS, Transport::Udp, sign, tenths))
    }

    fn tcp(&mut self, at: u16, sign: Sign<'_>, tenths: u64) -> &mut Self {
        self.sees(&packet(at, Transport::Tcp, sign, tenths))
    }

    fn connects(&mut self, tenths: u64) -> &mut Self {
        let from = START + tenths * SECOND / 10;
        self.services.followed(ME, CONNECTION, from);
        self
    }

    /// What is told where the attempt is over: kind, outcome, start and end in tenths of a second.
    fn told(&mut self, tenths: u64) -> Vec<(PartKind, ServiceOutcome, u64, u64)> {
        let at = START + tenths * SECOND / 10;
        let parts = self.services.claim(&[CONNECTION], at);
        let tenths = |at: u64| (at - START) * 10 / SECOND;
        let told = parts.iter().map(|part| {
            let PartOutcome::Service(outcome) = part.outcome else {
                panic!("{part:?}")
            };
            (part.kind, outcome, tenths(part.start), tenths(part.end))
        });
        told.collect()
    }
}

const ASK: &[u8] = b"\x6A\x82";
const TICKET: &[u8] = b"\x6B\x82";

#[test]
fn a_ticket_is_asked_for_and_given() {
    let mut seen = Watched::during();
    seen.udp(Sign::Asks(piece(ASK)), 0);
    seen.udp(Sign::Answers(piece(TICKET)), 4);
    let expected = (PartKind::Kdc, ServiceOutcome::Answered, 0, 4);
    assert_eq!(seen.told(9), [expected]);
    assert_eq!(seen.told(9), [], "once");
}

#[test]
fn who_does_not_answer_was_asked_until_the_next_one_was() {
    let mut seen = Watched::during();
    seen.tcp(port::KERBEROS, Sign::Opens, 0);
    seen.udp(Sign::Asks(piece(ASK)), 30);
    let silent = ServiceOutcome::Unanswered;
    let parts = [
        (PartKind::Kdc, silent, 0, 30),
        (PartKind::Kdc, silent, 30, 50),
    ];
    assert_eq!(seen.told(50), parts);
}

#[test]
fn a_service_that_is_not_there_refuses() {
    let mut seen = Watched::during();
    seen.tcp(port::LDAP, Sign::Opens, 0);
    seen.tcp(port::LDAP, Sign::Refuses, 1);
    let expected = (PartKind::Ldap, ServiceOutcome::Refused, 0, 1);
    assert_eq!(seen.told(9), [expected]);
}

#[test]
fn what_was_asked_just_before_a_connection_is_its_own_and_what_long_before_is_not() {
    let mut seen = Watched::default();
    seen.udp(Sign::Asks(piece(ASK)), 0);
    seen.udp(Sign::Answers(piece(TICKET)), 1);
    seen.udp(Sign::Asks(piece(ASK)), 40);
    seen.udp(Sign::Answers(piece(TICKET)), 41);
    seen.connects(45);
    let expected = (PartKind::Kdc, ServiceOutcome::Answered, 40, 41);
    assert_eq!(seen.told(60), [expected]);
}

#[test]
fn a_connection_in_vain_is_waited_for_until_the_client_goes_on() {
    let mut seen = Watched::default();
    for tenths in [0, 10, 30, 70] {
        seen.tcp(port::KERBEROS, Sign::Opens, tenths);
    }
    seen.connects(150);
    let expected = (PartKind::Kdc, ServiceOutcome::Unanswered, 0, 150);
    assert_eq!(seen.told(160), [expected]);
}

#[test]
fn of_two_attempts_at_once_neither_is_told_what_may_be_the_others() {
    let mut seen = Watched {
        owner: Some(Owner::Doubtful),
        ..Watched::default()
    };
    seen.udp(Sign::Asks(piece(ASK)), 0);
    seen.connects(1);
    assert_eq!(seen.told(9), []);
}

#[test]
fn another_process_has_its_own() {
    let mut seen = Watched::default();
    seen.udp(Sign::Asks(piece(ASK)), 0);
    seen.services.followed(Who::Process(8), CONNECTION, START);
    assert_eq!(seen.told(9), []);
}

#[test]
fn a_web_server_is_no_part_and_a_host_of_tokens_is() {
    let mut seen = Watched::during();
    seen.tcp(port::HTTPS, Sign::Opens, 0);
    seen.tcp(port::HTTPS, Sign::Asks(piece(b"\x16\x03\x01")), 1);
    assert_eq!(seen.told(9), []);
    seen.name = Some("login.microsoftonline.com");
    seen.tcp(port::HTTPS, Sign::Opens, 0);
    seen.tcp(port::HTTPS, Sign::Accepts, 0);
    seen.tcp(port::HTTPS, Sign::Asks(piece(b"\x16\x03\x01")), 1);
    seen.tcp(port::HTTPS, Sign::Answers(piece(b"\x16\x03\x03")), 2);
    seen.tcp(port::HTTPS, Sign::Answers(piece(b"\x17\x03\x03")), 7);
    let expected = (PartKind::Token, ServiceOutcome::Answered, 0, 7);
    assert_eq!(seen.told(9), [expected]);
}

#[test]
fn a_host_is_asked_about_revocation_where_the_certificate_names_it() {
    let mut seen = Watched::during();
    seen.name = Some("pki.lab.test");
    seen.tcp(port::HTTP, Sign::Opens, 0);
    let at = START + SECOND;
    assert!(seen.services.of(CONNECTION, &[], at).is_empty());
    let named = ["pki.lab.test".into()];
    assert_eq!(seen.services.of(CONNECTION, &named, at).len(), 1);
    let expected = (PartKind::Revocation, ServiceOutcome::Unanswered, 0, 9);
    assert_eq!(seen.told(9), [expected]);
}

#[test]
fn of_a_servers_host_is_known_whether_it_reaches_a_controller() {
    let mut seen = Watched::default();
    seen.tcp(port::SMB, Sign::Opens, 0);
    let mut other = packet(port::RPC, Transport::Tcp, Sign::Opens, 1);
    other.client.1 = 40_001;
    seen.sees(&other);
    other.sign = Sign::Accepts;
    seen.sees(&other);
    let found = seen.services.controllers(ME, START, START + SECOND);
    let expected = Controllers {
        unanswered: 1,
        reached: 1,
    };
    assert_eq!(found, expected);
}

proptest! {
    #[test]
    fn a_flood_takes_bounded_memory_and_time_empties_it(
        packets in prop::collection::vec((0..3000_u32, 0..100_u16, 0..6_u8, 0..40_u64), 0..2000),
    ) {
        let ports = [port::KERBEROS, port::HTTPS, port::HTTP, port::LDAP];
        let mut services = Services::default();
        for (number, (client, from, what, tenths)) in packets.into_iter().enumerate() {
            let sign = match what {
                0 => Sign::Opens,
                1 => Sign::Accepts,
                2 => Sign::Asks(piece(ASK)),
                3 => Sign::Answers(piece(TICKET)),
                4 => Sign::Refuses,
                _ => Sign::Ends,
            };
            let transport = if number % 2 == 0 { Transport::Tcp } else { Transport::Udp };
            let mut beside = packet(ports[number % 4], transport, sign, tenths);
            beside.client.1 = from;
            let who = Who::Process(client % (1 + number as u32));
            services.take(who, &beside, || (Owner::One(number as Handle), None));
            prop_assert!(services.clients.len() <= MAX_CLIENTS);
            prop_assert!(services.clients.values().all(|own| own.len() <= MAX_OF_CLIENT));
            prop_assert!(services.owned.len() <= MAX_CLIENTS * MAX_OF_CLIENT);
            services.followed(who, number as Handle, beside.time);
        }
        services.forget(START + 10_000 * SECOND);
        prop_assert_eq!(services.clients.len() + services.owned.len(), 0);
    }
}
