//! Containers and pods: what their control groups' paths say, and what a node's files add to that.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::drivers::{Driver, python};
use harness::net::Namespace;
use harness::node::Node;
use harness::peer::{Peer, program, workspace};
use harness::process::{Running, run};
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

const ADDRESS: &str = "127.0.0.1:1433";
const LIMIT: Duration = Duration::from_mins(1);
const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const UID: &str = "ccf19bc6-503b-4dd0-b33d-e5717fe6613c";
const LINK: &str = "var/log/containers/shop-0_web_app-ID.log";
const SECRET: &str = "Sesame-open-7143";

/// With the id and the UID in their places.
fn at(shape: &str) -> String {
    shape
        .replace("UID", UID)
        .replace("U_D", &UID.replace('-', "_"))
        .replace("ID", ID)
}

/// A host with a server and an agent that reads a node's files.
///
/// The groups of the node are in the host's, and gone before it.
struct Place {
    agent: Agent,
    logins: usize,
    _server: Peer,
    node: Node,
    host: Namespace,
}

impl Place {
    fn new() -> Self {
        Self::asking(None)
    }

    /// One whose agent asks the runtime at that place of the node.
    fn asking(socket: Option<&str>) -> Self {
        let host = Namespace::new("l").unwrap();
        let node = Node::new(Path::new(&host.group())).unwrap();
        let server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
        let root = node.root().display().to_string();
        let mut options = vec!["--host-root", &root, "--node", "node-1"];
        let socket = socket.map(|socket| node.root().join(socket).display().to_string());
        options.extend(socket.iter().flat_map(|socket| ["--cri-socket", socket]));
        let agent = Agent::start(&host, &options).unwrap();
        Self {
            agent,
            logins: 0,
            _server: server,
            node,
            host,
        }
    }

    /// A client that connects in a control group, and is gone.
    fn connect(&self, group: &str) {
        let enter = self.node.enter(group).unwrap();
        let client = program("raw-client").unwrap();
        let line = format!(
            "{enter} && exec {} {ADDRESS} --send prelogin --read",
            client.display()
        );
        let mut command = self.host.command("bash");
        let (status, output) = run(command.args(["-c", &line]), "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
    }

    /// What the agent says of the process of the next login.
    fn told(&mut self) -> Value {
        self.logins += 1;
        let logins = self.agent.wait_for("login", self.logins, LIMIT).unwrap();
        assert_eq!(logins.len(), self.logins, "{:#?}", self.agent.events());
        logins[self.logins - 1]["process"].clone()
    }

    /// Connects again until what is told of the client is that.
    fn connect_until(&mut self, group: &str, is_it: impl Fn(&Value) -> bool) {
        let end = Instant::now() + LIMIT;
        loop {
            self.connect(group);
            let process = self.told();
            if is_it(&process) {
                break;
            }
            assert!(Instant::now() < end, "{process:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.agent.pid().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .stdin(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }
}

fn pods(container: Option<&str>) -> Value {
    let mut names =
        json!({ "namespace": "web", "pod": "shop-0", "pod_uid": UID, "node": "node-1" });
    if let Some(container) = container {
        names["container"] = json!(container);
    }
    names
}

#[test]
fn every_runtimes_containers_are_told_by_their_names_and_nothing_of_their_environments() {
    root_or_skip!(
        "every runtime's containers are told by their names and nothing of their environments"
    );
    let mut place = Place::new();
    let environment = [format!("SA_PASSWORD={SECRET}"), "A=".repeat(8000)];
    let docker = json!({ "Config": { "Env": environment, "Image": "sql:1" }, "Name": "/sql1" });
    let containerd = json!({
        "process": { "env": environment },
        "annotations": {
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": "shop:1",
            "io.kubernetes.cri.sandbox-name": "shop-0", "io.kubernetes.cri.sandbox-namespace": "web",
            "io.kubernetes.cri.sandbox-uid": UID,
        },
        "hostname": SECRET,
    });
    let stored = |name: String| {
        let metadata = json!({ "image-name": "shop:1" }).to_string();
        json!([{ "id": ID, "names": [name], "metadata": metadata }])
    };
    let app = |runtime| json!({ "name": "app", "image": "shop:1", "runtime": runtime });
    let sql1 = json!({ "name": "sql1", "image": "sql:1", "runtime": "docker" });
    let podman = json!({ "name": "sql2", "image": "shop:1", "runtime": "podman" });
    let storage = "var/lib/containers/storage/overlay-containers/containers.json";
    let shapes = [
        (
            "docker-ID.scope",
            "var/lib/docker/containers/ID/config.v2.json",
            docker,
            sql1,
            Value::Null,
        ),
        (
            "libpod-ID.scope/container",
            storage,
            stored("sql2".to_owned()),
            podman,
            Value::Null,
        ),
        (
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
            "run/containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json",
            containerd,
            app("containerd"),
            pods(Some("app")),
        ),
        (
            "kubepods/besteffort/podUID/crio-ID/container",
            storage,
            stored(format!("k8s_app_shop-0_web_{UID}_0")),
            app("cri-o"),
            pods(Some("app")),
        ),
    ];
    for (index, (group, file, text, container, k8s)) in shapes.into_iter().enumerate() {
        let id = format!("{index:064x}");
        let own = |text: &str| text.replace(ID, &id);
        let text = own(&text.to_string());
        place.node.write(&own(&at(file)), &text).unwrap();
        place.connect(&own(&at(group)));
        let process = place.told();
        assert_eq!(process["container_id"], id, "{group}: {process:#}");
        assert_eq!(process["container"], container, "{group}: {process:#}");
        assert_eq!(process["k8s"], k8s, "{group}: {process:#}");
    }
    secrets::assert_not_in_memory(place.agent.pid(), &Needle::of(SECRET));
    // Outside of containers there is nothing to tell.
    place.connect("system.slice/shop.service");
    let process = place.told();
    assert!(process["container_id"].is_null(), "{process:#}");
    assert!(
        process["container"].is_null() && process["k8s"].is_null(),
        "{process:#}"
    );
    assert!(place.agent.stop().unwrap().success);
}

#[test]
fn a_pod_that_is_gone_before_it_is_looked_at_has_its_names() {
    root_or_skip!("a pod that is gone before it is looked at has its names");
    let mut place = Place::new();
    let logs = at("var/log/pods/web_shop-0_UID/app/0.log");
    place.node.write(&logs, SECRET).unwrap();
    place.signal("STOP");
    place.connect(&at("kubepods/podUID/ID"));
    place.signal("CONT");
    let process = place.told();
    assert!(
        process["executable"].is_null(),
        "it is not gone: {process:#}"
    );
    assert_eq!(process["k8s"], pods(Some("app")), "{process:#}");
    assert!(place.agent.stop().unwrap().success);
}

#[test]
fn names_that_are_written_late_are_told_from_then_on() {
    root_or_skip!("names that are written late are told from then on");
    let mut place = Place::new();
    let group = at("kubepods/burstable/podUID/ID");
    place.connect(&group);
    let known_at_once = json!({ "pod_uid": UID, "node": "node-1" });
    assert_eq!(place.told()["k8s"], known_at_once);
    place.node.write(&at(LINK), "").unwrap();
    place.connect_until(&group, |process| process["k8s"] == pods(Some("app")));
    // What is known stays known, with the pod's files gone.
    fs::remove_file(place.node.root().join(at(LINK))).unwrap();
    place.connect(&group);
    assert_eq!(place.told()["k8s"], pods(Some("app")));
    assert!(place.agent.stop().unwrap().success);
}

/// A runtime that answers at a socket.
fn runtime(host: &Namespace, socket: &Path) -> Running {
    let mut runtime = host.command(python());
    runtime.arg(workspace().join("tests/drivers/cri.py"));
    let mut runtime = Running::start(runtime.arg(socket).arg(ID).env("UID", UID)).unwrap();
    let is_ready = runtime.wait_lines(LIMIT, |lines| !lines.is_empty());
    assert!(is_ready, "{}", runtime.errors());
    runtime
}

/// What doctor says of the runtime at a socket.
pub(super) fn doctor_of_runtime(host: &Namespace, socket: &Path) -> String {
    let mut doctor = host.command(program("tds-tracer").unwrap());
    doctor.arg("doctor").arg("--cri-socket").arg(socket);
    let (_, told) = run(&mut doctor, "", LIMIT).unwrap();
    let is_it = |line: &&str| {
        line.get(6..)
            .is_some_and(|line| line.starts_with("runtime "))
    };
    let line = told.lines().find(is_it);
    line.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn doctor_says_whether_a_runtime_answers_at_its_socket_and_which() {
    root_or_skip!("doctor says whether a runtime answers at its socket, and which");
    driver_or_skip!(Driver::PythonTds);
    let host = Namespace::new("l").unwrap();
    let node = Node::new(Path::new(&host.group())).unwrap();
    let socket = node.root().join("cri.sock");
    let said = || doctor_of_runtime(&host, &socket);
    let place = socket.display();
    let refused = said();
    assert!(refused.starts_with("less  runtime "), "{refused}");
    assert!(refused.contains(&format!("at {place}: ")), "{refused}");
    let _runtime = runtime(&host, &socket);
    let answers = format!("ok    runtime       containerd v2.1.4 (CRI v1) answers at {place}");
    assert_eq!(said(), answers);
}

#[test]
fn a_runtime_is_asked_at_its_socket_for_what_no_file_says() {
    root_or_skip!("a runtime is asked at its socket for what no file says");
    // Its interpreter is the runtime's too.
    driver_or_skip!(Driver::PythonTds);
    let mut place = Place::asking(Some("cri.sock"));
    let group = at("kubepods.slice/kubepods-podU_D.slice/cri-containerd-ID.scope");
    // It is not there yet, and nobody waits for it.
    place.connect(&group);
    let told = place.told();
    assert_eq!(told["k8s"], json!({ "pod_uid": UID, "node": "node-1" }));
    let mut runtime = runtime(&place.host, &place.node.root().join("cri.sock"));
    let app = json!({ "name": "app", "image": "shop:1", "runtime": "containerd" });
    place.connect_until(&group, |process| {
        process["container"] == app && process["k8s"] == pods(Some("app"))
    });
    // One that it does not know.
    let other = ID.replace('4', "5");
    place.connect(&group.replace(ID, &other));
    let told = place.told();
    assert_eq!(told["container_id"], other);
    assert_eq!(told["container"], json!({ "runtime": "containerd" }));
    let is_asked = runtime.wait_lines(LIMIT, |lines| {
        lines.iter().any(|line| line.contains(&other))
    });
    assert!(is_asked, "{}", runtime.errors());
    let lines = runtime.lines();
    let mut asked = lines.iter().skip(1);
    assert!(asked.all(|line| line.contains("asked")), "{lines:?}");
    let record = place.agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    let complaints = record.log.matches("names of containers, from").count();
    assert_eq!(complaints, 1, "{}", record.log);
}
