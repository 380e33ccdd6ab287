//! Containers that containerd itself runs, as a kubelet has it run them.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::containerd::{Containerd, IMAGE, SHELL};
use harness::drivers::Driver;
use harness::net::Namespace;
use harness::node::Node;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use super::pods::doctor_of_runtime;

const ADDRESS: &str = "127.0.0.1:1433";
const LIMIT: Duration = Duration::from_mins(1);
const UID: &str = "ccf19bc6-503b-4dd0-b33d-e5717fe6613c";
/// An id that no container has.
const OTHER: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

/// The process of the first login of which that is so; every one before it too has to be of a container.
fn told(agent: &mut Agent, is_it: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + LIMIT;
    for count in 1.. {
        let logins = agent.wait_for("login", count, LIMIT).unwrap();
        let login = logins.get(count - 1);
        let process = &login.unwrap_or_else(|| panic!("{:#?}", agent.events()))["process"];
        assert!(process["container_id"].is_string(), "{process:#}");
        if is_it(process) {
            return process.clone();
        }
        assert!(Instant::now() < end, "{process:#}");
    }
    unreachable!()
}

/// By the version that it says itself.
fn version() -> String {
    let told = Command::new("containerd").arg("--version").output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    told.split_whitespace().nth(2).unwrap().to_owned()
}

#[test]
fn a_container_that_a_real_containerd_runs_is_told_by_its_names() {
    root_or_skip!("a container that a real containerd runs is told by its names");
    driver_or_skip!(Driver::PythonTds);
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let [node, without_files] = [(); 2].map(|()| Node::new(Path::new(&host.group())).unwrap());
    let group = format!("kubepods/burstable/pod{UID}");
    let containerd = Containerd::start(&host, &node, &group).unwrap();
    let socket = containerd.socket().display().to_string();
    let agent = |root: &Node, more: &[&str]| {
        let root = root.root().display().to_string();
        let options = ["--host-root", &root, "--node", "node-1"];
        Agent::start(&host, &[&options, more].concat()).unwrap()
    };
    let mut by_files = agent(&node, &[]);
    let mut by_socket = agent(&without_files, &["--cri-socket", &socket]);

    let client = program("raw-client").unwrap();
    let connect = format!("{} {ADDRESS} --send prelogin --read", client.display());
    let again = format!("while {connect}; do {SHELL} sleep 0.1; done");
    let shop = json!({ "name": "shop-0", "namespace": "web", "uid": UID, "container": "app" });
    let mounts = ["/usr", "/lib", "/lib64"].map(Path::new);
    let mounts = [&mounts[..], &[client.parent().unwrap()]].concat();
    let pod = containerd.run(shop, &[SHELL, "sh", "-c", &again], &mounts);
    let pod = pod.unwrap();
    let container = json!({ "name": "app", "image": IMAGE, "runtime": "containerd" });
    let k8s = json!({
        "namespace": "web", "pod": "shop-0", "pod_uid": UID, "container": "app", "node": "node-1",
    });
    for agent in [&mut by_files, &mut by_socket] {
        let process = told(agent, |process| process["container"] == container);
        assert_eq!(process["container_id"], pod.container(), "{process:#}");
        assert_eq!(process["k8s"], k8s, "{process:#}");
    }
    let answers = format!(
        "ok    runtime       containerd {} (CRI v1) answers at {socket}",
        version()
    );
    assert_eq!(doctor_of_runtime(&host, containerd.socket()), answers);

    // One that it does not know.
    let enter = without_files.enter(&format!("{group}/{OTHER}")).unwrap();
    let line = format!("{enter} && exec {connect}");
    let (status, output) = run(host.command("bash").args(["-c", &line]), "", LIMIT).unwrap();
    assert!(status.success(), "{output}");
    let process = told(&mut by_socket, |process| process["container_id"] == OTHER);
    assert!(process["container"].is_null(), "{process:#}");
    let known = json!({ "pod_uid": UID, "node": "node-1" });
    assert_eq!(process["k8s"], known, "{process:#}");

    pod.remove().unwrap();
    for agent in [by_files, by_socket] {
        let record = agent.stop().unwrap();
        assert!(record.success, "{}", record.log);
        assert!(
            !record.log.contains("names of containers"),
            "{}",
            record.log
        );
    }
}
