//! `top` in a terminal, of lines that were saved.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::replay::agent;
use harness::root::skip;
use harness::screen::{self, Screen};

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn top_lives_in_a_terminal_through_keys_pastes_and_sizes_and_leaves_it_as_it_was() {
    if screen::missing() {
        skip("tmux", "top in a terminal");
        return;
    }
    let lines = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lines/mixed.jsonl");
    let agent = agent().unwrap();
    let (agent, lines) = (agent.display(), lines.display());
    // The stream dies, and the keys come from the terminal all the same.
    let line = format!("cat {lines} | {agent} top -; echo status $?; read end");
    let screen = Screen::start(Command::new("tmux"), "top", (80, 24), &line).unwrap();
    let text = screen
        .wait(LIMIT, |text| {
            text.contains("ended") && text.contains("22 failed")
        })
        .unwrap();
    assert_eq!(text.lines().count(), 24, "{text}");
    screen.press(&["3", "Enter"]).unwrap();
    screen
        .wait(LIMIT, |text| text.contains("syn unanswered (0.60)"))
        .unwrap();
    screen.paste("q\nqqq\u{1b}").unwrap();
    for size in [(200, 50), (20, 5), (60, 16), (120, 36)] {
        screen.resize(size).unwrap();
    }
    screen.press(&["Escape"]).unwrap();
    let large = |text: &str| text.contains("1 servers") && text.contains("began ago");
    screen.wait(LIMIT, large).unwrap();
    screen.press(&["q"]).unwrap();
    let after = screen
        .wait(LIMIT, |text| text.contains("status 0"))
        .unwrap();
    assert!(!after.contains("logins/s"), "{after}");
}

#[test]
fn where_there_is_no_terminal_top_names_what_helps() {
    let mut command = Command::new(agent().unwrap());
    let output = command.args(["top", "/dev/null"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("tds-tracer report"), "{error}");
}
