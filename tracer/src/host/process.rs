//! From a process id to what a person knows the process by.

use std::{
    cmp::Ordering,
    collections::HashMap,
    io::Read as _,
    sync::Arc,
    time::{Duration, Instant},
};

use procfs::process;
use tracer_ebpf::event::Owner;

use super::{
    cgroups::Cgroups,
    containers::{Containers, Place},
    hierarchy::Hierarchy,
    namespaces::has_the_hosts_pids,
};
use crate::record::{Process, Text};

/// Processes remembered; a busy host opens connections from a few again and again.
const MAX_KNOWN: usize = 4096;
/// How long an answer is good for. No host starts so many processes meanwhile that an id is used again.
const LIFETIME: Duration = Duration::from_secs(1);
const SECOND: u64 = 1_000_000_000;

/// Id, user, name and control group.
type Key = (u32, u32, [u8; 16], u64);

/// Processes by their keys.
#[derive(Debug)]
pub struct Processes {
    known: HashMap<Key, (Instant, Process)>,
    cgroups: Cgroups,
    containers: Containers,
    /// Whether a process's id is the one that `/proc` lists it by.
    has_hosts_pids: bool,
    /// Whether their executables are told, which `/proc` shows to few.
    executables: bool,
}

impl Processes {
    /// Those of this host, with paths in what is seen of its control groups, and with its containers' names.
    pub fn new(groups: Option<Arc<Hierarchy>>, containers: Containers) -> Self {
        Self {
            known: HashMap::new(),
            cgroups: Cgroups::of(groups),
            containers,
            has_hosts_pids: has_the_hosts_pids(),
            executables: true,
        }
    }

    /// The same, asked for no executable.
    #[must_use]
    pub fn without_executables(self) -> Self {
        Self {
            executables: false,
            ..self
        }
    }

    /// What is seen of its control groups.
    pub fn groups(&self) -> Option<&Hierarchy> {
        self.cgroups.hierarchy()
    }

    /// What cannot be told of any process here.
    pub fn shortfall(&self) -> Option<&'static str> {
        (!self.has_hosts_pids).then_some(
            "in another pid namespace than the host's: no executable, names are threads', and sockets older than the agent have no process",
        )
    }

    /// The process of a socket. One that is gone already keeps its id, name and control group.
    pub fn of(&mut self, owner: &Owner) -> Process {
        let key = (owner.pid, owner.uid, owner.name, owner.cgroup);
        let now = Instant::now();
        if let Some((since, process)) = self.known.get(&key)
            && now.duration_since(*since) < LIFETIME
        {
            return process.clone();
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let process = self.look_up(owner);
        self.known.insert(key, (now, process.clone()));
        process
    }

    fn look_up(&mut self, owner: &Owner) -> Process {
        let mut process = told(owner);
        // The path that names a container.
        let mut inside = None;
        if self.has_hosts_pids
            && let Some(listed) = listed(owner)
        {
            inside = complete(&mut process, &listed, self.executables);
        }
        if owner.cgroup != 0 && (process.cgroup.is_none() || self.cgroups.knows_better()) {
            // At the root it may be only because another hierarchy holds it (cgroups(7)).
            let is_roots = process.cgroup.is_some() && inside.is_none();
            let path = self.cgroups.path(owner.cgroup);
            let path = path.filter(|path| *path != "/" || is_roots);
            let names = |path: &&str| Place::of(path).is_some();
            inside = path.filter(names).map(str::to_owned).or(inside);
            process.cgroup = path.map(Text::from).or(process.cgroup);
        }
        if let Some(place) = inside.as_deref().and_then(Place::of) {
            self.containers.name(&mut process, &place);
        }
        process
    }
}

/// What the hook told.
fn told(owner: &Owner) -> Process {
    let name = name(owner);
    Process {
        pid: owner.pid,
        // Of a socket without a process nobody told a user either.
        uid: (owner.pid != 0).then_some(owner.uid),
        name: (!name.is_empty()).then(|| Text::from(name.as_str())),
        ..Process::default()
    }
}

fn name(owner: &Owner) -> String {
    let end = owner.name.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&owner.name[..end.unwrap_or(owner.name.len())]).into_owned()
}

/// The very process that held the socket, if it is still there. All that is asked of it afterwards is
/// asked by one handle, which goes dead with it, whoever has its id then.
///
/// What tells it from one that has the same id later is when it started: the hook ran in it, so it had
/// started then, and whoever has its id now and had started then is it. The clock of
/// `/proc` stands still for some milliseconds, and only for one that started within
/// the very same is the name asked as well. It is no good otherwise: a thread's, of
/// which there may be many and which may be gone, and a program may change its own.
fn listed(owner: &Owner) -> Option<process::Process> {
    if owner.pid == 0 {
        return None;
    }
    let process = process::Process::new(owner.pid.cast_signed()).ok()?;
    let started = process.stat().ok()?.starttime;
    let held = owner.held / (SECOND / procfs::ticks_per_second());
    let is_it = match started.cmp(&held) {
        Ordering::Less => true,
        Ordering::Equal => has_thread(&process, &name(owner)),
        Ordering::Greater => false,
    };
    is_it.then_some(process)
}

fn has_thread(process: &process::Process, name: &str) -> bool {
    let threads = process.tasks().into_iter().flatten().flatten();
    threads
        .filter_map(|thread| thread.stat().ok())
        .any(|thread| thread.comm == name)
}

/// Adds what `/proc` knows; the path that names the container that it is in.
fn complete(process: &mut Process, listed: &process::Process, executables: bool) -> Option<String> {
    // The hook was told the name of the thread that it interrupted.
    if let Some(name) = own_name(listed) {
        process.name = Some(Text::from(name));
    }
    if executables && let Ok(path) = listed.exe() {
        process.executable = Some(Text::from(&*path.to_string_lossy()));
    }
    let groups = text(listed, "cgroup")?;
    process.cgroup = path(&groups).map(Text::from);
    let inside = paths(&groups).find(|path| Place::of(path).is_some());
    inside.map(str::to_owned)
}

/// What a process calls itself, unless it is gone.
pub(crate) fn own_name(listed: &process::Process) -> Option<String> {
    Some(text(listed, "comm")?.trim_end().to_owned())
}

fn text(listed: &process::Process, file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut file = listed.open_relative(file).ok()?;
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The path in the unified hierarchy (the line without controllers, cgroups(7)); where the process
/// is at its root, the first path of another that names a container.
fn path(groups: &str) -> Option<&str> {
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let mut others = paths(groups);
    match unified {
        Some(path) if path != "/" => Some(path),
        _ => others.find(|path| Place::of(path).is_some()).or(unified),
    }
}

/// The paths in all hierarchies.
fn paths(groups: &str) -> impl Iterator<Item = &str> {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_several_hierarchies_hold_a_process_its_container_is_found_in_any() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!("/docker/{id}");
        for (groups, expected) in [
            (format!("4:memory:{docker}\n0::/\n"), &*docker),
            (format!("4:memory:/\n0::{docker}\n"), &docker),
            (format!("4:memory:{docker}\n0::/a\n"), "/a"),
            ("4:memory:/b\n0::/\n".to_owned(), "/"),
        ] {
            assert_eq!(path(&groups), Some(expected), "{groups}");
        }
    }

    /// As on a host, wherever this runs.
    fn processes() -> Processes {
        Processes {
            has_hosts_pids: true,
            ..Processes::new(None, Containers::under("/".into(), None))
        }
    }

    /// This process, by its thread that has a name.
    fn owner(name: &str, held: u64) -> Owner {
        let mut owner = Owner {
            pid: std::process::id(),
            held,
            ..Owner::default()
        };
        owner.name[..name.len()].copy_from_slice(name.as_bytes());
        owner
    }

    #[test]
    fn a_process_that_is_gone_keeps_its_id_user_and_name() {
        let owner = Owner {
            pid: i32::MAX.cast_unsigned(),
            uid: 1000,
            ..owner("tsql", 1)
        };
        let process = processes().of(&owner);
        assert_eq!((process.pid, process.uid), (owner.pid, Some(1000)));
        assert_eq!(process.name.as_deref(), Some("tsql"));
        assert_eq!(process.executable, None);
    }

    #[test]
    fn a_socket_whose_process_is_not_known_has_no_user() {
        let process = processes().of(&Owner::default());
        assert_eq!(process.uid, None);
    }

    #[test]
    fn this_process_has_an_executable_and_no_threads_name() {
        let process = processes().of(&owner("worker", u64::MAX));
        assert!(process.executable.is_some());
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(process.name.as_deref(), Some(own.trim_end()));
    }

    #[test]
    fn without_executables_a_process_has_the_rest_of_what_is_known() {
        let mut processes = processes().without_executables();
        let process = processes.of(&owner("worker", u64::MAX));
        assert_eq!(process.executable, None);
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(process.name.as_deref(), Some(own.trim_end()));
        assert!(process.cgroup.is_some());
    }

    #[test]
    fn one_that_started_later_is_another_and_one_of_the_same_tick_needs_a_threads_name() {
        let tick = SECOND / procfs::ticks_per_second();
        let started = process::Process::myself().unwrap().stat().unwrap();
        let start = started.starttime * tick;
        for (name, held, is_it) in [
            ("worker", start - 1, false),
            (&*started.comm, start - 1, false),
            (&*started.comm, start, true),
            ("worker", start + tick - 1, false),
            ("worker", start + tick, true),
        ] {
            let process = processes().of(&owner(name, held));
            assert_eq!(process.executable.is_some(), is_it, "{name} {held}");
            let is_hooks = process.name.as_deref() == Some(name);
            assert_eq!(is_hooks, name != "worker" || !is_it, "{name} {held}");
        }
    }

    #[test]
    fn nothing_is_asked_by_an_id_of_another_namespace() {
        let mut processes = Processes {
            has_hosts_pids: false,
            ..processes()
        };
        let process = processes.of(&owner("worker", u64::MAX));
        assert_eq!(process.name.as_deref(), Some("worker"));
        assert_eq!((process.executable, process.cgroup), (None, None));
        assert!(processes.shortfall().is_some());
    }
}
