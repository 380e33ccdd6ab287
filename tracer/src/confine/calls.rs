//! The system calls that are made (seccomp(2)). Any other is answered with EPERM, as one that is not allowed is.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use super::{Needs, Programs};

/// Memory, threads, time and ends.
const PROCESS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
];

/// Files, and what is waited for.
const FILES: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_ioctl,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pselect6,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Sockets, to the kernel and to the service manager.
const KERNEL: &[c_long] = &[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];

/// Of socket(2) the families of those: to other processes of this host, and to the kernel.
const HERE: &[u64] = &[libc::AF_UNIX as u64, libc::AF_NETLINK as u64];

/// Those that reach other hosts.
const ELSEWHERE: &[u64] = &[libc::AF_INET as u64, libc::AF_INET6 as u64];

/// Of bpf(2) what looks into maps and changes what is in them: look up, update, delete, next key, look up and delete
/// (`enum bpf_cmd` of `linux/bpf.h`).
const MAPS: &[u64] = &[1, 2, 3, 4, 21];

/// Of bpf(2) what attaches programs that are loaded: attach, detach, object's information, query, and a link's making,
/// change and end.
const ATTACHING: &[u64] = &[8, 9, 15, 16, 28, 29, 34];

/// Taking connections, where that is asked for.
const ANSWERS: &[c_long] = &[libc::SYS_accept4];

/// Entering namespaces, likewise.
const NAMESPACES: &[c_long] = &[libc::SYS_setns];

/// What older processors' tables have beside those.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// This thread, and those that it starts, make no other calls.
pub(super) fn restrict(needs: &Needs) -> Result<String, String> {
    let answers = if needs.answers { ANSWERS } else { &[] };
    let namespaces = if needs.namespaces { NAMESPACES } else { &[] };
    let (commands, bpf) = match needs.programs {
        Programs::None => (Vec::new(), ""),
        Programs::Maps | Programs::GuardedMaps => (MAPS.to_vec(), "; bpf(2) for maps only"),
        Programs::Interfaces => (
            [MAPS, ATTACHING].concat(),
            "; bpf(2) for maps and for attaching only",
        ),
    };
    let (families, sockets) = if needs.resolves || !needs.connects.is_empty() {
        ([HERE, ELSEWHERE].concat(), "")
    } else {
        (HERE.to_vec(), "; no socket to another host")
    };
    let allowed = [PROCESS, FILES, KERNEL, OLDER, answers, namespaces].concat();
    let of_some = [(libc::SYS_bpf, commands), (libc::SYS_socket, families)];
    let filter = filter(&allowed, &of_some).map_err(|error| error.to_string())?;
    apply_filter(&filter).map_err(|error| error.to_string())?;
    let partly = of_some.iter().filter(|(_, first)| !first.is_empty());
    let count = allowed.len() + partly.count();
    Ok(format!("{count} system calls, and no other{bpf}{sockets}"))
}

/// Allows these calls, and others with these first arguments.
fn filter(
    allowed: &[c_long],
    of_some: &[(c_long, Vec<u64>)],
) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<_, _> = allowed.iter().map(|call| (*call, Vec::new())).collect();
    let is = |&argument: &u64| {
        let (first, word, equal) = (0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompRule::new(vec![SeccompCondition::new(first, word, equal, argument)?])
    };
    // Without a rule of its own a call is allowed whatever its arguments are.
    for (call, arguments) in of_some.iter().filter(|(_, some)| !some.is_empty()) {
        rules.insert(*call, arguments.iter().map(is).collect::<Result<_, _>>()?);
    }
    SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}
