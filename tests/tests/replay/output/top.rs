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
    let line = format!("{agent} top {lines}; echo status $?; read end");
    let screen = Screen::start(Command::new("tmux"), "top", (80, 24), &line).unwrap();
    let text = screen
        .wait(LIMIT, |text| {
            // Its last row too, and the foot.
            let whole = text.contains("(MSSQLServe") && text.contains("q quit");
            whole && text.contains("ended") && text.contains("22 failed")
        })
        .unwrap();
    assert_eq!(text.lines().count(), 24, "{text}");
    insta::assert_snapshot!("top_in_80_by_24", text);
    screen.press(&["3", "Enter"]).unwrap();
    screen
        .wait(LIMIT, |text| text.contains("syn unanswered (0.60)"))
        .unwrap();
    storm(&screen);
    screen.press(&["Escape", "1"]).unwrap();
    let large = |text: &str| text.contains("1 servers") && text.contains("began ago");
    let whole = |text: &str| {
        let all = text.starts_with("tds-tracer top") && text.trim_end().ends_with("q quit");
        large(text) && all && text.contains("36 µs") && text.lines().count() == 50
    };
    insta::assert_snapshot!("top_in_200_by_50", screen.wait(LIMIT, whole).unwrap());
    screen.press(&["q"]).unwrap();
    let after = screen
        .wait(LIMIT, |text| text.contains("status 0"))
        .unwrap();
    assert!(!after.contains("logins/s"), "{after}");
}

#[test]
fn a_stream_that_dies_leaves_what_it_said_and_keys_come_from_the_terminal() {
    if screen::missing() {
        skip("tmux", "top of a stream");
        return;
    }
    let lines = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lines/mixed.jsonl");
    let agent = agent().unwrap();
    let (agent, lines) = (agent.display(), lines.display());
    let line = format!("cat {lines} | {agent} top -; echo status $?; read end");
    let screen = Screen::start(Command::new("tmux"), "dead", (80, 24), &line).unwrap();
    let died = |text: &str| text.contains("ended") && text.contains("22 failed");
    screen.wait(LIMIT, died).unwrap();
    screen.press(&["4"]).unwrap();
    let incidents = |text: &str| text.contains("connection limit");
    screen.wait(LIMIT, incidents).unwrap();
    screen.press(&["q"]).unwrap();
    screen
        .wait(LIMIT, |text| text.contains("status 0"))
        .unwrap();
}

/// Pastes, and many sizes at once; the last one is large.
fn storm(screen: &Screen) {
    for round in 0..10_u16 {
        screen.paste(&"q\nqqq\u{1b}".repeat(200)).unwrap();
        for size in [(200, 50), (20, 5), (60 + round, 16), (1, 1), (120, 36)] {
            screen.resize(size).unwrap();
        }
    }
    screen.resize((200, 50)).unwrap();
}

#[test]
fn where_there_is_no_terminal_top_names_what_helps() {
    let mut command = Command::new(agent().unwrap());
    let output = command.args(["top", "/dev/null"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("tds-tracer report"), "{error}");
}
