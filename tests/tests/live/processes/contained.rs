//! The agent in a container as the manifests for Kubernetes have it.

use std::fs;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::contained::Contained;
use harness::group::Group;
use harness::net::Namespace;
use harness::node::Node;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;

use crate::life::wait_until;
use crate::run::alone;

/// A port of their own: it sees the sockets of all this machine.
const ADDRESS: &str = "127.0.0.1:24332";
const LIMIT: Duration = Duration::from_mins(1);
const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const UID: &str = "c704ef4c297ab11032b83ce52cbfc87b";

#[test]
fn with_what_the_manifests_give_it_it_names_a_pod_and_is_well() {
    root_or_skip!("with what the manifests give it it names a pod and is well");
    let _alone = alone();
    let hierarchy = Group::new().unwrap().root().to_owned();
    let node = Node::new(&hierarchy).unwrap();
    let log = format!("var/log/containers/shop-0_web_app-{ID}.log");
    node.write(&log, "").unwrap();
    node.write(&format!("var/log/pods/web_shop-0_{UID}/app/0.log"), "")
        .unwrap();
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let contained = Contained::new(&node, &["--port", "24332"]).unwrap();
    let mut agent = Agent::start_by(&mut contained.command(&host)).unwrap();

    // It gives up what it needs no more, and says of nothing that it is missing.
    let pid = contained.pid().unwrap();
    let account = |name: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    wait_until("it to give up", || account("Seccomp:") == "2");
    // CAP_SYS_PTRACE, and on older kernels CAP_BPF.
    let kept = u64::from_str_radix(&account("CapEff:"), 16).unwrap();
    assert_eq!(kept & !(1 << 39), 1 << 19, "{kept:x}");
    assert_eq!(account("NoNewPrivs:"), "1");
    let said = of(&agent.events().unwrap(), "agent");
    let less = said
        .iter()
        .find(|line| line["agent"]["action"] == "degraded");
    assert_eq!(less, None);

    for probe in contained.probes().unwrap() {
        let mut curl = host.command("curl");
        curl.args(["--silent", "--show-error", "--fail", &probe]);
        let (status, told) = run(&mut curl, "", LIMIT).unwrap();
        assert!(status.success(), "{probe}: {told}");
    }

    let enter = node
        .enter(&format!("kubepods/burstable/pod{UID}/{ID}"))
        .unwrap();
    let client = program("raw-client").unwrap();
    let line = format!(
        "{enter} && exec {} {ADDRESS} --send prelogin --read",
        client.display()
    );
    let (status, told) = run(host.command("bash").args(["-c", &line]), "", LIMIT).unwrap();
    assert!(status.success(), "{told}");
    let logins = agent.wait_for("login", 1, LIMIT).unwrap();
    let login = logins
        .first()
        .unwrap_or_else(|| panic!("{:#?}", agent.events()));
    let k8s = &login["process"]["k8s"];
    for (name, expected) in [
        ("namespace", "web"),
        ("pod", "shop-0"),
        ("pod_uid", UID),
        ("container", "app"),
        ("node", "node-1"),
    ] {
        assert_eq!(k8s[name], expected, "{login:#}");
    }
    assert_eq!(login["process"]["container_id"], ID, "{login:#}");
    let cgroup = login["process"]["cgroup"].as_str().unwrap();
    assert!(cgroup.ends_with(&format!("/pod{UID}/{ID}")), "{login:#}");

    let mut doctor = contained.exec(&host, &["/tds-tracer", "doctor"]);
    let (status, told) = run(&mut doctor, "", LIMIT).unwrap();
    assert!(status.success(), "{told}");
    assert!(agent.stop().unwrap().success);
}
