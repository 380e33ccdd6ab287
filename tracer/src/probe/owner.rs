//! From a process id to what a person knows the process by: its executable and its container.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// Processes remembered; a process id may be used again, so none is remembered for long.
const REMEMBERED: usize = 1024;

/// A process, as far as `/proc` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// The path of its executable.
    pub executable: Option<PathBuf>,
    /// Its cgroup's path.
    pub cgroup: Option<String>,
    /// The container that the cgroup's path names.
    pub container_id: Option<String>,
}

/// Looks processes up, once each.
#[derive(Debug, Default)]
pub struct Processes {
    known: BTreeMap<(u32, u64), Process>,
}

impl Processes {
    /// The process `pid` in the cgroup of that id, which tells a process id used again from the
    /// one before in most cases. Empty where the process is gone already.
    pub fn find(&mut self, pid: u32, cgroup: u64) -> &Process {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known
            .entry((pid, cgroup))
            .or_insert_with(|| Process::read(pid))
    }
}

impl Process {
    fn read(pid: u32) -> Self {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .ok()
            .and_then(|text| cgroup_path(&text));
        Self {
            executable: fs::read_link(format!("/proc/{pid}/exe")).ok(),
            container_id: cgroup.as_deref().and_then(container_id),
            cgroup,
        }
    }
}

/// The cgroup v2 path; where there is none, the first that names a container.
fn cgroup_path(text: &str) -> Option<String> {
    let mut paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    let path = match unified {
        Some(path) if path != "/" => Some(path),
        _ => paths.find(|path| container_id(path).is_some()).or(unified),
    };
    path.map(str::to_owned)
}

/// The 64 hexadecimal digits by which Docker, containerd, CRI-O and Podman name a container in its
/// cgroup's path.
fn container_id(path: &str) -> Option<String> {
    path.rsplit('/').find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit(['-', ':']).next()?;
        let hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (id.len() == 64 && hexadecimal).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods/besteffort/pod1/{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container_id(&path).as_ref(), Some(&id), "{path}");
        }
        assert_eq!(container_id("/system.slice/mssql-server.service"), None);
    }

    #[test]
    fn the_unified_path_goes_before_the_others() {
        let text = "3:cpu:/a\n0::/system.slice/mssql.service\n";
        assert_eq!(
            cgroup_path(text).as_deref(),
            Some("/system.slice/mssql.service")
        );
    }

    #[test]
    fn this_process_has_an_executable() {
        let mut processes = Processes::default();
        let own = processes.find(std::process::id(), 0);
        assert_eq!(own.executable, std::env::current_exe().ok());
    }
}
