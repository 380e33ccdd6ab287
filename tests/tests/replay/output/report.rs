//! What a report says of captures, and of the lines that replay says of them, is the same.

use std::process::Command;
use std::time::Duration;

use harness::process::run;
use harness::replay::{agent, captures};

const LIMIT: Duration = Duration::from_mins(1);

fn tracer(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(agent().unwrap());
    // What is said of the capture itself goes to standard error, and is no part of it.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$0\" \"$@\" 2>/dev/null"])
        .arg(command.get_program());
    command = shell;
    let (status, text) = run(command.args(arguments), input, LIMIT).unwrap();
    assert!(status.success(), "{text}");
    text
}

#[test]
fn captures_and_the_lines_said_of_them_make_the_same_report() {
    let entries = std::fs::read_dir(captures()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "pcap")) {
        let path = path.to_str().unwrap();
        let of_capture = tracer(&["report", path, "--format", "json"], "");
        let lines = tracer(&["replay", path], "");
        let of_lines = tracer(&["report", "-", "--format", "json"], &lines);
        assert_eq!(of_capture, of_lines, "{path}");
        seen += 1;
    }
    assert!(seen > 5, "{seen} captures");
}

#[test]
fn what_is_no_file_of_the_agents_is_an_error_of_one_line() {
    let folder = std::env::temp_dir().join(format!("tds-tracer-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("strange");
    std::fs::write(&file, "{\"a\":1}\nnothing\n").unwrap();
    let mut command = Command::new(agent().unwrap());
    let output = command.arg("report").arg(&file).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("no line of it is the agent's"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
