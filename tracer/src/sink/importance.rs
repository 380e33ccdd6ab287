//! What goes first where a queue has no room for all.

use crate::record::{Body, Event, Nanos, Record, Severity};

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
    body.severity(slow) > Severity::Info
}

#[cfg(test)]
mod tests {
    use super::room;
    use crate::record::samples;

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
    fn a_queue_of_one_takes_anything() {
        assert_eq!(room(&samples::request(), None, 1), 1);
    }
}
