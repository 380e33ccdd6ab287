//! A process that has given up what it does not need tries all the same.

use std::{
    env, fs,
    fs::File,
    io::{self, Read as _, Seek as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use tracer::{
    confine::{
        Needs, Programs, Step, confine,
        user::{self, Choice, Reached},
        without,
    },
    probe::has_ring_buffer,
};

/// Set in the process that tries: the folder that it may write in.
const TRIES: &str = "TDS_TRACER_TEST_TRIES";

/// A folder of its own, gone with it.
struct Folder(PathBuf);

impl Folder {
    /// Tests run beside each other in one process.
    fn new(test: &str) -> Self {
        let name = format!("tds-tracer-confined-{}-{test}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(path.join("its own")).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs one of the tests below by itself, in a process of its own.
fn alone(test: &str) {
    let folder = Folder::new(test);
    let mut process = Command::new(env::current_exe().expect("this program"));
    process.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    let output = process.env(TRIES, &folder.0).output().expect("a process");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

fn is_held(steps: &[Step], what: &str) -> bool {
    steps
        .iter()
        .any(|step| step.what == what && step.held.is_ok())
}

/// This thread's account by the kernel, opened before it may not be any more.
struct Account(File);

impl Account {
    fn open() -> Self {
        Self(File::open("/proc/thread-self/status").expect("an account"))
    }

    fn line(&self, name: &str) -> String {
        let mut text = String::new();
        (&self.0).rewind().expect("the beginning");
        (&self.0).read_to_string(&mut text).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    }
}

/// `PTRACE_SEIZE` and `BPF_PROG_LOAD`, of `linux/ptrace.h` and `linux/bpf.h`.
const SEIZE: i64 = 0x4206;
const PROG_LOAD: i64 = 5;

fn parent() -> i32 {
    rustix::process::getppid().map_or(1, |parent| parent.as_raw_nonzero().get())
}

/// The error that a system call ends with.
fn refusal(call: libc::c_long, [first, second, third, fourth]: [i64; 4]) -> Option<i32> {
    // SAFETY: the calls that are tried get no address of this process, so whatever they do touches none of its memory.
    let ended = unsafe { libc::syscall(call, first, second, third, fourth) };
    (ended < 0).then(io::Error::last_os_error)?.raw_os_error()
}

/// What a thread does not get any more, whatever it needs.
fn tries_in_vain(steps: &[Step], account: &Account) {
    assert!(is_held(steps, "no_new_privs"), "{steps:?}");
    assert!(is_held(steps, "seccomp"), "{steps:?}");
    assert_eq!(account.line("NoNewPrivs:"), "1");
    assert_eq!(account.line("Seccomp:"), "2");
    let denied = |error: io::Error| error.raw_os_error() == Some(libc::EPERM);
    assert!(
        Command::new("/bin/true")
            .status()
            .is_err_and(|error| matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)))
    );
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        "/dev/null2",
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    );
    assert!(made.is_err_and(|error| denied(error.into())));
    for (call, arguments) in [
        (libc::SYS_ptrace, [SEIZE, i64::from(parent()), 0, 0]),
        (libc::SYS_bpf, [PROG_LOAD, 0, 0, 0]),
        (
            libc::SYS_socket,
            [i64::from(libc::AF_INET), i64::from(libc::SOCK_STREAM), 0, 0],
        ),
    ] {
        assert_eq!(refusal(call, arguments), Some(libc::EPERM), "{call}");
    }
    let kept = u64::from_str_radix(&account.line("CapEff:"), 16).expect("a set");
    let (perfmon, sys_admin) = (1 << 38, 1 << 21);
    assert_eq!(kept & (perfmon | sys_admin), 0, "{kept:x}");
    if is_held(steps, "bounding_set") {
        assert_eq!(account.line("CapBnd:"), "0000000000000000");
    }
}

#[test]
fn a_writer_writes_in_its_folder_and_reaches_nothing_else() {
    let Some(folder) = env::var_os(TRIES).map(PathBuf::from) else {
        return alone("a_writer_writes_in_its_folder_and_reaches_nothing_else");
    };
    let account = Account::open();
    let own = folder.join("its own");
    let needs = Needs {
        writes: vec![own.clone()],
        ..Needs::default()
    };
    let steps = confine(&needs);
    tries_in_vain(&steps, &account);
    assert_eq!(account.line("CapPrm:"), "0000000000000000");
    fs::write(own.join("events"), "one").expect("written");
    fs::rename(own.join("events"), own.join("events.1")).expect("moved");
    // What a thread gives up, those that it starts do not have.
    let from_a_thread = thread::spawn(move || fs::write(own.join("events"), "two"));
    from_a_thread.join().expect("an end").expect("written");
    if is_held(&steps, "landlock") {
        let elsewhere = fs::write(folder.join("elsewhere"), "three");
        assert!(elsewhere.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES)));
        assert!(File::open("/etc/passwd").is_err());
    }
    assert!(TcpListener::bind("127.0.0.1:0").is_err());
}

#[test]
fn who_sends_to_one_port_connects_to_no_other() {
    if env::var_os(TRIES).is_none() {
        return alone("who_sends_to_one_port_connects_to_no_other");
    }
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a listener");
    let [receiver, stranger] = [listen(), listen()];
    let place = |of: &TcpListener| of.local_addr().expect("an address");
    let steps = confine(&Needs {
        connects: vec![place(&receiver).port()],
        ..Needs::default()
    });
    assert!(is_held(&steps, "seccomp"), "{steps:?}");
    TcpStream::connect(place(&receiver)).expect("the receiver");
    if is_held(&steps, "landlock") {
        let connected = TcpStream::connect(place(&stranger));
        assert!(connected.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES)));
    }
}

#[test]
fn who_tells_processes_goes_on_seeing_them() {
    if env::var_os(TRIES).is_none() {
        return alone("who_tells_processes_goes_on_seeing_them");
    }
    let account = Account::open();
    let is_root = rustix::process::geteuid().is_root();
    // It ends with what it reads from.
    let mut strangers = Command::new("cat");
    strangers
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if is_root {
        // Nobody's.
        strangers.uid(65_534);
    }
    let mut stranger = strangers.spawn().expect("a process");
    let steps = confine(&Needs {
        programs: Programs::Interfaces,
        processes: true,
        reads: true,
        ..Needs::default()
    });
    let executable = fs::read_link(format!("/proc/{}/exe", stranger.id()));
    // It may not send a signal any more.
    let killed = stranger.kill();
    // Nor wait for it.
    drop(stranger.wait());
    tries_in_vain(&steps, &account);
    assert!(killed.is_err());
    executable.expect("an executable");
}

#[test]
fn who_was_root_and_goes_on_as_another_opens_none_of_roots_files() {
    if env::var_os(TRIES).is_none() {
        return alone("who_was_root_and_goes_on_as_another_opens_none_of_roots_files");
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: root only can go on as another");
        return;
    }
    // Root's, and ends with what it reads from.
    let mut roots = Command::new("cat");
    let mut roots = roots.stdin(Stdio::piped()).spawn().expect("a process");
    let place = format!("/proc/{}", roots.id());
    let tried = thread::spawn(move || {
        let account = Account::open();
        let open = |path: &str| File::open(path).map_err(|error| error.kind());
        let memory = format!("{place}/mem");
        let nobody = Choice::Named("nobody".to_owned());
        let user = user::change(&nobody, &Reached::default()).expect("another user");
        // What it starts with is there until it gives it up.
        let before = open("/etc/shadow").is_ok() && open(&memory).is_ok();
        let steps = confine(&Needs {
            processes: true,
            reads: true,
            ..Needs::default()
        });
        let executable = fs::read_link(format!("{place}/exe"));
        tries_in_vain(&steps, &account);
        let ids = account.line("Uid:");
        assert!(ids.split_whitespace().all(|id| id == "65534"), "{ids}");
        assert_eq!(account.line("Groups:"), "");
        executable.expect("root's executable");
        let after = [open("/etc/shadow"), open(&memory)];
        (user, before, after.map(Result::err))
    });
    let tried = tried.join();
    drop(roots.stdin.take());
    roots.wait().expect("its end");
    let (user, before, after) = tried.expect("an end");
    assert_eq!(user, Ok("nobody (65534)".to_owned()));
    assert!(before);
    assert_eq!(after, [Some(io::ErrorKind::PermissionDenied); 2]);
}

#[test]
fn who_asks_maps_or_attaches_makes_none_any_more() {
    if env::var_os(TRIES).is_none() {
        return alone("who_asks_maps_or_attaches_makes_none_any_more");
    }
    if has_ring_buffer() != Some(true) {
        println!("skipped: no map may be made here");
        return;
    }
    for programs in [Programs::Maps, Programs::Interfaces] {
        let needs = Needs {
            programs,
            ..Needs::default()
        };
        let tried = thread::spawn(move || (confine(&needs), has_ring_buffer()));
        let (steps, made) = tried.join().expect("an end");
        assert!(is_held(&steps, "seccomp"), "{steps:?}");
        assert_ne!(made, Some(true), "{programs:?}");
    }
}

#[test]
fn what_is_tried_without_capabilities_takes_none_from_whoever_tries() {
    let held = || rustix::thread::capabilities(None).expect("capabilities");
    let before = held();
    let there = without(|| held().permitted.is_empty());
    assert_eq!(there, Some(true));
    assert_eq!(held(), before);
}
