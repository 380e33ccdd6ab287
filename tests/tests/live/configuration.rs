//! The configuration, read at the start and anew while the agent runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::net::Namespace;
use harness::peer::program;
use harness::root_or_skip;
use serde_json::Value;

use crate::life::LIMIT;

/// A configuration of this test's own, gone with it.
struct Configuration(PathBuf);

impl Configuration {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("tdst-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let configuration = Self(path);
        configuration.write(text);
        configuration
    }

    fn file(&self) -> String {
        self.0.join("config.toml").display().to_string()
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// What `tds-tracer` says with this configuration, and whether it is content.
    fn ask(&self, words: &[&str]) -> (String, bool) {
        let mut command = Command::new(program("tds-tracer").unwrap());
        command.args(words).args(["--config", &self.file()]);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).unwrap(), output.status.success())
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn is_reload(event: &Value) -> bool {
    event["agent"]["action"] == "reload"
}

/// Lets the agent read its configuration anew, the `count`th time, and gives its word of that.
fn reloaded(configuration: &Configuration, agent: &mut Agent, count: usize) -> [String; 2] {
    let pid = agent.pid().to_string();
    let (said, right) = configuration.ask(&["reload", "--pid", &pid]);
    assert!(right, "{said}");
    told(agent, count)
}

fn told(agent: &mut Agent, count: usize) -> [String; 2] {
    let reloads = |events: &[Value]| events.iter().filter(|event| is_reload(event)).count();
    let told = agent
        .wait(LIMIT, |events| reloads(events) >= count)
        .unwrap();
    assert!(told, "{:#?}", agent.events().unwrap());
    let events = of(&agent.events().unwrap(), "agent");
    let last = events.iter().rfind(|event| is_reload(event)).unwrap();
    let word = |name: &str| last["agent"][name].as_str().unwrap_or_default().to_owned();
    [word("reason"), word("detail")]
}

#[test]
fn what_can_change_changes_at_once_and_the_rest_is_named() {
    root_or_skip!("what can change changes at once and the rest is named");
    let host = Namespace::new("l").unwrap();
    let configuration = Configuration::new("reload", "port = 1433\nslow = '250ms'\n");
    let mut agent = Agent::start(&host, &["--config", &configuration.file()]).unwrap();
    let mut reload = |count| reloaded(&configuration, &mut agent, count);

    assert_eq!(reload(1), ["unchanged", ""]);
    configuration.write("port = [1433, 1444]\nslow = '1s'\nevents = '+phase'\n");
    let all = ["applied", "applied: events, port, slow"];
    assert_eq!(reload(2), all);
    configuration.write("port = 1433\nslow = '1s'\nevents = '+phase'\nmax-flows = 100\n");
    let part = "applied: port; needs a restart: max-flows";
    assert_eq!(reload(3), ["needs_restart", part]);
    let rest = ["needs_restart", "needs a restart: max-flows"];
    assert_eq!(reload(4), rest);

    configuration.write("port = 1433\nslwo = '1s'\n");
    let wrong = format!(
        "{}:2: there is no `slwo`; did you mean `slow`?",
        configuration.file()
    );
    let pid = agent.pid().to_string();
    let said = configuration.ask(&["reload", "--pid", &pid]);
    assert_eq!(said, (format!("tds-tracer: {wrong}\n"), false));
    assert_eq!(configuration.ask(&["config", "check"]), said);
    let hang_up = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(hang_up.success());
    let kept = ["refused".to_owned(), format!("{wrong}; all is as it was")];
    assert_eq!(told(&mut agent, 5), kept);
    assert!(agent.stop().unwrap().success);
}

#[test]
fn interfaces_that_are_named_anew_are_watched_and_the_others_no_more() {
    root_or_skip!("interfaces that are named anew are watched, and the others no more");
    let host = Namespace::new("l").unwrap();
    let link = ["link", "add", "near", "type", "veth", "peer", "name", "far"];
    host.ip(&link).unwrap();
    for end in ["near", "far"] {
        host.ip(&["link", "set", end, "up"]).unwrap();
    }
    let configuration = Configuration::new("interfaces", "iface = 'near'\n");
    let file = configuration.file();
    let options = [&AT_INTERFACES[..], &["--config", &file]].concat();
    let mut agent = Agent::start(&host, &options).unwrap();
    configuration.write("iface = ['f*']\n");
    let applied = ["applied", "applied: iface"];
    assert_eq!(reloaded(&configuration, &mut agent, 1), applied);
    for (action, interface) in [
        ("interface_added", "near"),
        ("interface_removed", "near"),
        ("interface_added", "far"),
    ] {
        let is_it = |event: &Value| {
            event["agent"]["action"] == action && event["agent"]["interface"] == interface
        };
        let told = agent.wait(LIMIT, |events| events.iter().any(is_it));
        assert!(told.unwrap(), "{action} {interface}: {:#?}", agent.events());
    }

    configuration.write("iface = ['nowhere']\n");
    assert_eq!(reloaded(&configuration, &mut agent, 2), applied);
    let is_said = |event: &Value| {
        let detail = event["agent"]["detail"].as_str().unwrap_or_default();
        event["agent"]["action"] == "degraded" && detail.contains("nowhere")
    };
    let said = agent.wait(LIMIT, |events| events.iter().any(is_said));
    assert!(said.unwrap(), "{:#?}", agent.events());
    assert!(agent.stop().unwrap().success);
}

#[test]
fn what_is_in_effect_is_shown_with_who_says_so() {
    let configuration = Configuration::new("show", "slow = '250ms'\n");
    let (said, right) = configuration.ask(&["config", "show", "--port", "5"]);
    assert!(right, "{said}");
    for (line, source) in [
        ("slow = \"250ms\"", format!("# {}:1", configuration.file())),
        ("port = [5]", "# --port".to_owned()),
        ("login-bytes = 16384", "# default".to_owned()),
        ("# output =", "# not set".to_owned()),
    ] {
        let found = said.lines().find(|said| said.starts_with(line));
        assert!(
            found.is_some_and(|found| found.ends_with(&source)),
            "{line}: {said}"
        );
    }
}
