//! Name resolution (RFC 1035), which is late, silent or ignorant as told.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use simple_dns::rdata::{A, AAAA, PTR, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::pair;

/// What it knows.
#[derive(Args, Clone)]
pub struct Options {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// A host's name and an address of it, `NAME=ADDRESS`.
    #[arg(long = "host", value_parser = pair)]
    hosts: Vec<(String, String)>,
    /// The name that an address has by PTR, `NAME.in-addr.arpa=HOST`.
    #[arg(long = "pointer", value_parser = pair)]
    pointers: Vec<(String, String)>,
    /// Milliseconds until it answers.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Never answers questions of this type: `A`, `AAAA` or `PTR`.
    #[arg(long)]
    silent: Option<String>,
    /// Does not answer the first question of this type for a host that it knows.
    #[arg(long)]
    drops: Option<String>,
    /// Says by UDP only that the answer is too long, and answers by TCP.
    #[arg(long)]
    cuts: bool,
}

const TTL: u32 = 60;

/// Answers for ever.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(options: &Options) -> Result<()> {
    let socket = UdpSocket::bind(options.listen)?;
    let listener = TcpListener::bind(options.listen)?;
    println!("listening {}", socket.local_addr()?);
    let by_tcp = options.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let options = by_tcp.clone();
            // A resolver keeps its connection. One that leaves in between is done.
            std::thread::spawn(move || options.serve_tcp(&client).ok());
        }
    });
    let mut buffer = [0; 1024];
    let mut drops = options.drops.clone();
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        let Ok(question) = Packet::parse(&buffer[..len]) else {
            continue;
        };
        let kind = kind(&question);
        if options.silent == kind {
            continue;
        }
        if drops.is_some() && drops == kind && options.knows(&question) {
            drops = None;
            continue;
        }
        let answer = if options.cuts {
            cut(&question)?
        } else {
            options.answer(&question)?
        };
        std::thread::sleep(Duration::from_millis(options.delay));
        socket.send_to(&answer, from)?;
    }
}

/// An answer that says only that it would be too long.
fn cut(asked: &Packet<'_>) -> Result<Vec<u8>> {
    let mut answer = Packet::new_reply(asked.id());
    // A server that does not look further would not be believed.
    answer.set_flags(PacketFlag::TRUNCATION | PacketFlag::RECURSION_AVAILABLE);
    answer.questions.clone_from(&asked.questions);
    Ok(answer.build_bytes_vec()?)
}

/// The type that is asked for.
fn kind(packet: &Packet<'_>) -> Option<String> {
    match packet.questions.first()?.qtype {
        QTYPE::TYPE(kind) => Some(format!("{kind:?}")),
        _ => None,
    }
}

impl Options {
    /// Answers what comes on a connection, each message after its length.
    fn serve_tcp(&self, mut client: &TcpStream) -> Result<()> {
        loop {
            let mut length = [0; 2];
            client.read_exact(&mut length)?;
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            client.read_exact(&mut question)?;
            let answer = self.answer(&Packet::parse(&question)?)?;
            let length = u16::try_from(answer.len())?.to_be_bytes();
            client.write_all(&[&length[..], &answer].concat())?;
        }
    }

    fn knows(&self, asked: &Packet<'_>) -> bool {
        let name = asked.questions.first().map(|one| one.qname.to_string());
        self.hosts
            .iter()
            .any(|(host, _)| Some(host) == name.as_ref())
    }

    fn answer(&self, asked: &Packet<'_>) -> Result<Vec<u8>> {
        let mut answer = Packet::new_reply(asked.id());
        answer.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
        let Some(question) = asked.questions.first() else {
            return Ok(answer.build_bytes_vec()?);
        };
        let name = question.qname.to_string();
        let is_known = |known: &str| name.trim_end_matches('.').eq_ignore_ascii_case(known);
        let hosts = self.hosts.iter().filter(|(host, _)| is_known(host));
        let addresses: Vec<IpAddr> = hosts.map(|(_, at)| at.parse()).collect::<Result<_, _>>()?;
        let pointers = self.pointers.iter().filter(|(at, _)| is_known(at));
        let names: Vec<_> = pointers.map(|(_, host)| host.as_str()).collect();
        if addresses.is_empty() && names.is_empty() {
            *answer.rcode_mut() = RCODE::NameError;
        }
        let record = |data| ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data);
        match question.qtype {
            QTYPE::TYPE(TYPE::PTR) => {
                for name in names {
                    answer
                        .answers
                        .push(record(RData::PTR(PTR(Name::new(name)?))));
                }
            }
            QTYPE::TYPE(kind) => {
                for address in addresses {
                    match (kind, address) {
                        (TYPE::A, IpAddr::V4(address)) => {
                            answer.answers.push(record(RData::A(A::from(address))));
                        }
                        (TYPE::AAAA, IpAddr::V6(address)) => {
                            answer
                                .answers
                                .push(record(RData::AAAA(AAAA::from(address))));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        answer.questions.push(question.clone());
        Ok(answer.build_bytes_vec()?)
    }
}
