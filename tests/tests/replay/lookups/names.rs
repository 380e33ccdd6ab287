//! The names that a client asked for before it connected.

use harness::{agent::of, pcap::Packet};
use serde_json::{Value, json};
use simple_dns::{
    CLASS, Name, Packet as Message, PacketFlag, Question, RCODE, ResourceRecord, TYPE,
    rdata::{A, RData},
};

use super::datagrams::{datagram, end};
use crate::packets::{MILLISECOND, connection, replay};

/// The client and the server of the connection that follows.
const CLIENT: &str = "10.77.0.1";
const LAB: [u8; 4] = [10, 77, 0, 2];
const NAME_SERVER: &str = "10.77.0.53";

/// A question from the client, and the answer a millisecond later: this address, or that there is no such name.
fn resolves(name: &str, found: Option<[u8; 4]>, start_ns: u64) -> [Packet; 2] {
    resolves_after(MILLISECOND, name, found, start_ns)
}

/// The same with an answer that comes so much later.
fn resolves_after(took_ns: u64, name: &str, found: Option<[u8; 4]>, start_ns: u64) -> [Packet; 2] {
    let (client, server) = (end(CLIENT, 40_000), end(NAME_SERVER, 53));
    let mut message = Message::new_query(7);
    let name = Name::new_unchecked(name);
    let question = Question::new(name.clone(), TYPE::A.into(), CLASS::IN.into(), false);
    message.questions.push(question);
    let asked = message.build_bytes_vec().unwrap();
    message.set_flags(PacketFlag::RESPONSE);
    match found {
        Some(address) => {
            let data = RData::A(A::from(std::net::Ipv4Addr::from(address)));
            let record = ResourceRecord::new(name, CLASS::IN, 60, data);
            message.answers.push(record);
        }
        None => *message.rcode_mut() = RCODE::NameError,
    }
    let answered = message.build_bytes_vec().unwrap();
    [
        datagram(start_ns, client, server, &asked),
        datagram(start_ns + took_ns, server, client, &answered),
    ]
}

/// The attempt of the connection after these, and all that is said.
fn followed(names: &[Packet]) -> (Value, String) {
    let told = replay(&[names, &connection()].concat());
    let attempts = of(&told, "attempt");
    assert_eq!(attempts.len(), 1, "{told:#?}");
    (attempts[0]["attempt"].clone(), format!("{told:?}"))
}

#[test]
fn an_attempt_begins_with_the_names_that_led_to_it_and_says_no_other() {
    let start = connection()[0].time_ns - 10 * MILLISECOND;
    let names = [
        resolves("other.example", Some([10, 77, 0, 9]), start - MILLISECOND),
        resolves("sql.one.example", None, start),
        resolves("SQL.two.example", Some(LAB), start + 2 * MILLISECOND),
    ];
    let (attempt, said) = followed(&names.concat());
    let parts = &attempt["parts"];
    for (place, name, outcome, start_ns) in [
        (0, "sql.one.example", "no_such_name", 0),
        (1, "sql.two.example", "answered", 2 * MILLISECOND),
    ] {
        let part = json!({
            "kind": "dns", "name": name, "record_type": "a", "requests": 1,
            "outcome": outcome, "start_ns": start_ns, "duration_ns": MILLISECOND,
        });
        assert_eq!(parts[place], part);
    }
    assert_eq!(parts[2]["kind"], "login");
    assert_eq!(attempt["target"]["name"], "sql.two.example");
    assert_eq!(attempt["unexplained_ns"], 8 * MILLISECOND);
    assert!(!said.contains("other"), "{said}");
}

#[test]
fn what_was_asked_long_before_or_has_another_address_leads_to_nothing() {
    let start = connection()[0].time_ns;
    for (found, gap_ns) in [
        (LAB, 6_000 * MILLISECOND),
        ([10, 77, 0, 9], 10 * MILLISECOND),
    ] {
        let names = resolves("sql.example", Some(found), start - gap_ns);
        let (attempt, said) = followed(&names);
        assert_eq!(attempt["parts"].as_array().unwrap().len(), 1);
        assert!(!said.contains("sql.example"), "{said}");
    }
}

#[test]
fn a_name_that_was_resolved_late_is_why_the_attempt_took_long() {
    let start = connection()[0].time_ns;
    for took in [1500, 5000, 12_000] {
        let took = took * MILLISECOND;
        let begin = start - took - MILLISECOND;
        let (attempt, _) = followed(&resolves_after(took, "sql.example", Some(LAB), begin));
        let why = &attempt["diagnosis"][0];
        assert_eq!(why["cause"], "name_resolution", "{attempt:#}");
        assert_eq!(why["evidence"]["resolution_ns"], took);
    }
}

#[test]
fn names_of_a_search_list_that_were_slow_are_why_the_attempt_took_long() {
    let start = connection()[0].time_ns;
    let second = 1000 * MILLISECOND;
    let names = [
        resolves_after(second, "sql.one.example", None, start - 2030 * MILLISECOND),
        resolves_after(second, "sql.two.example", None, start - 1029 * MILLISECOND),
        resolves("sql.example", Some(LAB), start - 20 * MILLISECOND),
    ];
    let (attempt, _) = followed(&names.concat());
    let why = &attempt["diagnosis"][0];
    assert_eq!(why["cause"], "dns_search_list", "{attempt:#}");
    assert_eq!(why["evidence"]["names"], 2);
}
