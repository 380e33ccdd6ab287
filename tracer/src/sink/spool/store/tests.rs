use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use proptest::prelude::*;

use super::*;
use crate::record::{Severity, Timestamp};

/// A directory of its own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tds-tracer-spool-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    fn open(&self, most: u64) -> (Store, Gone) {
        Store::open(&self.0, most).expect("a spool")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let numbers = numbers(&self.0).expect("a directory");
        numbers
            .iter()
            .map(|number| path(&self.0, *number))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const ROOM: u64 = 1 << 20;

fn line(number: u64) -> Line {
    Line {
        event: Event::Login,
        severity: Severity::Info,
        at: Timestamp(number),
        bytes: format!("{{\"line\":{number}}}\n").into_bytes(),
    }
}

fn write(store: &mut Store, numbers: impl IntoIterator<Item = u64>) -> Gone {
    let mut all = Gone::default();
    for number in numbers {
        let mut frames = Vec::new();
        frame::append(&line(number), &mut frames);
        let gone = store.write(&frames).expect("written");
        for (event, count) in gone.events {
            *all.events.entry(event).or_default() += count;
        }
    }
    all
}

/// Everything that is left, acknowledged as it is read.
fn rest(store: &mut Store) -> (Vec<u64>, u64) {
    let (mut numbers, mut torn) = (Vec::new(), 0);
    loop {
        let (lines, gone) = store.next(3, 4096).expect("read");
        torn += gone.torn;
        if lines.is_empty() {
            return (numbers, torn);
        }
        numbers.extend(lines.iter().map(|line| line.at.0));
        store.acknowledge().expect("acknowledged");
    }
}

#[test]
fn what_is_not_acknowledged_comes_again_after_a_start_and_nothing_else_does() {
    let folder = Folder::new("again");
    let (mut store, _) = folder.open(ROOM);
    write(&mut store, 1..=10);
    let (lines, _) = store.next(4, 4096).expect("read");
    assert_eq!(lines.len(), 4);
    store.acknowledge().expect("acknowledged");
    store.next(4, 4096).expect("read");
    drop(store);
    let (mut store, gone) = folder.open(ROOM);
    assert_eq!(gone, Gone::default());
    write(&mut store, 11..=12);
    assert_eq!(rest(&mut store).0, (5..=12).collect::<Vec<_>>());
    assert_eq!(store.unacknowledged(), 0);
    drop(store);
    let (mut store, _) = folder.open(ROOM);
    assert_eq!(rest(&mut store).0, Vec::<u64>::new());
    assert_eq!(folder.segments().len(), 1, "only the newest is kept");
}

#[test]
fn a_full_spool_gives_up_the_oldest_and_counts_them() {
    let folder = Folder::new("full");
    let (mut store, _) = folder.open(4096);
    let gone = write(&mut store, 1..=500);
    let lost = gone.events[&Event::Login];
    let (left, _) = rest(&mut store);
    assert_eq!(left, (lost + 1..=500).collect::<Vec<_>>());
    assert!(store.bytes() <= 4096);
    assert!(left.len() > 60, "{} are left", left.len());
}

#[test]
fn what_is_being_handed_over_stays_and_is_not_counted_as_lost() {
    for arrives in [true, false] {
        let folder = Folder::new("under-way");
        let (mut store, _) = folder.open(4096);
        write(&mut store, 1..=5);
        let (lines, _) = store.next(3, 4096).expect("read");
        assert_eq!(lines.len(), 3);
        let gone = write(&mut store, 6..=500);
        assert!(store.bytes() <= 4096);
        let lost = gone.events[&Event::Login];
        if arrives {
            store.acknowledge().expect("acknowledged");
        } else {
            // The agent ends before the receiver has them.
            drop(store);
            store = folder.open(4096).0;
        }
        let (left, torn) = rest(&mut store);
        let first = if arrives { 4 } else { 1 };
        let kept = left.iter().take_while(|number| **number <= 5);
        assert_eq!(
            kept.copied().collect::<Vec<_>>(),
            (first..=5).collect::<Vec<_>>()
        );
        assert_eq!(first - 1 + lost + left.len() as u64, 500);
        assert_eq!(torn, 0);
    }
}

#[test]
fn one_spool_has_one_agent() {
    let folder = Folder::new("one");
    let (_store, _) = folder.open(ROOM);
    let error = Store::open(&folder.0, ROOM).expect_err("it is held");
    assert!(error.to_string().contains("another agent"), "{error}");
}

#[test]
fn an_acknowledgement_that_is_damaged_lets_all_come_again() {
    let folder = Folder::new("damaged");
    let (mut store, _) = folder.open(ROOM);
    write(&mut store, 1..=6);
    store.next(2, 4096).expect("read");
    store.acknowledge().expect("acknowledged");
    drop(store);
    fs::write(folder.0.join(ACKNOWLEDGED), [7; 20]).expect("damaged");
    let (mut store, _) = folder.open(ROOM);
    assert_eq!(rest(&mut store).0, (1..=6).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn killed_at_any_byte_of_a_write_all_that_was_written_before_it_is_there(
        records in 1..12_u64, most in prop_oneof![Just(ROOM), Just(2048)], taken in 0..6_usize,
    ) {
        let folder = Folder::new("killed");
        let (mut store, _) = folder.open(most);
        let gone = write(&mut store, 1..=records);
        prop_assert!(gone.events.is_empty());
        let mut read = Vec::new();
        if taken > 0 {
            read = store.next(taken, 4096).expect("read").0;
            store.acknowledge().expect("acknowledged");
        }
        drop(store);
        let newest = folder.segments().pop().expect("a segment");
        let whole = fs::read(&newest).expect("bytes");
        // Of one more record, as many bytes as were written before the end.
        let mut frames = Vec::new();
        frame::append(&line(records + 1), &mut frames);
        for cut in 0..=frames.len() {
            let copy = Folder::new("copy");
            fs::create_dir_all(&copy.0).expect("a folder");
            for entry in fs::read_dir(&folder.0).expect("entries") {
                let path = entry.expect("an entry").path();
                fs::copy(&path, copy.0.join(path.file_name().expect("a name"))).expect("copied");
            }
            let torn = [&whole[..], &frames[..cut]].concat();
            fs::write(copy.0.join(newest.file_name().expect("a name")), torn).expect("torn");
            let (mut store, gone) = copy.open(most);
            prop_assert_eq!(gone.torn, u64::from(cut > 0 && cut < frames.len()));
            let last = records + u64::from(cut == frames.len());
            let first = read.len() as u64 + 1;
            prop_assert_eq!(rest(&mut store).0, (first..=last).collect::<Vec<_>>());
        }
    }
}

/// What the two threads of a spool do, and an end.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64),
    Read,
    Acknowledge,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..60_u64).prop_map(Step::Write),
        Just(Step::Read),
        Just(Step::Acknowledge),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_under_way_and_whenever_it_ends_each_record_is_taken_once_or_counted_once(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let folder = Folder::new("steps");
        let (mut store, _) = folder.open(2048);
        let (mut written, mut lost, mut taken) = (0, 0, Vec::new());
        let mut under_way = Vec::new();
        for step in steps {
            match step {
                Step::Write(count) => {
                    let gone = write(&mut store, written + 1..=written + count);
                    written += count;
                    lost += gone.events.values().sum::<u64>();
                    prop_assert!(store.bytes() <= 2048);
                }
                // The courier reads no more before it has handed over what it read.
                Step::Read if under_way.is_empty() => {
                    let (lines, gone) = store.next(7, 4096).expect("read");
                    prop_assert_eq!(gone, Gone::default());
                    under_way = lines.iter().map(|line| line.at.0).collect();
                }
                Step::Read => {}
                Step::Acknowledge => {
                    taken.append(&mut under_way);
                    store.acknowledge().expect("acknowledged");
                }
                Step::Restart => {
                    under_way.clear();
                    drop(store);
                    store = folder.open(2048).0;
                }
            }
        }
        taken.append(&mut under_way);
        store.acknowledge().expect("acknowledged");
        taken.extend(rest(&mut store).0);
        prop_assert!(taken.is_sorted_by(|one, other| one < other), "{:?}", taken);
        prop_assert_eq!(taken.len() as u64 + lost, written);
    }
}

/// The folder of a spool in which a child of the test below writes until it is killed, and its first record's number.
const KILLED: &str = "TDS_TRACER_SPOOL_UNTIL_KILLED";
const ITSELF: &str =
    "sink::spool::store::tests::killed_anywhere_all_that_was_written_is_there_and_in_order";
/// Records that the child reads and acknowledges at once, and how many it writes before it does.
const TAKEN: usize = 3;
const EACH: u64 = 5;
/// So few bytes that a segment has some dozens of records.
const TIGHT: u64 = 32 << 10;

/// Writes, says so, and takes some of it now and then; says of each how far it came.
fn write_until_killed(told: &str) {
    let (folder, first) = told.split_once('|').expect("a folder and a number");
    let (mut store, _) = Store::open(Path::new(folder), TIGHT).expect("a spool");
    for number in first.parse().expect("a number").. {
        write(&mut store, [number]);
        println!("written {number}");
        if number % EACH == 0 {
            while store.unacknowledged() > TIGHT / 2 {
                let (lines, _) = store.next(TAKEN, 4096).expect("read");
                store.acknowledge().expect("acknowledged");
                let last = lines.last().expect("a line").at.0;
                println!("acknowledged {last}");
            }
        }
    }
}

#[test]
fn killed_anywhere_all_that_was_written_is_there_and_in_order() {
    if let Ok(told) = std::env::var(KILLED) {
        write_until_killed(&told);
        return;
    }
    let folder = Folder::new("anywhere");
    let (mut written, mut acknowledged) = (0, 0);
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("itself"))
            .args(["--exact", ITSELF, "--nocapture"])
            .env(KILLED, format!("{}|{}", folder.0.display(), written + 1))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        // It goes on while it is told to stop: anywhere.
        let enough = 50 + getrandom::u32().expect("a number") % 1_000;
        let mut hear = |line: io::Result<String>| {
            let line = line.expect("a line");
            let mut words = line.split(' ');
            let (word, number) = (words.next(), words.next());
            let number = number.and_then(|number| number.parse().ok());
            match (word, number) {
                (Some("written"), Some(number)) => written = number,
                (Some("acknowledged"), Some(number)) => acknowledged = number,
                _ => {}
            }
        };
        said.by_ref().take(enough as usize).for_each(&mut hear);
        child.kill().expect("killed");
        // The last one may be cut.
        let rest: Vec<_> = said.collect();
        let whole = rest.len().saturating_sub(1);
        rest.into_iter().take(whole).for_each(&mut hear);
        child.wait().expect("its end");
        let (mut store, gone) = folder.open(TIGHT);
        assert!(gone.torn <= 1 && gone.events.is_empty(), "{gone:?}");
        let (left, torn) = rest_unacknowledged(&mut store);
        assert_eq!(torn, 0);
        let (first, last) = (left[0], left[left.len() - 1]);
        assert_eq!(left, (first..=last).collect::<Vec<_>>());
        assert!(
            (acknowledged + 1..=acknowledged + 1 + 2 * TAKEN as u64).contains(&first),
            "{first} after {acknowledged}"
        );
        assert!(
            (written..=written + 2).contains(&last),
            "{last}, and {written} was said"
        );
        written = last;
    }
}

/// Everything that is left, of which nothing is acknowledged.
fn rest_unacknowledged(store: &mut Store) -> (Vec<u64>, u64) {
    let (mut numbers, mut torn) = (Vec::new(), 0);
    loop {
        let (lines, gone) = store.next(64, 4096).expect("read");
        torn += gone.torn;
        if lines.is_empty() {
            return (numbers, torn);
        }
        numbers.extend(lines.iter().map(|line| line.at.0));
    }
}
