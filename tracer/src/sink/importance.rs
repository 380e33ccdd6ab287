//! What goes first where a queue has no room for all.

use crate::record::{Body, Event, Nanos, Record, Severity};

/// What is slow where nobody says from when on.
const SLOW: Nanos = Nanos(1_000_000_000);
/// A queue's room in parts.
const PARTS: usize = 8;

/// How many of `capacity` places may be taken when this record comes. What matters less leaves room for what matters
/// more: requests go first; what the agent says of itself, of losses and incidents goes last.
pub(super) fn room(record: &Record, slow: Option<Nanos>, capacity: usize) -> usize {
    let parts = match record.body.event() {
        Event::Agent | Event::Loss | Event::Incident => PARTS,
        _ if is_notable(&record.body, slow) => PARTS - 1,
        Event::Request => PARTS - 4,
        Event::Phase | Event::Mars => PARTS - 3,
        Event::Login | Event::Pending | Event::Close | Event::Lookup | Event::Attempt => PARTS - 2,
    };
    (capacity * parts / PARTS).max(1)
}

/// Whether something went wrong, or was slow.
fn is_notable(body: &Body, slow: Option<Nanos>) -> bool {
    body.severity(slow.or(Some(SLOW))) > Severity::Info
}

#[cfg(test)]
mod tests {
    use super::room;
    use crate::record::{Body, Nanos, Record, samples};

    fn lasting(seconds: u64) -> Record {
        let mut record = samples::login();
        let Body::Login(login) = &mut record.body else {
            unreachable!("a login")
        };
        login.facts.login.duration_ns = Some(Nanos(seconds * 1_000_000_000));
        record
    }

    #[test]
    fn requests_go_first_then_what_went_well_then_what_did_not() {
        let of = |record| room(&record, None, 4096);
        let order = [
            of(samples::request()),
            of(samples::phase()),
            of(samples::login()),
            of(samples::failed()),
            of(samples::loss()),
        ];
        assert!(order.is_sorted_by(|less, more| less < more), "{order:?}");
        assert_eq!(of(samples::agent()), 4096);
        assert_eq!(of(samples::incident()), 4096);
    }

    #[test]
    fn what_was_slow_goes_after_what_was_not_also_where_nobody_says_what_that_is() {
        let of = |record, slow| room(&record, slow, 4096);
        assert_eq!(of(lasting(2), None), of(samples::failed(), None));
        assert_eq!(of(lasting(1), None), of(samples::login(), None));
        let slow = Some(Nanos(5_000_000_000));
        assert_eq!(of(lasting(2), slow), of(samples::login(), slow));
        assert_eq!(of(lasting(6), slow), of(samples::failed(), slow));
    }

    #[test]
    fn a_queue_of_one_takes_anything() {
        assert_eq!(room(&samples::request(), None, 1), 1);
    }
}
