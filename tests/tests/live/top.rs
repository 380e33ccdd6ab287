//! `top` on the live kernel, in a terminal.

use std::time::Duration;

use harness::net::Namespace;
use harness::peer::program;
use harness::root::skip;
use harness::root_or_skip;
use harness::screen::{self, Screen};

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn a_login_that_is_refused_is_seen_as_it_happens_and_the_agent_ends_with_the_screen() {
    root_or_skip!("top on the live kernel");
    if screen::missing() {
        skip("tmux", "top on the live kernel");
        return;
    }
    let _alone = alone();
    let host = Namespace::new("t").unwrap();
    let agent = program("tds-tracer").unwrap();
    let line = format!(
        "{} top -- --source sockets --port {PORT} --cgroup {}; echo status $?; read end",
        agent.display(),
        host.group()
    );
    let screen = Screen::start(host.command("tmux"), "live", (100, 30), &line).unwrap();
    let waits = |text: &str| text.contains("live") && text.contains("0 failed");
    screen.wait(LIMIT, waits).unwrap();
    let knock = format!("exec 3<>/dev/tcp/127.0.0.1/{PORT}");
    // The agent may still be on its way; whoever is refused tries again.
    let seen = || {
        for _ in 0..60 {
            host.command("bash").args(["-c", &knock]).output().unwrap();
            let wait = Duration::from_secs(2);
            if let Ok(text) = screen.wait(wait, |text| text.contains(&format!("127.0.0.1:{PORT}")))
            {
                return Some(text);
            }
        }
        None
    };
    let text = seen().unwrap_or_else(|| panic!("{:?}", screen.text()));
    assert!(!text.contains("0 failed"), "{text}");
    screen.press(&["3"]).unwrap();
    screen.wait(LIMIT, |text| text.contains("refused")).unwrap();
    screen.press(&["q"]).unwrap();
    screen
        .wait(LIMIT, |text| text.contains("status 0"))
        .unwrap();
}
