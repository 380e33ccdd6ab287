use std::{
    fs,
    io::{self, PipeReader, Read},
    time::Duration,
};

use serde_json::Value;

use super::{Output, Overflow, Sent};
use crate::{
    record::{LineFormat, Naming, samples},
    sink::{Destination, Filter, file::Endless},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn render() -> LineFormat {
    LineFormat::new("sql1", Naming::Native)
}

fn pipe(overflow: Overflow, capacity: usize) -> (PipeReader, Output) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let target = Box::new(Endless(writer));
    (
        reader,
        Output::start(
            target,
            Box::new(render()),
            Filter::default(),
            overflow,
            capacity,
        ),
    )
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_reader_that_stops_reading_blocks_nobody_and_every_record_is_written_or_counted() {
    const RECORDS: u64 = 5000;
    let (mut reader, mut output) = pipe(Overflow::Drop, 8);
    let dropped = (0..RECORDS)
        .filter(|_| output.send(samples::login()) == Sent::Dropped)
        .count() as u64;
    assert!(dropped > 0, "the pipe took everything");

    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let summary = output.finish(PATIENCE).expect("an end");
    let lines = lines(&reading.join().expect("a reader").expect("text"));
    let logins = lines.iter().filter(|line| line["event"] == "login").count() as u64;
    let counted: u64 = lines
        .iter()
        .filter(|line| line["loss"]["reason"] == "output_blocked")
        .filter_map(|line| line["loss"]["count"].as_u64())
        .sum();
    assert_eq!(counted, dropped);
    assert_eq!(logins + counted, RECORDS);
    assert_eq!(summary.dropped, dropped);
    assert_eq!(summary.written, lines.len() as u64);
    let numbered = (1..)
        .zip(&lines)
        .all(|(number, line)| line["line"] == number);
    assert!(numbered, "lines about loss are numbered with the others");
}

#[test]
fn a_reader_that_never_reads_again_does_not_keep_the_agent_from_stopping() {
    let (_reader, mut output) = pipe(Overflow::Drop, 8);
    // Until the pipe and every buffer before it are full, not the queue alone.
    let mut dropped_in_a_row = 0;
    while dropped_in_a_row < 100 {
        let dropped = output.send(samples::login()) == Sent::Dropped;
        dropped_in_a_row = if dropped { dropped_in_a_row + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = output
        .finish(Duration::from_millis(50))
        .expect_err("a time-out");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn an_output_is_behind_while_its_reader_is_and_no_longer() {
    let (mut reader, mut output) = pipe(Overflow::Drop, 8);
    assert!(!output.is_behind());
    while output.send(samples::login()) != Sent::Dropped {}
    assert!(output.is_behind());
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let end = std::time::Instant::now() + PATIENCE;
    while output.is_behind() {
        assert!(std::time::Instant::now() < end, "it is behind for ever");
        std::thread::sleep(Duration::from_millis(1));
    }
    output.finish(PATIENCE).expect("an end");
    assert!(reading.join().expect("a reader").is_ok());
}

#[test]
fn a_reader_that_left_is_a_clean_end() {
    let (reader, mut output) = pipe(Overflow::Wait, 8);
    drop(reader);
    while output.send(samples::login()) != Sent::Closed {}
    assert!(output.is_closed());
    assert!(output.finish(PATIENCE).is_ok());
}

#[test]
fn a_replay_waits_for_its_reader_and_loses_nothing() {
    let (mut reader, mut output) = pipe(Overflow::Wait, 2);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    for _ in 0..500 {
        assert_eq!(output.send(samples::login()), Sent::Queued);
    }
    assert_eq!(output.finish(PATIENCE).expect("an end").written, 500);
    assert_eq!(
        lines(&reading.join().expect("a reader").expect("text")).len(),
        500
    );
}

#[test]
fn at_the_end_everything_is_written_for_a_reader_that_reads() {
    let (mut reader, mut output) = pipe(Overflow::Drop, 2);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    output.take_your_time(PATIENCE);
    for _ in 0..500 {
        assert_eq!(output.send(samples::login()), Sent::Queued);
    }
    assert_eq!(output.finish(PATIENCE).expect("an end").written, 500);
    assert!(reading.join().expect("a reader").is_ok());
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = std::env::temp_dir().join(format!("tds-tracer-reopen-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (path, moved) = (folder.join("events"), folder.join("events.1"));
    let destination = Destination::File(path.clone(), None);
    let mut output = Output::open(
        &destination,
        Box::new(render()),
        Filter::default(),
        Overflow::Wait,
    )
    .expect("an output");
    output.send(samples::login());
    while fs::metadata(&path).expect("the file").len() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::rename(&path, &moved).expect("moved");
    output.reopen(&destination).expect("opened");
    output.send(samples::agent());
    output.finish(PATIENCE).expect("an end");

    let events = |path| lines(&fs::read_to_string(path).expect("text"));
    assert_eq!(events(&moved)[0]["event"], "login");
    assert_eq!(events(&path)[0]["event"], "agent");
    fs::remove_dir_all(&folder).expect("cleaned up");
}

#[test]
fn what_nobody_asked_for_is_not_written() {
    let (_reader, mut output) = pipe(Overflow::Wait, 8);
    assert_eq!(output.send(samples::phase()), Sent::Filtered);
    assert_eq!(output.finish(PATIENCE).expect("an end").written, 0);
}
