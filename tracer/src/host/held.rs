//! The sockets that a process holds, as `/proc/PID/fd` shows them.

use std::mem::MaybeUninit;

use procfs::process::Process;
use rustix::fs::{RawDir, readlinkat_raw};

/// Bytes read of the folder at a time: some three hundred descriptors.
const AT_A_TIME: usize = 8 << 10;
/// No socket is called by more bytes than that: `socket:[` INODE `]` (proc(5)).
const LONGEST: usize = 32;

/// Tells the inodes of all of them, with one system call for each descriptor: hosts have hundreds of thousands.
pub(super) fn each_socket_of(process: &Process, mut tell: impl FnMut(u64)) {
    let Ok(folder) = process.open_relative("fd") else {
        return;
    };
    let mut entries = [const { MaybeUninit::uninit() }; AT_A_TIME];
    let mut entries = RawDir::new(&folder, &mut entries);
    while let Some(Ok(entry)) = entries.next() {
        let mut called = [0; LONGEST];
        // Of one that is closed meanwhile nothing is said.
        let length = readlinkat_raw(&folder, entry.file_name(), &mut called);
        let inode = length.ok().and_then(|length| inode(&called[..length]));
        if let Some(inode) = inode {
            tell(inode);
        }
    }
}

/// The inode in what a descriptor is called, if it is a socket's.
fn inode(called: &[u8]) -> Option<u64> {
    let number = called.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, os::fd::AsRawFd as _};

    use super::*;

    #[test]
    fn a_socket_is_told_by_its_inode_and_nothing_else_is() {
        assert_eq!(inode(b"socket:[4711]"), Some(4711));
        let longest = format!("socket:[{}]", u64::MAX);
        assert_eq!(inode(longest.as_bytes()), Some(u64::MAX));
        assert!(longest.len() <= LONGEST);
        for other in ["", "/tmp/socket:[1]", "socket:[1", "socket:[]", "pipe:[1]"] {
            assert_eq!(inode(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn all_sockets_of_a_process_are_told_however_many_there_are() {
        let sockets: Vec<_> = (0..AT_A_TIME / 24)
            .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
            .collect();
        let mut told = Vec::new();
        let myself = Process::myself().unwrap();
        each_socket_of(&myself, |inode| told.push(inode));
        for socket in sockets {
            let called = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
            let called = called.unwrap().into_os_string().into_string().unwrap();
            let expected = inode(called.as_bytes()).unwrap();
            assert!(told.contains(&expected), "{called}");
        }
    }
}
