//! Ports that the processes of SQL Server listen on.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use procfs::{
    net::TcpState,
    process::{Process, all_processes},
};

use super::held::each_socket_of;

/// The file name of SQL Server's program.
const EXECUTABLE: &str = "sqlservr";

/// What they listen on, as far as `/proc` may be read.
pub fn sql_servers() -> Vec<SocketAddr> {
    let processes = all_processes().into_iter().flatten().flatten();
    let servers = processes.filter(is_sql_server);
    servers.flat_map(|process| listened(&process)).collect()
}

/// Whether the process with this id is SQL Server; `None` where that is not to be known.
pub fn is_sql_server_at(pid: u32) -> Option<bool> {
    let process = Process::new(pid.cast_signed()).ok()?;
    let executable = process.exe().ok()?;
    Some(is_named(&executable))
}

/// An address as a record has it; none where it means all of the host's.
pub fn named(address: IpAddr) -> Option<IpAddr> {
    (!address.is_unspecified()).then(|| address.to_canonical())
}

fn is_sql_server(process: &Process) -> bool {
    process.exe().is_ok_and(|executable| is_named(&executable))
}

fn is_named(executable: &Path) -> bool {
    // One that was replaced meanwhile has this behind its name.
    let name = executable.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(" (deleted)") == EXECUTABLE
}

fn listened(process: &Process) -> Vec<SocketAddr> {
    let mut held = HashSet::new();
    each_socket_of(process, |inode| {
        held.insert(inode);
    });
    let entries = [process.tcp(), process.tcp6()];
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.state == TcpState::Listen && held.contains(&entry.inode))
        .map(|entry| entry.local_address)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_process_is_sql_server_by_its_executable() {
        assert!(is_named(Path::new("/opt/mssql/bin/sqlservr")));
        assert!(is_named(Path::new("/opt/mssql/bin/sqlservr (deleted)")));
        assert!(!is_named(Path::new("/usr/bin/sqlservr-agent")));
        assert_eq!(is_sql_server_at(std::process::id()), Some(false));
    }

    #[test]
    fn what_a_process_listens_on_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let myself = Process::myself().unwrap();
        assert!(listened(&myself).contains(&address));
        assert_eq!(named("0.0.0.0".parse().unwrap()), None);
        assert_eq!(named(address.ip()), Some(address.ip()));
    }
}
