//! Sockets that were there before the programs were attached, so that no hook has seen whose they
//! are: a server that listens already, and connections that are open. `/proc` lists them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
};

use procfs::{
    net::{TcpNetEntry, TcpState},
    process::Process,
};
use tracer_ebpf::{
    event::{Owner, role},
    flow::FlowKey,
};

use super::{
    held::each_socket_of, hierarchy::Hierarchy, namespaces::has_the_hosts_pids, now, own_name,
};

/// Sockets on watched ports that are older than the agent, with whoever holds them.
#[derive(Debug, Default)]
pub struct Earlier {
    listeners: Vec<Listener>,
    connections: HashMap<FlowKey, Vec<Owner>>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    address: SocketAddr,
    holder: Holder,
}

/// A process that holds sockets.
#[derive(Clone, Copy, Debug)]
struct Holder {
    owner: Owner,
    /// The id of its control group.
    group: Option<u64>,
}

/// A socket, before its process is known.
#[derive(Clone, Copy, Debug)]
struct Socket {
    local: SocketAddr,
    /// `None`: it listens.
    remote: Option<SocketAddr>,
    /// Its own port is a watched one.
    serves: bool,
}

impl Earlier {
    /// Looks for sockets on these ports in the network namespaces of all processes. What may not be
    /// read is passed over, and so is a process that ends meanwhile.
    pub fn scan(ports: &BTreeSet<u16>, groups: Option<&Hierarchy>) -> Self {
        let sockets = sockets(ports);
        let mut earlier = Self::default();
        if sockets.is_empty() {
            return earlier;
        }
        let mut left = sockets;
        for process in processes() {
            let mut holder = None;
            // Who holds a socket that several have is the first of them: the one that opened it
            // comes before its children.
            each_socket_of(&process, |inode| {
                if let Some(socket) = left.remove(&inode) {
                    let holder = holder.get_or_insert_with(|| Holder::of(&process, groups));
                    earlier.add(socket, *holder);
                }
            });
            if left.is_empty() {
                break;
            }
        }
        earlier
    }

    fn add(&mut self, socket: Socket, mut holder: Holder) {
        let owner = &mut holder.owner;
        if socket.serves {
            owner.role = role::SERVER;
        }
        let Some(remote) = socket.remote else {
            let address = socket.local;
            self.listeners.push(Listener { address, holder });
            return;
        };
        owner.key = key(socket.local, remote);
        let owners = self.connections.entry(owner.key).or_default();
        owners.push(*owner);
    }

    /// Whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.connections.is_empty()
    }

    /// Fills in who accepted a connection whose listening socket no hook has seen. Where several
    /// could have, nobody is named; where its control group was told, one of that.
    pub fn complete(&self, owner: &mut Owner) {
        if owner.pid != 0 || owner.role & role::SERVER == 0 {
            return;
        }
        let sides = [
            (owner.key.a, owner.key.a_port),
            (owner.key.b, owner.key.b_port),
        ];
        let mut holders = self
            .listeners
            .iter()
            .filter(|listener| sides.iter().any(|side| listener.takes(*side)))
            .map(|listener| listener.holder)
            .filter(|holder| owner.cgroup == 0 || holder.group == Some(owner.cgroup))
            .map(|holder| holder.owner);
        let Some(holder) = holders.next() else {
            return;
        };
        if holders.all(|other| other.pid == holder.pid) {
            (owner.pid, owner.uid, owner.name) = (holder.pid, holder.uid, holder.name);
            owner.held = holder.held;
        }
    }

    /// Who holds the ends of a connection that was open already. They are told once: as of the moment
    /// that its first packet is seen, since what is known of a connection that shows no packet is
    /// forgotten soon.
    pub fn take(&mut self, key: &FlowKey, seen: u64) -> Vec<Owner> {
        let mut owners = self.connections.remove(key).unwrap_or_default();
        for owner in &mut owners {
            owner.time = seen;
        }
        owners
    }
}

impl Holder {
    fn of(process: &Process, groups: Option<&Hierarchy>) -> Self {
        Self {
            owner: owner(process),
            group: groups.and_then(|groups| group(process, groups)),
        }
    }
}

impl Listener {
    /// Whether it may have accepted a connection to that address and port.
    fn takes(&self, (address, port): ([u32; 4], u16)) -> bool {
        self.address.port() == port
            && (self.address.ip().is_unspecified() || words(self.address.ip()) == address)
    }
}

/// All processes by their ids, first started first where those have not wrapped.
fn ids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut ids: Vec<i32> = ids.collect();
    ids.sort_unstable();
    ids
}

/// Those that may be looked at, in the same order. One is open at a time: a host has more of them than a process may
/// have files.
fn processes() -> impl Iterator<Item = Process> {
    ids().into_iter().filter_map(|id| Process::new(id).ok())
}

/// The sockets on these ports by inode, of every network namespace that has a process.
fn sockets(ports: &BTreeSet<u16>) -> HashMap<u64, Socket> {
    let mut namespaces = HashSet::new();
    let mut sockets = HashMap::new();
    for id in ids() {
        let Ok(namespace) = fs::metadata(format!("/proc/{id}/ns/net")) else {
            continue;
        };
        if namespaces.contains(&namespace.ino()) {
            continue;
        }
        let Ok(process) = Process::new(id) else {
            continue;
        };
        namespaces.insert(namespace.ino());
        let entries = [process.tcp(), process.tcp6()];
        let entries = entries.into_iter().flatten().flatten();
        sockets.extend(entries.filter_map(|entry| socket(&entry, ports)));
    }
    sockets
}

/// A socket that matters, with its inode. One without has been accepted by nobody or is closing.
fn socket(entry: &TcpNetEntry, ports: &BTreeSet<u16>) -> Option<(u64, Socket)> {
    let (local, remote) = (entry.local_address, entry.remote_address);
    let serves = ports.contains(&local.port());
    let remote = match entry.state {
        TcpState::Listen if serves => None,
        TcpState::Established | TcpState::CloseWait if serves || ports.contains(&remote.port()) => {
            Some(remote)
        }
        _ => return None,
    };
    let socket = Socket {
        local,
        remote,
        serves,
    };
    (entry.inode != 0).then_some((entry.inode, socket))
}

/// The id of a process's control group, by the hierarchy's directories.
fn group(process: &Process, groups: &Hierarchy) -> Option<u64> {
    let unified = process.cgroups().ok()?.0;
    let path = unified
        .into_iter()
        .find(|group| group.hierarchy == 0)?
        .pathname;
    let below = path.strip_prefix(groups.path())?.trim_start_matches('/');
    Some(fs::metadata(groups.point().join(below)).ok()?.ino())
}

/// What a hook would have said of this process: only which end it is, where ids are not those that
/// hooks tell.
fn owner(process: &Process) -> Owner {
    let mut owner = Owner {
        role: role::CLIENT,
        ..Owner::default()
    };
    if !has_the_hosts_pids() {
        return owner;
    }
    owner.pid = process.pid().cast_unsigned();
    owner.uid = process.uid().unwrap_or_default();
    // One that is gone meanwhile has none.
    let name = own_name(process).unwrap_or_default();
    for (to, from) in owner.name.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    owner.held = now();
    owner
}

fn key(local: SocketAddr, remote: SocketAddr) -> FlowKey {
    let (local_words, remote_words) = (words(local.ip()), words(remote.ip()));
    FlowKey::of(local_words, local.port(), remote_words, remote.port()).0
}

/// An address as a flow's key has it.
fn words(address: IpAddr) -> [u32; 4] {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_older_than_the_agent_have_their_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (_accepted, _) = listener.accept().unwrap();

        let mut earlier = Earlier::scan(&BTreeSet::from([address.port()]), None);

        let key = key(client.local_addr().unwrap(), address);
        let mut later = Owner {
            key,
            role: role::SERVER,
            ..Owner::default()
        };
        earlier.complete(&mut later);
        assert_eq!(later.pid, std::process::id());
        let roles: Vec<_> = earlier
            .take(&key, 77)
            .iter()
            .map(|owner| (owner.pid, owner.role, owner.time))
            .collect();
        assert_eq!(roles.len(), 2);
        assert!(roles.contains(&(std::process::id(), role::CLIENT, 77)));
        assert!(roles.contains(&(std::process::id(), role::SERVER, 77)));
        assert!(earlier.take(&key, 78).is_empty());
    }

    #[test]
    fn nobody_is_named_where_two_may_have_accepted() {
        let mut earlier = Earlier::default();
        let address: SocketAddr = "0.0.0.0:1433".parse().unwrap();
        for pid in [7, 8] {
            let owner = Owner {
                pid,
                ..Owner::default()
            };
            let holder = Holder {
                owner,
                group: Some(u64::from(pid)),
            };
            earlier.listeners.push(Listener { address, holder });
        }
        let key = key(
            "192.0.2.1:1433".parse().unwrap(),
            "192.0.2.2:40000".parse().unwrap(),
        );
        let mut owner = Owner {
            key,
            role: role::SERVER,
            ..Owner::default()
        };
        earlier.complete(&mut owner);
        assert_eq!(owner.pid, 0);
        let mut of_group = Owner { cgroup: 8, ..owner };
        earlier.complete(&mut of_group);
        assert_eq!(of_group.pid, 8, "its control group is known");
        earlier.listeners.pop();
        earlier.complete(&mut owner);
        assert_eq!(owner.pid, 7);
    }
}
