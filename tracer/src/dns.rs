//! Messages of name resolution (RFC 1035): what is asked, and which addresses come back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::{Packet, PacketFlag, QTYPE, RCODE, TYPE, header_buffer, rdata::RData};

/// UDP port of a name server.
pub const PORT: u16 = 53;
/// The same where everybody on the network is asked, by the name itself (RFC 6762).
pub const MULTICAST_PORT: u16 = 5353;
/// The same, as Windows does (RFC 4795).
pub const LINK_LOCAL_PORT: u16 = 5355;
/// Records of one message; no host has so many addresses that one datagram could hold more.
const MAX_RECORDS: u16 = 128;
/// Addresses of one answer that are kept: drivers try up to 64 at once (`MultiSubnetFailover`).
const MAX_ADDRESSES: usize = 64;
/// Bytes of a message's header (section 4.1.1).
const HEADER: usize = 12;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
    /// The name of an address.
    Ptr,
}

/// What the server says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// There is such a name.
    NoError,
    /// There is none.
    NoSuchName,
    /// It does not say: `SERVFAIL`, `REFUSED` and others.
    Failed,
}

/// A question, or the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which the two are known to belong together.
    pub id: u16,
    /// The name, in lower case, without the last dot.
    pub name: String,
    /// What is asked for.
    pub kind: Kind,
    /// The answer; `None` of a question.
    pub answer: Option<Answer>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the server says of the name.
    pub code: Code,
    /// The addresses, aliases followed.
    pub addresses: Vec<IpAddr>,
    /// There is something of the kind that was asked for, or there may be: not all of the answer is at hand.
    pub has_any: bool,
    /// The server has left some of it out, since it did not fit into a datagram: it is to be asked by TCP.
    pub is_cut: bool,
}

/// Reads a message that asks one thing, of a kind that is looked at. Of an answer of which only the first bytes
/// are at hand, the records are read that are whole.
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let counts = [
        header_buffer::answers(bytes).ok()?,
        header_buffer::name_servers(bytes).ok()?,
        header_buffer::additional_records(bytes).ok()?,
    ];
    if header_buffer::questions(bytes).ok()? != 1 {
        return None;
    }
    let reads = counts.iter().all(|count| *count <= MAX_RECORDS);
    if let Some(packet) = Packet::parse(bytes).ok().filter(|_| reads) {
        return message(&packet, true);
    }
    let mut cut = bytes.to_vec();
    let mut first = |answers: u16| {
        let counts = cut.get_mut(HEADER - 6..HEADER)?;
        counts.fill(0);
        counts[..2].copy_from_slice(&answers.to_be_bytes());
        message(&Packet::parse(&cut).ok()?, false)
    };
    // The most of them that can be read.
    let (mut least, mut most) = (0, counts[0].min(MAX_RECORDS));
    while least < most {
        let half = least + (most - least).div_ceil(2);
        if first(half).is_some() {
            least = half;
        } else {
            most = half - 1;
        }
    }
    first(least)
}

fn message(packet: &Packet<'_>, whole: bool) -> Option<Message> {
    let question = packet.questions.first()?;
    let kind = match question.qtype {
        QTYPE::TYPE(TYPE::A) => Kind::A,
        QTYPE::TYPE(TYPE::AAAA) => Kind::Aaaa,
        QTYPE::TYPE(TYPE::PTR) => Kind::Ptr,
        _ => return None,
    };
    let answer = packet.has_flags(PacketFlag::RESPONSE).then(|| {
        let records = packet.answers.iter().map(|record| &record.rdata);
        let addresses = records.clone().filter_map(address).take(MAX_ADDRESSES);
        let of_kind = |data: &RData<'_>| match kind {
            Kind::A => matches!(data, RData::A(_)),
            Kind::Aaaa => matches!(data, RData::AAAA(_)),
            Kind::Ptr => matches!(data, RData::PTR(_)),
        };
        Answer {
            code: match packet.rcode() {
                RCODE::NoError => Code::NoError,
                RCODE::NameError => Code::NoSuchName,
                _ => Code::Failed,
            },
            addresses: addresses.collect(),
            has_any: !whole || records.clone().any(of_kind),
            is_cut: packet.has_flags(PacketFlag::TRUNCATION),
        }
    });
    Some(Message {
        id: packet.id(),
        name: question.qname.to_string().to_ascii_lowercase(),
        kind,
        answer,
    })
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(data) => Some(Ipv4Addr::from(data.address).into()),
        RData::AAAA(data) => Some(Ipv6Addr::from(data.address).to_canonical()),
        _ => None,
    }
}

/// The name by which an address's own name is asked for (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let octets = address.octets().into_iter().rev();
            let nibbles = octets.flat_map(|octet| [octet & 0x0F, octet >> 4]);
            let mut name = String::with_capacity(72);
            for nibble in nibbles {
                name.extend(char::from_digit(nibble.into(), 16));
                name.push('.');
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};
    use simple_dns::{
        CLASS, Name, Question, ResourceRecord,
        rdata::{A, CNAME},
    };

    use super::*;

    fn packet(name: &'static str, kind: TYPE, answers: Vec<RData<'static>>) -> Packet<'static> {
        let mut packet = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        let question = Question::new(name.clone(), kind.into(), CLASS::IN.into(), false);
        packet.questions.push(question);
        for data in answers {
            let record = ResourceRecord::new(name.clone(), CLASS::IN, 60, data);
            packet.answers.push(record);
        }
        packet
    }

    fn answer(name: &'static str, addresses: &[u32]) -> Vec<u8> {
        let alias = RData::CNAME(CNAME(Name::new_unchecked("node.example")));
        let addresses = addresses.iter().map(|at| RData::A(A { address: *at }));
        let mut packet = packet(
            name,
            TYPE::A,
            [alias].into_iter().chain(addresses).collect(),
        );
        packet.set_flags(PacketFlag::RESPONSE);
        packet.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn a_question_says_what_is_asked_for() {
        let bytes = packet("SQL.Example", TYPE::AAAA, Vec::new())
            .build_bytes_vec()
            .unwrap();
        let read = decode(&bytes).unwrap();
        assert_eq!((read.id, read.name.as_str()), (7, "sql.example"));
        assert_eq!((read.kind, read.answer), (Kind::Aaaa, None));
    }

    #[test]
    fn an_answer_has_the_addresses_behind_its_aliases() {
        let read = decode(&answer("sql.example", &[0x0A00_0001])).unwrap();
        let answer = read.answer.unwrap();
        assert_eq!(answer.code, Code::NoError);
        assert_eq!(answer.addresses, [IpAddr::from([10, 0, 0, 1])]);
        assert!(answer.has_any);
    }

    #[test]
    fn an_alias_without_address_is_no_answer() {
        let read = decode(&answer("sql.example", &[])).unwrap();
        assert!(!read.answer.unwrap().has_any);
    }

    #[test]
    fn of_a_cut_answer_what_is_whole_is_known() {
        let whole = answer("sql.example", &[0x0A00_0001, 0x0A00_0002]);
        let read = decode(&whole[..whole.len() - 2]).unwrap();
        assert_eq!(read.name, "sql.example");
        let answer = read.answer.unwrap();
        let first = IpAddr::from([10, 0, 0, 1]);
        assert_eq!((answer.addresses, answer.has_any), (vec![first], true));
    }

    #[test]
    fn whatever_is_no_message_is_none() {
        let whole = answer("sql.example", &[0x0A00_0001]);
        for len in 0..HEADER + 4 {
            assert_eq!(decode(&whole[..len]), None);
        }
        let mut many = whole;
        many[6..8].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(decode(&many).is_some_and(|read| read.name == "sql.example"));
    }

    proptest! {
        #[test]
        fn nothing_panics_on_a_message_cut_and_altered(
            cut in any::<Index>(),
            changes in vec((any::<Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = answer("sql.example", &[0x0A00_0001, 0x0A00_0002]);
            bytes.truncate(cut.index(bytes.len()) + 1);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            decode(&bytes);
        }

        #[test]
        fn nothing_panics_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..256)) {
            decode(&bytes);
        }
    }

    #[test]
    fn addresses_are_asked_for_backwards() {
        let address = |text: &str| text.parse().unwrap();
        assert_eq!(reverse(address("10.87.0.2")), "2.0.87.10.in-addr.arpa");
        assert_eq!(
            reverse(address("fd00::12")),
            "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"
        );
    }
}
