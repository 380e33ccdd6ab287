//! Network namespaces: what each counts, and its listening sockets, over time.

use std::{
    fs::File,
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
};

use procfs::process::Process;

use super::{
    counters::{Counters, text},
    diag::{self, Abroad, Held, Listening, Sockets},
    history::History,
};
use crate::session::{ListenerFacts, NetFacts};

/// A network namespace.
#[derive(Debug)]
pub(super) struct Network {
    /// The inode that it has in `/proc/PID/ns`.
    pub(super) id: u64,
    /// A process in it: it is looked at by way of that.
    pub(super) by: Process,
    /// It is the agent's own.
    is_home: bool,
    pub(super) samples: History<Sample>,
}

/// How it stood at one moment.
#[derive(Debug)]
pub(super) struct Sample {
    counters: Counters,
    listening: Vec<Listening>,
    ports: Option<u32>,
}

/// The network namespace of a process, by its inode; `None` where that may not be seen.
pub(super) fn of(process: &Process) -> Option<u64> {
    let path = format!("/proc/{}/ns/net", process.pid());
    Some(std::fs::metadata(path).ok()?.ino())
}

impl Network {
    pub(super) fn new(id: u64, by: Process, home: Option<u64>) -> Self {
        Self {
            id,
            by,
            is_home: home == Some(id),
            samples: History::default(),
        }
    }

    /// Whether its process is still in it.
    pub(super) fn is_there(&self) -> bool {
        of(&self.by) == Some(self.id)
    }

    /// Looks at it, and at these connections' sockets; why it could not, where it could not.
    pub(super) fn look(
        &mut self,
        now: u64,
        connections: Vec<(SocketAddr, SocketAddr)>,
        abroad: Option<&Abroad>,
    ) -> std::io::Result<Vec<Option<Held>>> {
        let counters = Counters::of(&self.by);
        let asked = if self.is_home {
            diag::ask(&connections)
        } else {
            let namespace = File::open(format!("/proc/{}/ns/net", self.by.pid()));
            let none = || std::io::Error::other("no thread could be started that asks");
            namespace.and_then(|namespace| abroad.ok_or_else(none)?.ask(namespace, connections))
        };
        let (sockets, refused) = match asked {
            Ok(sockets) => (sockets, Ok(())),
            Err(error) => (Sockets::default(), Err(error)),
        };
        self.samples.add(
            now,
            Sample {
                counters,
                listening: sockets.listening,
                ports: sockets.ports,
            },
        );
        refused.map(|()| sockets.held)
    }

    /// Whether a socket in it takes what comes to that address and port.
    pub(super) fn listens(&self, server: (IpAddr, u16)) -> bool {
        let Some((_, last)) = self.samples.last() else {
            return false;
        };
        let mut all = last.listening.iter();
        all.any(|one| one.takes(server) && (!one.takes_all() || self.has(server.0)))
    }

    /// Whether an address is its own.
    fn has(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            address if address.is_loopback() => true,
            IpAddr::V4(address) => {
                let routes = text(&self.by, "net/fib_trie").unwrap_or_default();
                is_local(&routes, &address.to_string())
            }
            IpAddr::V6(address) => {
                let own = text(&self.by, "net/if_inet6").unwrap_or_default();
                let octets = address.octets().map(|octet| format!("{octet:02x}"));
                own.lines().any(|line| line.starts_with(&octets.concat()))
            }
        }
    }

    /// What it has counted since then.
    pub(super) fn counted(&self, since: u64) -> NetFacts {
        let Some((first, last)) = self.samples.around(since) else {
            return NetFacts::default();
        };
        NetFacts {
            ports: last.ports,
            ..last.counters.since(&first.counters)
        }
    }

    /// How full the socket was since then that takes what comes to that address and port.
    pub(super) fn listener(&self, server: (IpAddr, u16), since: u64) -> Option<ListenerFacts> {
        let (first, last) = self.samples.around(since)?;
        let of = |sample: &Sample| {
            // A socket with the very address comes before one with all.
            let own = sample.listening.iter().filter(|one| one.takes(server));
            own.min_by_key(|one| one.takes_all()).copied()
        };
        let now = of(last)?;
        let before = of(first);
        let seen = self.samples.within(since, u64::MAX);
        let seen = seen.filter_map(|(at, sample)| Some((*at, of(sample)?.waiting)));
        let waiting = seen.clone().map(|(_, waiting)| waiting).max();
        let earlier = before.and_then(|one| one.drops).unwrap_or(0);
        Some(ListenerFacts {
            waiting: waiting.unwrap_or(now.waiting),
            room: now.room,
            waiting_for: longest(seen),
            dropped: now.drops.unwrap_or(0).saturating_sub(earlier),
        })
    }
}

/// The longest time for which each look found somebody waiting; `None` where none did.
fn longest(looks: impl Iterator<Item = (u64, u32)>) -> Option<u64> {
    let (mut since, mut longest) = (None, None);
    for (at, waiting) in looks {
        since = (waiting > 0).then(|| since.unwrap_or(at));
        longest = longest.max(since.map(|since| at - since));
    }
    longest
}

/// Whether the table of local routes has an address of its own, as `fib_trie` writes it.
fn is_local(routes: &str, address: &str) -> bool {
    let mut is_it = false;
    routes.lines().any(|line| {
        let line = line.trim();
        if let Some((_, node)) = line.split_once("-- ") {
            is_it = node == address;
        }
        is_it && line == "/32 host LOCAL"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "\
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.87.0.0
        /24 link UNICAST
     |-- 10.87.0.2
        /32 host LOCAL
     |-- 10.87.0.255
        /32 link BROADCAST
";

    #[test]
    fn an_address_is_local_where_a_route_says_so() {
        assert!(is_local(ROUTES, "10.87.0.2"));
        assert!(!is_local(ROUTES, "10.87.0.255"));
        assert!(!is_local(ROUTES, "10.87.0.0"));
        assert!(!is_local(ROUTES, "10.87.0.1"));
    }

    #[test]
    fn a_queue_that_was_empty_in_between_was_not_full_all_that_time() {
        assert_eq!(longest([(1, 0), (2, 0)].into_iter()), None);
        assert_eq!(longest([(1, 0), (2, 1), (3, 0)].into_iter()), Some(0));
        let looks = [(1, 3), (2, 0), (4, 1), (7, 2), (9, 0), (20, 1)];
        assert_eq!(longest(looks.into_iter()), Some(3));
    }

    #[test]
    fn this_processs_own_network_has_loopback() {
        let myself = Process::myself().unwrap();
        let id = of(&myself).unwrap();
        let mut network = Network::new(id, myself, Some(id));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let server = (server.ip(), server.port());
        network.look(7, Vec::new(), None).unwrap();
        assert!(network.is_there() && network.listens(server));
        let facts = network.listener(server, 7).unwrap();
        assert_eq!((facts.waiting, facts.dropped), (0, 0));
        assert!(network.counted(7).listen_drops == Some(0) && network.counted(7).ports.is_some());
    }
}
