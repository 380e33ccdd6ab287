//! What the agent cannot do, and says in one line.

use harness::net::Namespace;
use harness::peer::program;
use harness::process::run;
use harness::root_or_skip;

use super::{LIMIT, agent, assert_nothing_of_ours};

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    root_or_skip!("what cannot be is refused in one line");
    let host = Namespace::new("l").unwrap();
    let unprivileged = || {
        let mut command = host.command("setpriv");
        command
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(program("tds-tracer").unwrap())
            .arg("run");
        command
    };
    let mut in_user_namespace = host.command("unshare");
    in_user_namespace
        .args(["--user", "--map-root-user", "--net"])
        .arg(program("tds-tracer").unwrap())
        .arg("run");
    for (mut command, mend) in [
        (agent(&host, &["--iface", "nosuch0"]), "`ip link` lists"),
        // Of two the one that is there is not attached to either.
        (
            agent(&host, &["--iface", "lo", "--iface", "nosuch0"]),
            "nosuch0",
        ),
        (agent(&host, &["--output", "/no/such/x"]), "output"),
        (unprivileged(), "grant CAP_BPF"),
        (in_user_namespace, "outside of a user namespace"),
    ] {
        let (status, text) = run(&mut command, "", LIMIT).unwrap();
        assert_eq!(status.code(), Some(2), "{command:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{command:?}: {text}");
        assert!(text.contains(mend), "{command:?}: {text}");
        assert_nothing_of_ours(&host);
    }
}

#[test]
fn a_capability_that_is_missing_is_named() {
    root_or_skip!("a capability that is missing is named");
    let host = Namespace::new("l").unwrap();
    for missing in ["bpf", "net_admin", "perfmon"] {
        let granted = "-all,+bpf,+net_admin,+perfmon".replace(&format!(",+{missing}"), "");
        let named = format!("without CAP_{}", missing.to_uppercase());
        for role in ["run", "doctor"] {
            let mut command = host.command("setpriv");
            command
                .arg(format!("--bounding-set={granted}"))
                .arg("--inh-caps=-all")
                .args([program("tds-tracer").unwrap().as_os_str(), role.as_ref()]);
            let (status, text) = run(&mut command, "", LIMIT).unwrap();
            assert_eq!(status.code(), Some(2), "{command:?}: {text}");
            assert!(text.contains(&named), "{command:?}: {text}");
            let lines = text.lines().count();
            assert!(role == "doctor" || lines == 1, "{command:?}: {text}");
        }
        assert_nothing_of_ours(&host);
    }
}
