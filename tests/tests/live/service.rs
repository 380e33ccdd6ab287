//! The agent as a service: what its manager is told, and what it has given up.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;
use serde_json::Value;

use crate::life::{LIMIT, wait_until};

const ADDRESS: &str = "127.0.0.1:1433";

/// A service manager's ear, gone with it.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new() -> Self {
        let name = format!("tdst-{}-notify", std::process::id());
        let path = std::env::temp_dir().join(name);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self { socket, path }
    }

    /// Listens until a word is said.
    fn hears(&self, word: &str) {
        let mut heard = [0; 256];
        loop {
            let length = self.socket.recv(&mut heard).expect(word);
            if String::from_utf8_lossy(&heard[..length]).contains(word) {
                return;
            }
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

#[test]
fn its_manager_is_told_what_it_does_and_that_it_is_alive() {
    root_or_skip!("its manager is told what it does and that it is alive");
    let host = Namespace::new("l").unwrap();
    let manager = Manager::new();
    let mut command = host.command(program("tds-tracer").unwrap());
    command
        .args(["run", "--cgroup", &host.group()])
        .env("NOTIFY_SOCKET", &manager.path)
        .env("WATCHDOG_USEC", "1000000");
    let agent = Agent::start_by(&mut command).unwrap();
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    let pid = agent.pid().to_string();
    let told = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(told.success());
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    assert!(agent.stop().unwrap().success);
    manager.hears("STOPPING=1");
}

/// What the kernel says of a thread.
fn account(thread: &str, name: &str) -> String {
    let text = fs::read_to_string(thread).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().to_owned()
}

#[test]
fn at_work_none_of_its_threads_has_what_it_does_not_need() {
    root_or_skip!("at work none of its threads has what it does not need");
    let host = Namespace::new("l").unwrap();
    let state = std::env::temp_dir().join(format!("tdst-{}-confined", std::process::id()));
    let far = format!(
        "kind=socket,address=tcp://127.0.0.1:9,spool={}",
        state.display()
    );
    let sinks = ["--sink", "kind=stdout", "--sink", &far];
    let agent = Agent::start(&host, &[&["--metrics", "9433"][..], &sinks].concat()).unwrap();
    let tasks = format!("/proc/{}/task", agent.pid());
    let threads = || {
        let threads = fs::read_dir(&tasks)
            .unwrap()
            .map(|thread| thread.unwrap().path());
        threads
            .map(|thread| thread.join("status").display().to_string())
            .collect::<Vec<_>>()
    };
    let is_confined = |thread: &String| account(thread, "Seccomp:") == "2";
    wait_until("every thread to give up", || {
        threads().iter().all(is_confined)
    });
    // CAP_SYS_PTRACE, on older kernels CAP_BPF; and CAP_SYS_ADMIN where network namespaces are entered.
    let needed: u64 = 1 << 19 | 1 << 39;
    let names: Vec<_> = threads()
        .iter()
        .map(|thread| account(thread, "Name:"))
        .collect();
    for name in ["metrics", "namespaces", "courier"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    for thread in threads() {
        let enters = account(&thread, "Name:") == "namespaces";
        let needed = if enters { 1 << 21 } else { needed };
        let kept = u64::from_str_radix(&account(&thread, "CapPrm:"), 16).unwrap();
        assert_eq!(kept & !needed, 0, "{thread}: {kept:x}");
        assert_eq!(account(&thread, "NoNewPrivs:"), "1", "{thread}");
    }
    assert!(agent.stop().unwrap().success);
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn without_executables_it_gives_up_looking_into_processes_and_still_names_them() {
    root_or_skip!("without executables it gives up looking into processes and still names them");
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut agent = Agent::start(&host, &["--executable", "off"]).unwrap();
    let status = format!("/proc/{}/status", agent.pid());
    wait_until("it to give up", || account(&status, "Seccomp:") == "2");
    // At most CAP_BPF, on older kernels.
    let kept = u64::from_str_radix(&account(&status, "CapPrm:"), 16).unwrap();
    assert_eq!(kept & !(1 << 39), 0, "{kept:x}");
    let mut client = host.command(program("raw-client").unwrap());
    client.args([ADDRESS, "--send", "prelogin", "--read"]);
    let (status, told) = run(&mut client, "", LIMIT).unwrap();
    assert!(status.success(), "{told}");
    let login = agent.wait_for("login", 1, LIMIT).unwrap().remove(0);
    let process = &login["process"];
    assert!(process["name"].is_string(), "{login:#}");
    assert!(process["cgroup"].is_string(), "{login:#}");
    assert!(process["executable"].is_null(), "{login:#}");
    assert!(agent.stop().unwrap().success);
}

#[test]
fn as_another_user_than_root_it_tells_what_roots_processes_run() {
    root_or_skip!("as another user than root it tells what root's processes run");
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut agent = Agent::start(&host, &["--user", "nobody", "--metrics", "9433"]).unwrap();
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    for thread in tasks {
        let status = thread.unwrap().path().join("status");
        let ids = account(&status.display().to_string(), "Uid:");
        assert!(ids.split_whitespace().all(|id| id == "65534"), "{ids}");
    }
    let mut client = host.command(program("raw-client").unwrap());
    client.args([ADDRESS, "--send", "prelogin", "--read"]);
    let (status, told) = run(&mut client, "", LIMIT).unwrap();
    assert!(status.success(), "{told}");
    let login = agent.wait_for("login", 1, LIMIT).unwrap().remove(0);
    let executable = login["process"]["executable"].as_str().unwrap_or_default();
    assert!(executable.ends_with("/raw-client"), "{login:#}");
    assert!(agent.stop().unwrap().success);
}

/// The packages' user, whom this host has in a mount namespace only, and a number that nobody else has.
const USER: u32 = 64_123;
const WITH_USER: &str = r#"mount --bind "$USERS" /etc/passwd && exec "$@""#;

/// A folder of somebody's, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn of(user: u32, name: &str) -> Self {
        let name = format!("tdst-{}-{name}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        chown(&folder.0, Some(user), Some(user)).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn started_by_root_it_goes_on_as_the_packages_user_where_that_may_write_what_it_writes() {
    root_or_skip!(
        "started by root it goes on as the packages' user where that may write what it writes"
    );
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let users = Folder::of(0, "users");
    let list = users.0.join("passwd");
    let user = format!("tds-tracer:x:{USER}:{USER}::/nonexistent:/usr/sbin/nologin\n");
    fs::write(&list, user + &fs::read_to_string("/etc/passwd").unwrap()).unwrap();
    for (owner, name, expected) in [(USER, "its", USER), (0, "roots", 0)] {
        let folder = Folder::of(owner, name);
        let lines = folder.0.join("lines");
        let mut command = host.command("unshare");
        command.args(["--mount", "sh", "-c", WITH_USER, "sh"]);
        command.arg(program("tds-tracer").unwrap());
        command.args(["run", "--source", "sockets", "--cgroup", &host.group()]);
        command.args(["--sink", "kind=stdout", "--sink"]);
        command.arg(format!("kind=file,path={}", lines.display()));
        command.arg("--state").arg(&folder.0).env("USERS", &list);
        let mut agent = Agent::start_by(&mut command).unwrap();
        for thread in fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap() {
            let status = thread.unwrap().path().join("status");
            for ids in ["Uid:", "Gid:"] {
                let ids = account(&status.display().to_string(), ids);
                let is_it = |id: &str| id.parse() == Ok(expected);
                assert!(ids.split_whitespace().all(is_it), "{name}: {ids}");
            }
        }
        let mut client = host.command(program("raw-client").unwrap());
        client.args([ADDRESS, "--send", "prelogin", "--read"]);
        let (status, told) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{told}");
        agent.wait_for("login", 1, LIMIT).unwrap();
        assert!(agent.stop().unwrap().success);
        let written = fs::read_to_string(&lines).unwrap();
        assert!(written.contains(r#""event":"login""#), "{written}");
        let made: Vec<_> = fs::read_dir(&folder.0).unwrap().flatten().collect();
        assert!(made.len() > 1, "what is usual is kept too: {made:?}");
        for file in made {
            let found = file.metadata().unwrap();
            assert_eq!((found.uid(), found.gid()), (expected, expected), "{file:?}");
        }
    }
}

#[test]
fn at_interfaces_it_keeps_what_attaching_to_those_that_come_takes() {
    root_or_skip!("at interfaces it keeps what attaching to those that come takes");
    let host = Namespace::new("l").unwrap();
    let options = [&AT_INTERFACES[..], &["--executable", "off"]].concat();
    let mut agent = Agent::start(&host, &options).unwrap();
    let status = format!("/proc/{}/status", agent.pid());
    wait_until("it to give up", || account(&status, "Seccomp:") == "2");
    // CAP_NET_ADMIN and CAP_BPF.
    let kept = u64::from_str_radix(&account(&status, "CapPrm:"), 16).unwrap();
    assert_eq!(kept, 1 << 12 | 1 << 39, "{kept:x}");
    let late = [
        "link", "add", "late0", "type", "veth", "peer", "name", "late1",
    ];
    host.ip(&late).unwrap();
    host.ip(&["link", "set", "late0", "up"]).unwrap();
    let is_late = |event: &&Value| event["agent"]["interface"] == "late0";
    let watched = agent.wait(LIMIT, |events| {
        of(events, "agent").iter().any(|event| is_late(&event))
    });
    assert!(watched.unwrap());
    assert!(agent.stop().unwrap().success);
}
