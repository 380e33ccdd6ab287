//! Segments that are missing: in the middle, at the start, at the end.

use harness::replay::Frame;

use super::{CAPTURES, EASILY_MISREAD, check, connection, honest, logins};

#[test]
fn of_a_login_whose_segments_were_lost_nothing_untrue_is_said() {
    check(|frames, places| {
        let mut lossy = frames.to_vec();
        for (index, _) in places {
            let index = usize::from(index) % lossy.len().max(1);
            if lossy.len() > 1 {
                lossy.remove(index);
            }
        }
        honest::login(&lossy, frames)
    });
}

#[test]
fn each_single_segment_may_be_lost() {
    for name in CAPTURES.into_iter().chain(EASILY_MISREAD) {
        let frames = connection(name);
        for index in 0..frames.len() {
            let mut lossy = frames.clone();
            let lost = lossy.remove(index);
            // Who ends a sealed connection is what its outcome is inferred from.
            let ends = lost.ends_a_side();
            if ends && EASILY_MISREAD.contains(&name) {
                continue;
            }
            let mut result = honest::login(&lossy, &frames);
            if !ends {
                result = result.and_then(|()| honest::close(&lossy, &frames));
            }
            if let Err(error) = result {
                panic!("{name} without segment {index}: {error}");
            }
        }
    }
}

#[test]
fn a_syn_ack_that_was_lost_changes_neither_phases_nor_name_nor_outcome() {
    for name in CAPTURES.into_iter().chain(EASILY_MISREAD) {
        let frames = connection(name);
        let (Some(lost), truths) = (frames.iter().position(Frame::is_syn_ack), logins(&frames))
        else {
            continue;
        };
        let mut lossy = frames.clone();
        lossy.remove(lost);
        for login in logins(&lossy) {
            let truth = truths
                .iter()
                .find(|truth| truth["client"] == login["client"])
                .unwrap();
            for path in ["/connection/id", "/login/outcome", "/login/duration_ns"] {
                assert_eq!(login.pointer(path), truth.pointer(path), "{name} {path}");
            }
            for (phase, of) in login["phases"].as_object().unwrap() {
                let truth = &truth["phases"][phase];
                assert_eq!(of["start_ns"], truth["start_ns"], "{name} {phase}");
                assert_eq!(of["duration_ns"], truth["duration_ns"], "{name} {phase}");
            }
        }
    }
}

#[test]
fn a_capture_may_start_and_end_anywhere() {
    for name in CAPTURES {
        let frames = connection(name);
        for index in 1..frames.len() {
            for part in [&frames[..index], &frames[index..]] {
                if let Err(error) = honest::login(part, &frames) {
                    panic!("{name}, {} of {}: {error}", part.len(), frames.len());
                }
            }
        }
    }
}
