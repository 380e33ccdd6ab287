use std::time::{Duration, Instant};

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers},
    style::Color,
};
use serde_json::{Value, json};

use super::{
    draw::{Colours, draw},
    filter::Filter,
    source::{Origin, Said, Source, Standing},
    state::State,
    view::View,
};

/// What an agent said of drivers' logins: captures, replayed.
const LINES: &str = include_str!("../../../tests/fixtures/lines/mixed.jsonl");
const SLOW: u64 = 1_000_000_000;

fn feed(state: &mut State, line: &str) {
    match serde_json::from_str(line) {
        Ok(line) => state.take(line),
        Err(_) => state.strange(),
    }
}

fn known() -> State {
    let mut state = State::new(SLOW);
    LINES.lines().for_each(|line| feed(&mut state, line));
    state
}

fn press(view: &mut View, state: &mut State, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        view.on_event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), state);
    }
}

fn picture(view: &View, state: &State, standing: &Standing, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(frame, view, state, standing, Colours(true)))
        .unwrap();
    terminal.backend().to_string()
}

/// What is shown after these keys.
fn after(keys: &str, size: (u16, u16)) -> String {
    let (mut view, mut state) = (View::default(), known());
    press(&mut view, &mut state, keys);
    picture(&view, &state, &Standing::Comes, size)
}

#[test]
fn a_small_terminal_shows_one_table_and_a_large_one_all() {
    insta::assert_snapshot!("small", after("", (80, 24)));
    insta::assert_snapshot!("slowest", after("3", (80, 24)));
    insta::assert_snapshot!("incidents", after("4", (80, 24)));
    insta::assert_snapshot!("large", after("h", (200, 50)));
    insta::assert_snapshot!("help", after("?", (80, 24)));
}

#[test]
fn a_login_is_shown_with_its_phases_and_its_attempt() {
    insta::assert_snapshot!("login", after("/outcome:success is:slow\n3\n", (80, 24)));
    let missed = after("/app:none_such\n3", (80, 24));
    assert!(missed.contains("no login yet"), "{missed}");
}

#[test]
fn escape_is_heard_though_another_key_follows_at_once() {
    let (mut view, mut state) = (View::default(), known());
    press(&mut view, &mut state, "3\n");
    let opened = picture(&view, &state, &Standing::Comes, (80, 24));
    let both = KeyEvent::new(KeyCode::Char('1'), KeyModifiers::ALT);
    view.on_event(&Event::Key(both), &mut state);
    let left = picture(&view, &state, &Standing::Comes, (80, 24));
    assert_ne!(opened, left);
    assert_eq!(left, after("1", (80, 24)));
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let text = after("", (59, 24));
    assert!(text.contains("needs 60 by 16"), "{text}");
}

#[test]
fn without_colours_nothing_is_told_by_colour_alone() {
    let state = known();
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let drawn = terminal
        .draw(|frame| {
            draw(
                frame,
                &View::default(),
                &state,
                &Standing::Comes,
                Colours(false),
            );
        })
        .unwrap();
    let cells = &drawn.buffer.content;
    let plain = cells
        .iter()
        .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset);
    assert!(plain);
}

#[test]
fn colours_are_those_that_light_and_dark_terminals_have_chosen_to_be_readable() {
    for keys in ["", "2", "3", "3\n", "4", "?", "f", "/is:failed"] {
        let (mut view, mut state) = (View::default(), known());
        press(&mut view, &mut state, keys);
        for size in [(80, 24), (200, 50)] {
            let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
            let standing = Standing::Ended(Some("why".to_owned()));
            let drawn = terminal
                .draw(|frame| draw(frame, &view, &state, &standing, Colours(true)))
                .unwrap();
            for cell in &drawn.buffer.content {
                // Black, white, their greys and yellow are lost on one ground or the other, and so is a ground of one's own.
                let readable = matches!(
                    cell.fg,
                    Color::Reset
                        | Color::Red
                        | Color::Green
                        | Color::Blue
                        | Color::Magenta
                        | Color::Cyan
                );
                assert!(readable && cell.bg == Color::Reset, "{keys}: {cell:?}");
            }
        }
    }
}

#[test]
fn a_filter_counts_what_it_wants_as_far_back_as_logins_are_kept() {
    let mut state = known();
    let all = state.totals().logins;
    for (text, least, most) in [
        ("outcome:reset", 12, 12),
        ("server:10.77 is:failed", 2, all - 12),
        ("error:18456", 2, 2),
        ("phase:tls is:slow", 1, 1),
        ("cause:connection_limit", 12, 12),
        ("wait:server is:slow", 2, 2),
        ("fd77::2", 1, 5),
    ] {
        state.set_filter(Filter::new(text).unwrap());
        let logins = state.totals().logins;
        assert!(
            (least..=most).contains(&logins),
            "{text}: {logins} of {all}"
        );
    }
    state.set_filter(Filter::default());
    assert_eq!(state.totals().logins, all);
    let complaint = Filter::new("sever:sql1").unwrap_err();
    assert!(complaint.contains("server"), "{complaint}");
}

#[test]
fn a_frozen_picture_stays_while_counting_goes_on() {
    let (mut view, mut state) = (View::default(), known());
    press(&mut view, &mut state, "f");
    let before = picture(&view, &state, &Standing::Comes, (80, 24));
    let all = state.totals().logins;
    LINES.lines().for_each(|line| feed(&mut state, line));
    assert_eq!(picture(&view, &state, &Standing::Comes, (80, 24)), before);
    press(&mut view, &mut state, "f");
    assert!(state.totals().logins > all);
    assert_ne!(picture(&view, &state, &Standing::Comes, (80, 24)), before);
}

/// A line with another text in each field that a stranger chooses.
fn with_text(text: &str, number: u64) -> String {
    let mut line: Value = serde_json::from_str(LINES.lines().next().unwrap()).unwrap();
    line["connection"]["id"] = json!(format!("{text}{number}"));
    line["host"]["name"] = json!(format!("{text}{number}"));
    line["run_id"] = json!(format!("{text}{number}"));
    line["server"]["instance"] = json!(format!("{text}{number}"));
    line["process"] = json!({ "pid": 7, "name": format!("{text}{number}") });
    line["login"]["app_name"] = json!(text);
    line["login"]["outcome"] = json!(text);
    line["login"]["duration_ns"] = json!(2 * SLOW + number);
    line["diagnosis"] = json!([{ "cause": text, "confidence": 0.5, "for": text }]);
    line["phases"][text] = json!({ "start_ns": 0, "duration_ns": 5 });
    line.to_string()
}

#[test]
fn hostile_texts_reach_no_terminal_as_they_are() {
    let hostile = [
        "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{9b}31m",
        "\u{202e}\u{2066}gnirts\u{200f}",
        &"long ".repeat(2_000),
    ];
    for text in hostile {
        let (mut view, mut state) = (View::default(), State::new(SLOW));
        feed(&mut state, &with_text(text, 1));
        feed(&mut state, "\u{1b}[2J no line");
        for keys in ["", "2", "3", "\n", "4", "?"] {
            press(&mut view, &mut state, keys);
            view.on_event(&Event::Paste(text.to_owned()), &mut state);
            for size in [(80, 24), (200, 50)] {
                let shown = picture(&view, &state, &Standing::Ended(None), size);
                let wrong = shown.chars().find(|c| {
                    c.is_control() && *c != '\n'
                        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                });
                assert_eq!(wrong, None, "{shown}");
            }
        }
        assert_eq!(state.strange, 1);
    }
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut state = State::new(SLOW);
    for number in 0..5_000 {
        feed(&mut state, &with_text("host", number));
    }
    assert_eq!(state.totals().logins, 5_000);
    assert!(state.totals().servers.len() <= 501 && state.totals().processes.len() <= 501);
    assert!(state.hosts.len() <= 501 && state.worst().len() <= 500);
    state.set_filter(Filter::new("server:host").unwrap());
    assert_eq!(state.totals().logins, 4_000);
}

#[test]
fn a_paste_is_text_for_the_filter_and_no_keys() {
    let (mut view, mut state) = (View::default(), known());
    view.on_event(&Event::Paste("q\nq?f".to_owned()), &mut state);
    assert!(!view.quits && view.frozen.is_none());
    press(&mut view, &mut state, "/");
    view.on_event(
        &Event::Paste("is:\nfailed\u{1b}".repeat(10_000)),
        &mut state,
    );
    assert!(
        view.typed
            .as_ref()
            .is_some_and(|typed| typed.chars().count() == 200)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn storms_of_keys_and_sizes_are_drawn(
        storm in prop::collection::vec((any::<u8>(), 0_u16..220, 0_u16..60), 1..20),
    ) {
        const KEYS: &[u8] = b"1234jkgshf?/\n\x1b\t xserver:";
        let (mut view, mut state) = (View::default(), known());
        for (key, width, height) in storm {
            let key = char::from(KEYS[usize::from(key) % KEYS.len()]);
            press(&mut view, &mut state, &key.to_string());
            view.on_event(&Event::Resize(width, height), &mut state);
            if width > 0 && height > 0 {
                picture(&view, &state, &Standing::Silent(80), (width, height));
            }
        }
    }
}

#[test]
fn lines_of_which_nothing_is_shown_are_not_missed() {
    let folder = std::env::temp_dir().join(format!("tds-tracer-passed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lines");
    let login: Value = serde_json::from_str(LINES.lines().next().unwrap()).unwrap();
    let line = |number: u64, event: &str| {
        let mut line = login.clone();
        line["line"] = json!(number);
        line["event"] = json!(event);
        line.to_string() + "\n"
    };
    let events = ["login", "close", "request", "phase", "lookup", "login"];
    let lines: String = (1..)
        .zip(events)
        .map(|(number, event)| line(number, event))
        .collect();
    std::fs::write(&path, &lines).unwrap();
    let (state, _) = read(&path, None);
    assert_eq!((state.totals().logins, state.missing), (2, 0));
    std::fs::write(&path, lines + &line(10, "close")).unwrap();
    assert_eq!(read(&path, None).0.missing, 3);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Reads all that a file says.
fn read(path: &std::path::Path, speed: Option<f64>) -> (State, Standing) {
    let mut source = Source::open(Origin::Lines(path.to_owned(), speed)).unwrap();
    let mut state = State::new(SLOW);
    let patience = Instant::now() + Duration::from_mins(1);
    while !matches!(source.standing(), Standing::Ended(_)) {
        assert!(Instant::now() < patience, "it does not end");
        source.each(
            Instant::now() + Duration::from_millis(20),
            |said| match said {
                Said::Line(line) => state.take(*line),
                Said::Passed(head) => state.number(&head.run, head.line),
                Said::Strange | Said::Ended(_) => state.strange(),
            },
        );
    }
    let standing = source.standing();
    (state, standing)
}

#[test]
fn a_stream_that_ends_leaves_what_it_said_and_says_so() {
    let folder = std::env::temp_dir().join(format!("tds-tracer-top-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lines");
    // It dies in the middle of a line, behind one that is none.
    let half = &LINES[..LINES.len() / 2];
    std::fs::write(&path, format!("nothing\n{half}")).unwrap();
    let several = |line: &&str| line.matches("\"kind\":").count() > 1;
    let attempts = half
        .lines()
        .filter(|line| line.contains("\"event\":\"attempt\""));
    let passed = attempts.clone().count() - attempts.filter(several).count();
    let whole = half.lines().count() - 1 - passed;
    let (state, standing) = read(&path, None);
    assert_eq!(
        (state.strange, standing.clone()),
        (2, Standing::Ended(None))
    );
    let of_host: u64 = state.hosts.values().sum();
    assert_eq!(of_host, whole as u64);
    let shown = picture(&View::default(), &state, &standing, (80, 24));
    assert!(
        shown.contains("ended") && shown.contains("2 strange lines"),
        "{shown}"
    );
    let silent = picture(&View::default(), &state, &Standing::Silent(99), (80, 24));
    assert!(silent.contains("no line for 99 s"), "{silent}");
    // A minute's lines, a thousand times as fast.
    std::fs::write(&path, LINES).unwrap();
    let (state, _) = read(&path, Some(1_000.0));
    assert_eq!(state.totals().logins, known().totals().logins);
    std::fs::remove_dir_all(&folder).unwrap();
}
