//! SQL Server is silent towards several logins at once.

use crate::{
    record::{PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, errors::NO_THREAD},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_threads_exhausted",
    whom: Some(Whom::Database),
    meaning: "SQL Server had no free worker",
    seen: "the server answered with error {error}|{unanswered?}the server {was_asked} and did not \
           answer for {waited_ns}, with \
           {stalled_with_it} other logins waiting|the server {was_asked} and answered \
           {waited_ns} later, with {stalled_with_it} other logins waiting",
    fits,
    page: Page {
        means: "The server's kernel takes connections and acknowledges what arrives, but SQL Server has \
            no worker thread for a login. All logins stall at the same place and go on together once \
            workers come free.",
        signs: "The server is silent in PRELOGIN, TLS or LOGIN7 for a second or more; at least two \
            others stall in that phase at the same time (`stalled_with_it`), and are answered at the \
            same moment (`released_together`), the surer where they had asked at other moments \
            (`released_whenever_they_came`); or others are answered one step after the other \
            while it waits (`answered_before_it`).",
        against: "Logins that begin and succeed meanwhile (`passed_meanwhile`): whoever has no worker lets \
            nobody past. A stall of one login alone; logins that each wait as \
            long as the others, whenever they came; answers in no order, or sooner one after the other \
            than they could be where a few are worked on at a time.",
        confirm: "`sys.dm_os_schedulers` (`work_queue_count` above 0), waits of `THREADPOOL` in \
            `sys.dm_os_wait_stats`, the dedicated administrator connection still answers. In the \
            connectivity ring buffer (`sys.dm_os_ring_buffers`, `RING_BUFFER_CONNECTIVITY`) and \
            XEvent `process_login_finish` a long *enqueue* time.",
        mend: "Find what holds the workers: most often one blocked chain \
            (`sys.dm_exec_requests.blocking_session_id`) or parallel plans of too many sessions. \
            Only then think of `max worker threads`. Applications: pool connections, limit the pool.",
        reports: &["dotnet/SqlClient#3118 (the opposite case: the client was starved)"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if symptoms.has_error(NO_THREAD) {
        return Some(Found::at(0.95).with("error", NO_THREAD));
    }
    let stall = symptoms.server_stall()?;
    let phases = [PhaseName::Prelogin, PhaseName::Tls, PhaseName::Login];
    let around = &symptoms.around;
    if !phases.contains(&stall.phase) || around.stalled < 2 && !symptoms.follows() {
        return None;
    }
    let crowd = if around.stalled >= 5 { 0.1 } else { 0.0 };
    let mut confidence = crowd
        + match () {
            // Each takes its time, whenever it came, and however many wait.
            () if around.own_pace >= 2 && around.own_pace > around.joined && !symptoms.queues() => {
                0.2
            }
            // Whoever waits for the same thing is released at the same time, whenever it came.
            () if around.joined >= 2 => 0.85,
            // They do not wait for each other.
            () if around.released < 2 && symptoms.goes_abreast() => 0.25,
            // They wait for each other, though not all in their order.
            () if around.steps >= 2 && around.ahead >= 1 && around.is_mixed() => 0.55,
            // They wait for each other.
            () if around.steps >= 2 && around.ahead >= 1 => 0.75,
            // It waited for one other.
            () if symptoms.follows() => 0.6,
            // They came together and left together.
            () if around.released >= 2 => 0.55,
            // It was answered, and they were not yet.
            () if !symptoms.stopped_at(stall.phase) => 0.5,
            () => 0.7,
        };
    // Without a worker nobody gets past.
    if around.passed >= 3 {
        confidence -= 0.4;
    }
    let found = Found::at(confidence)
        .with("stalled_with_it", around.stalled)
        .counted("released_together", around.released)
        .counted("released_whenever_they_came", around.joined)
        .counted("answered_before_it", around.steps)
        .counted("passed_meanwhile", around.passed);
    Some(found.counted("in_flight", around.in_flight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::{
        Spread,
        symptoms::Who,
        tests::{fits, misses, slow},
    };

    fn crowd() -> Symptoms<'static> {
        let mut crowd = slow(PhaseName::Prelogin, Who::Server);
        (crowd.around.stalled, crowd.around.released) = (63, 60);
        crowd.around.joined = 50;
        crowd
    }

    #[test]
    fn a_crowd_that_is_released_together_waited_for_a_worker() {
        assert!(fits(&CAUSE, &crowd()) >= 0.9);
    }

    #[test]
    fn one_login_alone_and_one_that_others_get_past_did_not() {
        let alone = slow(PhaseName::Prelogin, Who::Server);
        assert!(misses(&CAUSE, &alone));
        let mut passed = crowd();
        passed.around.passed = 10;
        assert!(fits(&CAUSE, &passed) < 0.6);
    }

    #[test]
    fn a_crowd_that_is_let_in_a_few_at_a_time_waits_for_few_workers() {
        let mut steps = slow(PhaseName::Prelogin, Who::Server);
        (steps.around.stalled, steps.around.released) = (20, 3);
        (steps.around.steps, steps.around.ahead) = (5, 20);
        assert!(fits(&CAUSE, &steps) > 0.8);
    }

    #[test]
    fn logins_that_each_wait_as_long_whenever_they_came_do_not_wait_for_each_other() {
        let mut paced = slow(PhaseName::Prelogin, Who::Server);
        (paced.around.stalled, paced.around.own_pace) = (20, 18);
        assert!(fits(&CAUSE, &paced) < 0.4);
        let mut at_once = crowd();
        at_once.around.joined = 0;
        let sure = fits(&CAUSE, &at_once);
        assert!(
            (0.5..0.7).contains(&sure),
            "they came and left together: {sure}"
        );
    }

    #[test]
    fn a_batch_that_waits_as_long_as_each_other_but_longer_than_one_alone_waits_for_few_workers() {
        let mut batch = slow(PhaseName::Prelogin, Who::Server);
        let took = batch.worst().expect("a wait").took;
        (batch.around.stalled, batch.around.own_pace) = (5, 2);
        (batch.around.steps, batch.around.ahead) = (3, 4);
        assert!(fits(&CAUSE, &batch) >= 0.8, "who is alone is not known");
        batch.around.alone = Spread {
            count: 1,
            least: took,
            most: took,
        };
        assert!(fits(&CAUSE, &batch) < 0.4, "who is alone waits as long");
        batch.around.alone.most = took / 2;
        assert!(fits(&CAUSE, &batch) >= 0.8);
    }

    #[test]
    fn what_waits_for_a_domain_controller_does_not_wait_for_a_worker() {
        let mut auth = slow(PhaseName::Auth, Who::Server);
        auth.around.stalled = 20;
        assert!(misses(&CAUSE, &auth));
    }
}
