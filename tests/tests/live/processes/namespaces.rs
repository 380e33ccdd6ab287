//! An agent that does not share all of the host's namespaces, as in a container: it sees the sockets of
//! all the host or says that it does not, and never names the wrong process.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::group::Group;
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;
use serde_json::Value;

use crate::run::alone;

/// A port of their own: an agent in a container sees the sockets of other tests too.
const ADDRESS: &str = "127.0.0.1:24331";
const RUN: [&str; 3] = ["run", "--port", "24331"];
const LIMIT: Duration = Duration::from_mins(1);
/// Leaves no control groups in sight.
const NO_GROUPS: &str = "umount -l -R /sys/fs/cgroup";
/// The control groups as a container has them: from its own down.
const OWN_GROUPS: &str = "umount -l -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";
const CONTAINER: &[&str] = &[
    "--cgroup",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child=TERM",
];

/// `tds-tracer` in a control group, in namespaces that `unshare` makes, after `setup` in there.
fn inside(host: &Namespace, group: &Group, namespaces: &[&str], setup: &str) -> Command {
    let line = format!(
        r#"{} && exec unshare {} bash -c '{setup} && exec "$0" "$@"' "$0" "$@""#,
        group.enter(),
        namespaces.join(" ")
    );
    let mut command = host.command("bash");
    command
        .args(["-c", &line])
        .arg(program("tds-tracer").unwrap());
    command
}

/// A login tried by a client, whose line in a shell may begin with something else.
fn client(host: &Namespace, first: &str) -> Child {
    let client = program("raw-client").unwrap();
    let line = format!(
        "read && {first} && exec {} {ADDRESS} --send prelogin --read",
        client.display()
    );
    let mut command = host.command("bash");
    command.args(["-c", &line]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Lets a client go on to its end; its process id.
fn finish(mut client: Child) -> u32 {
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    assert!(client.wait().unwrap().success());
    client.id()
}

/// What an agent says of the last of so many logins.
fn login(agent: &mut Agent, count: usize) -> Value {
    let logins = agent.wait_for("login", count, LIMIT).unwrap();
    assert_eq!(logins.len(), count, "{:#?}", agent.events().unwrap());
    logins[count - 1].clone()
}

/// What an agent says that it cannot tell of processes.
fn shortfalls(agent: &mut Agent) -> Vec<String> {
    let events = of(&agent.events().unwrap(), "agent");
    let less = events.iter().map(|event| &event["agent"]);
    let less = less.filter(|agent| agent["action"] == "degraded" && agent["reason"] == "process");
    less.map(|agent| agent["detail"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether an agent that was left the choice sees packets at sockets; why not, where it says so.
fn sees_sockets(agent: &mut Agent) -> (bool, Option<String>) {
    let events = of(&agent.events().unwrap(), "agent");
    let lines = events.iter().map(|event| &event["agent"]);
    let of_action = |action: &str| {
        lines
            .clone()
            .filter(|line| line["action"] == action)
            .collect()
    };
    let starts: Vec<_> = of_action("start");
    let lacks: Vec<_> = of_action("degraded");
    let instead = lacks.iter().find(|line| line["reason"] == "sockets");
    let why = instead.map(|line| line["detail"].as_str().unwrap().to_owned());
    (starts[0]["hooks"][0] == "cgroup_skb", why)
}

/// The process in the container's own namespace whose id is 1: the agent.
fn first(agent: &Agent) -> String {
    let pid = agent.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().to_owned()
}

fn assert_told(login: &Value, pid: u32, group: &Group) {
    let process = &login["process"];
    assert_eq!(process["pid"], pid, "{login:#}");
    assert_eq!(process["uid"], 0, "{login:#}");
    assert_eq!(process["name"], "raw-client", "{login:#}");
    assert_eq!(process["cgroup"], *group.path().unwrap(), "{login:#}");
    assert_eq!(process["container_id"], *group.container(), "{login:#}");
    assert_eq!(login["connection"]["vantage"], "both", "{login:#}");
}

#[test]
fn in_a_container_the_hosts_root_that_is_mounted_in_is_where_it_looks() {
    root_or_skip!("in a container the host's root that is mounted in is where it looks");
    let _alone = alone();
    let (own, theirs) = (Group::new().unwrap(), Group::new().unwrap());
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let setup = format!(
        "mount -t tmpfs none /mnt && mkdir /mnt/host && mount --bind {} /mnt/host && {OWN_GROUPS}",
        own.root().display()
    );
    let mut command = inside(&host, &own, CONTAINER, &setup);
    let mut agent = Agent::start_by(command.args(RUN)).unwrap();
    assert_eq!(sees_sockets(&mut agent), (true, None));
    let client = client(&host, &theirs.enter());
    // In the container its id is another's.
    let line = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid && sleep 1000 & sleep 1000",
        client.id() - 1
    );
    let mut decoy = Command::new("nsenter");
    decoy.args(["--target", &first(&agent), "--mount", "--pid", "--"]);
    let mut decoy = decoy.args(["bash", "-c", &line]).spawn().unwrap();
    let listed = format!("/proc/{}/root/proc/{}/comm", first(&agent), client.id());
    let end = Instant::now() + LIMIT;
    while !fs::read_to_string(&listed).is_ok_and(|name| name == "sleep\n") {
        assert!(Instant::now() < end, "no decoy within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = finish(client);
    let login = login(&mut agent, 1);
    assert_told(&login, pid, &theirs);
    assert!(login["process"]["executable"].is_null(), "{login:#}");
    let shortfalls = shortfalls(&mut agent);
    assert_eq!(shortfalls.len(), 1, "{shortfalls:?}");
    assert!(shortfalls[0].contains("pid namespace"), "{shortfalls:?}");
    decoy.kill().unwrap();
    decoy.wait().unwrap();
}

#[test]
fn in_a_container_without_the_hosts_root_it_says_what_it_does_not_see() {
    root_or_skip!("in a container without the host's root it says what it does not see");
    let _alone = alone();
    let (own, theirs) = (Group::new().unwrap(), Group::new().unwrap());
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    // Where nothing is mounted, what it mounts itself is no more.
    for setup in [OWN_GROUPS, NO_GROUPS] {
        let mut command = inside(&host, &own, CONTAINER, setup);
        let mut agent = Agent::start_by(command.args(RUN)).unwrap();
        let (sockets, why) = sees_sockets(&mut agent);
        assert!(!sockets);
        assert!(why.unwrap().contains("this container's control group"));
        finish(client(&host, &theirs.enter()));
        let outside = login(&mut agent, 1);
        assert!(outside["process"].is_null(), "{outside:#}");
        let pid = finish(client(&host, &own.enter()));
        let login = login(&mut agent, 2);
        assert_eq!(login["process"]["pid"], pid, "{login:#}");
        let shortfalls = shortfalls(&mut agent);
        let says = |what| shortfalls.iter().any(|told| told.contains(what));
        assert_eq!(shortfalls.len(), 2, "{shortfalls:?}");
        assert!(
            says("sees only the sockets of this container's control group"),
            "{shortfalls:?}"
        );
        assert!(says("pid namespace"), "{shortfalls:?}");

        let mut command = inside(&host, &own, CONTAINER, setup);
        let (status, text) = run(command.arg("doctor"), "", LIMIT).unwrap();
        assert_eq!(status.code(), Some(0), "{text}");
        for less in ["cgroup v2", "pid namespace", "process"] {
            assert!(verdict(&text, less).starts_with("less"), "{less}: {text}");
        }
    }
}

/// Connects, and sends a PRELOGIN once somebody writes to a FIFO.
const OLDER: &str = r#"
exec 3<>/dev/tcp/127.0.0.1/24331
read < "$FIFO"
printf '\x12\x01\0\x1a\0\0\0\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\0\0\0\0\0' >&3
read -n 1 <&3"#;

#[test]
fn a_connection_older_than_a_containers_agent_has_no_process_by_an_id_of_the_containers() {
    root_or_skip!(
        "a connection older than a container's agent has no process by an id of the container's"
    );
    let _alone = alone();
    let own = Group::new().unwrap();
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let fifo = std::env::temp_dir().join(format!("tdst-{}-older", std::process::id()));
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let setup = format!(
        r#"{OWN_GROUPS} && (bash -c "$CLIENT" &) && until grep -q "0100007F:5F0B 01 " /proc/net/tcp; do sleep 0.01; done"#
    );
    let mut command = inside(&host, &own, CONTAINER, &setup);
    command.args(RUN).env("CLIENT", OLDER).env("FIFO", &fifo);
    let mut agent = Agent::start_by(&mut command).unwrap();
    fs::write(&fifo, "\n").unwrap();
    let closes = agent.wait_for("close", 1, LIMIT).unwrap();
    fs::remove_file(&fifo).unwrap();
    let close = closes.first().unwrap_or_else(|| panic!("no close"));
    let connection = &close["connection"];
    assert_eq!(connection["partial_reasons"][0], "joined_late", "{close:#}");
    assert_eq!(connection["vantage"], "client", "{close:#}");
    assert!(close["process"].is_null(), "{close:#}");
}

/// The line of `doctor` about something.
fn verdict<'a>(text: &'a str, what: &str) -> &'a str {
    let about = |line: &&str| line.get(6..).is_some_and(|line| line.starts_with(what));
    text.lines().find(about).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn in_a_cgroup_namespace_on_the_host_paths_are_the_hosts() {
    root_or_skip!("in a cgroup namespace on the host paths are the host's");
    let _alone = alone();
    let (own, theirs) = (Group::new().unwrap(), Group::new().unwrap());
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    for setup in ["true", OWN_GROUPS, NO_GROUPS] {
        let mut command = inside(&host, &own, &["--cgroup", "--mount"], setup);
        let mut agent = Agent::start_by(command.args(RUN)).unwrap();
        assert_eq!(shortfalls(&mut agent), [""; 0], "{setup}");
        for (index, group) in [&theirs, &own].into_iter().enumerate() {
            let client = client(&host, &group.enter());
            let pid = finish(client);
            let login = login(&mut agent, index + 1);
            assert_told(&login, pid, group);
        }
        assert!(agent.stop().unwrap().success);
    }
}

#[test]
fn where_no_control_groups_are_mounted_it_finds_them_and_mounts_nothing_in_sight() {
    root_or_skip!("where no control groups are mounted it finds them and mounts nothing in sight");
    let _alone = alone();
    let group = Group::new().unwrap();
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut by_ip = Command::new("ip");
    by_ip.args(["netns", "exec", host.name()]);
    by_ip.arg(program("tds-tracer").unwrap());
    let by_unshare = inside(&host, &group, &["--mount"], NO_GROUPS);
    for mut command in [by_ip, by_unshare] {
        let mut agent = Agent::start_by(command.args(RUN)).unwrap();
        assert_eq!(shortfalls(&mut agent), [""; 0], "{command:?}");
        // Somebody has chosen the network by its namespace.
        assert_eq!(sees_sockets(&mut agent), (false, None), "{command:?}");
        let pid = finish(client(&host, &group.enter()));
        assert_told(&login(&mut agent, 1), pid, &group);
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", agent.pid())).unwrap();
        assert!(!mounts.contains(" - cgroup2 "), "{mounts}");
        assert!(agent.stop().unwrap().success);
    }
}

#[test]
fn what_doctor_says_mends_a_lack_of_control_groups() {
    root_or_skip!("what doctor says mends a lack of control groups");
    let _alone = alone();
    let host = Namespace::new("l").unwrap();
    // Who may not mount needs somebody who may.
    let line = r#"
doctor() { setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon --inh-caps=-all "$0" doctor; }
mount -t tmpfs none /run
mend=$(doctor | grep -m1 -A2 ' cgroup v2' | sed -n 's/.*mend: *//p')
doctor && eval "$mend" && echo "mended by: $mend" && doctor"#;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host.name(), "bash", "-c", line]);
    let (status, text) = run(command.arg(program("tds-tracer").unwrap()), "", LIMIT).unwrap();
    assert!(status.success(), "{text}");
    let (before, after) = text
        .split_once("mended by: ")
        .unwrap_or_else(|| panic!("{text}"));
    for (text, sign) in [(before, "less"), (after, "ok  ")] {
        for what in ["cgroup v2", "process"] {
            assert!(verdict(text, what).starts_with(sign), "{what}: {text}");
        }
    }
}

#[test]
fn a_control_group_that_is_named_is_where_it_looks() {
    root_or_skip!("a control group that is named is where it looks");
    let _alone = alone();
    let (named, other) = (Group::new().unwrap(), Group::new().unwrap());
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let directory = named.directory();
    let mut agent = Agent::start(
        &host,
        &[
            &AT_INTERFACES[..],
            &["--port", "24331", "--cgroup", directory.to_str().unwrap()],
        ]
        .concat(),
    )
    .unwrap();
    finish(client(&host, &other.enter()));
    let outside = login(&mut agent, 1);
    assert!(outside["process"].is_null(), "{outside:#}");
    let pid = finish(client(&host, &named.enter()));
    let inside = login(&mut agent, 2);
    assert_eq!(inside["process"]["pid"], pid, "{inside:#}");
    assert_eq!(
        inside["process"]["cgroup"],
        *named.path().unwrap(),
        "{inside:#}"
    );
    let shortfalls = shortfalls(&mut agent);
    assert_eq!(shortfalls.len(), 1, "{shortfalls:?}");
    assert!(
        shortfalls[0].contains("the named control group"),
        "{shortfalls:?}"
    );
    assert!(agent.stop().unwrap().success);

    for role in ["run", "doctor"] {
        let mut command = host.command(program("tds-tracer").unwrap());
        let (status, text) = run(command.args([role, "--cgroup", "/proc"]), "", LIMIT).unwrap();
        assert_eq!(status.code(), Some(2), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("findmnt -t cgroup2"), "{text}");
    }
}
