use std::{fs, os::unix::net::UnixListener};

use super::*;

const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tds-tracer-cri-{}-{name}", std::process::id()))
}

#[test]
fn whoever_asks_a_silent_runtime_waits_once_and_asks_for_each_container_once() {
    let socket = socket("silent");
    // It takes connections, and says nothing.
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = Asked::at(socket.clone(), false).unwrap();
    assert_eq!(asked.about(ID), None);
    assert!(asked.answers.told().waits.is_late);
    let later = Instant::now() + PERIOD;
    assert_eq!(asked.answers.told().waits.left(later), Duration::ZERO);
    for _ in 0..2 * WAITING {
        assert_eq!(asked.about(ID), None);
    }
    assert!(asked.questions.try_send(String::new()).is_ok());
    for number in 0..2 * WAITING {
        assert_eq!(asked.about(&number.to_string()), None);
    }
    let told = asked.answers.told();
    let waiting = told.noted.values().filter(|noted| noted.is_none());
    assert!(waiting.count() <= WAITING + 1);
    drop(told);
    drop(listener);
    fs::remove_file(socket).unwrap();
}

#[test]
fn no_more_than_a_moment_of_each_second_is_waited_for_answers() {
    let now = Instant::now();
    let mut waits = Waits::default();
    assert_eq!(waits.left(now), MOMENT);
    waits.so_far += MOMENT / 2;
    assert_eq!(waits.left(now + PERIOD / 2), MOMENT / 2);
    waits.so_far += MOMENT;
    assert_eq!(waits.left(now + PERIOD / 2), Duration::ZERO);
    assert_eq!(waits.left(now + PERIOD), MOMENT);
}

#[test]
fn answers_that_nobody_takes_are_bounded_and_a_quick_one_is_waited_for_again() {
    let answers = Answers::default();
    for number in 0..3 * ANSWERS {
        answers.tell(number.to_string(), Noted::default(), MOMENT);
    }
    assert!(answers.told().noted.len() <= ANSWERS);
    assert!(answers.told().waits.is_late);
    answers.tell(ID.to_owned(), Noted::default(), Duration::ZERO);
    assert!(!answers.told().waits.is_late);
}
