//! What the kernel says of sockets (`sock_diag(7)`): how many wait to be accepted, what was dropped, and
//! what was not read.

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::AsFd as _,
    sync::mpsc::{Sender, SyncSender, channel, sync_channel},
    thread,
};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_LISTEN},
    inet::{
        ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
        nlas::{MemInfo, Nla},
    },
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::confine::{Needs, Programs, confine};

/// What the thread needs that enters namespaces.
const NEEDS: Needs = Needs {
    programs: Programs::None,
    processes: false,
    reads: true,
    namespaces: true,
    answers: false,
    writes: Vec::new(),
    connects: Vec::new(),
    resolves: false,
};
/// Listening sockets that are remembered of a network namespace.
const MOST: usize = 128;
/// Sockets that are asked for one by one at a time.
pub(super) const MOST_ASKED: usize = 64;
/// An answer's messages come in pieces of this size at most.
const PIECE: usize = 32 * 1024;
/// Whatever its cookie (`INET_DIAG_NOCOOKIE` of `linux/inet_diag.h`).
const NO_COOKIE: [u8; 8] = [0xFF; 8];
/// Where `tcp_info` has the path's largest packet (`tcpi_pmtu` of `linux/tcp.h`).
const PATH_MTU: usize = 60;

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    /// Connections that wait to be accepted, and how many may.
    pub(super) waiting: u32,
    pub(super) room: u32,
    /// Dropped so far; `None` where the kernel does not say.
    pub(super) drops: Option<u32>,
}

/// A connection's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Bytes that nobody has read.
    pub(super) unread: u32,
    pub(super) path_mtu: Option<u32>,
}

/// What is known of the sockets of a network namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Sockets {
    pub(super) listening: Vec<Listening>,
    /// Of those that were asked for, in their order.
    pub(super) held: Vec<Option<Held>>,
    /// Ports that a client may be given.
    pub(super) ports: Option<u32>,
}

/// A question about sockets in another network namespace.
struct Question {
    namespace: File,
    connections: Vec<(SocketAddr, SocketAddr)>,
    answer: SyncSender<io::Result<Sockets>>,
}

/// Asks in other network namespaces than the agent's: on a thread of its own, since what it enters is its own
/// affair, and since the others give up what entering takes.
#[derive(Debug)]
pub(super) struct Abroad {
    questions: Sender<Question>,
}

impl Abroad {
    /// Starts the thread; it keeps no more than it needs where it is confined.
    pub(super) fn start(confined: bool) -> io::Result<Self> {
        let (questions, asked) = channel::<Question>();
        let thread = thread::Builder::new().name("namespaces".to_owned());
        thread.spawn(move || {
            if confined {
                for step in confine(&NEEDS) {
                    tracing::debug!("namespaces, {}: {:?}", step.what, step.held);
                }
            }
            for question in asked {
                let network = Some(LinkNameSpaceType::Network);
                let entered = move_into_link_name_space(question.namespace.as_fd(), network);
                let sockets = match entered {
                    Ok(()) => ask(&question.connections),
                    Err(error) => Err(error.into()),
                };
                // Whoever has asked waits for it.
                drop(question.answer.send(sockets));
            }
        })?;
        Ok(Self { questions })
    }

    /// As [`ask`], in this network namespace.
    pub(super) fn ask(
        &self,
        namespace: File,
        connections: Vec<(SocketAddr, SocketAddr)>,
    ) -> io::Result<Sockets> {
        let gone = || io::Error::other("the thread that asks has ended");
        let (answer, answered) = sync_channel(1);
        let question = Question {
            namespace,
            connections,
            answer,
        };
        self.questions.send(question).map_err(|_unsent| gone())?;
        answered.recv().map_err(|_panic| gone())?
    }
}

/// Asks for the listening sockets, and for these connections' by their local and remote end, in the network
/// namespace of this thread.
pub(super) fn ask(connections: &[(SocketAddr, SocketAddr)]) -> io::Result<Sockets> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    let mut sockets = Sockets {
        ports: ports(),
        ..Sockets::default()
    };
    for family in [AF_INET, AF_INET6] {
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::SKMEMINFO,
            states: StateFlags::LISTEN,
            socket_id: any(family),
        };
        each(&socket, request, NLM_F_DUMP, |response| {
            if sockets.listening.len() < MOST {
                sockets.listening.push(listening(response));
            }
        })?;
    }
    for (local, remote) in connections.iter().take(MOST_ASKED) {
        let mut held = None;
        let request = InetRequest {
            family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port: local.port(),
                destination_port: remote.port(),
                source_address: local.ip(),
                destination_address: remote.ip(),
                interface_id: 0,
                cookie: NO_COOKIE,
            },
        };
        each(&socket, request, 0, |response| {
            // Where there is no such connection the socket that listens there is told.
            held = (response.header.state != TCP_LISTEN).then(|| Held {
                unread: response.header.recv_queue,
                path_mtu: path_mtu(&response.nlas),
            });
        })?;
        sockets.held.push(held);
    }
    Ok(sockets)
}

/// How many ports a client may be given, in the network namespace of this thread.
fn ports() -> Option<u32> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().map(str::parse::<u32>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

fn any(family: u8) -> SocketId {
    if family == AF_INET {
        SocketId::new_v4()
    } else {
        SocketId::new_v6()
    }
}

/// Sends a request, and takes each answer to it. The kernel answers before it returns from sending.
fn each(
    socket: &Socket,
    request: InetRequest,
    flags: u16,
    mut take: impl FnMut(&InetResponse),
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let message = SockDiagMessage::InetRequest(request);
    let mut packet = NetlinkMessage::new(header, message.into());
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        match socket.recv(&mut piece, 0) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let Ok(answer) = NetlinkMessage::<SockDiagMessage>::deserialize(rest) else {
                return Ok(());
            };
            match answer.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    take(&response);
                }
                // An error says that there is no such socket.
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(()),
                _ => {}
            }
            let length = (answer.header.length as usize).next_multiple_of(4);
            rest = rest.get(length.max(16)..).unwrap_or_default();
        }
        if flags & NLM_F_DUMP == 0 {
            return Ok(());
        }
    }
}

fn listening(response: &InetResponse) -> Listening {
    let id = &response.header.socket_id;
    let drops = response.nlas.iter().find_map(|nla| match nla {
        Nla::MemInfo(MemInfo { drops, .. }) => Some(*drops),
        _ => None,
    });
    Listening {
        address: SocketAddr::new(id.source_address, id.source_port),
        waiting: response.header.recv_queue,
        room: response.header.send_queue,
        drops,
    }
}

fn path_mtu(nlas: &[Nla]) -> Option<u32> {
    let info = nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(bytes) => Some(bytes),
        _ => None,
    })?;
    let field = info.get(PATH_MTU..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*field)).filter(|mtu| *mtu > 0)
}

impl Listening {
    /// Whether it may accept what comes to that address.
    pub(super) fn takes(&self, (address, port): (IpAddr, u16)) -> bool {
        let own = self.address.ip();
        let all = match own {
            IpAddr::V4(own) => own.is_unspecified() && address.to_canonical().is_ipv4(),
            IpAddr::V6(own) => own == Ipv6Addr::UNSPECIFIED,
        };
        self.address.port() == port && (all || own.to_canonical() == address.to_canonical())
    }

    /// Whether it takes what comes to any address.
    pub(super) fn takes_all(&self) -> bool {
        self.address.ip().is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn a_listening_socket_says_how_many_wait_and_a_connection_what_is_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let _waits = TcpStream::connect(address).unwrap();
        accepted.write_all(b"seven b").unwrap();
        client.peek(&mut [0; 7]).unwrap();

        let ends = (client.local_addr().unwrap(), address);
        let gone = (address, "127.0.0.1:9".parse().unwrap());
        let sockets = ask(&[ends, gone]).unwrap();

        let own = sockets.listening.iter();
        let own = own.into_iter().find(|one| one.address == address).unwrap();
        assert_eq!(own.waiting, 1, "{own:?}");
        assert!(own.room >= 1 && own.drops == Some(0), "{own:?}");
        let [Some(held), None] = sockets.held[..] else {
            panic!("{sockets:?}")
        };
        assert_eq!(held.unread, 7);
        assert!(held.path_mtu.is_some_and(|mtu| mtu >= 1280), "{held:?}");
    }

    #[test]
    fn a_socket_that_listens_takes_its_own_address_or_all_of_its_family() {
        let at = |address: &str| Listening {
            address: address.parse().unwrap(),
            waiting: 0,
            room: 0,
            drops: None,
        };
        let to = |address: &str| (address.parse().unwrap(), 1433);
        assert!(at("192.0.2.1:1433").takes(to("192.0.2.1")));
        assert!(at("0.0.0.0:1433").takes(to("192.0.2.1")));
        assert!(at("[::]:1433").takes(to("192.0.2.1")));
        assert!(!at("0.0.0.0:1433").takes(to("2001:db8::1")));
        assert!(!at("0.0.0.0:1434").takes(to("192.0.2.1")));
        assert!(!at("192.0.2.2:1433").takes(to("192.0.2.1")));
    }
}
