//! The laboratory's short form: faults that take little time, once each, by real drivers.

use harness::lab::{Options, missing, page, run};
use harness::root_or_skip;

/// Another one than those that confidences were set and measured with.
const SEED: u64 = 3;

#[test]
fn faults_that_real_drivers_meet_are_told_by_their_causes() {
    root_or_skip!("the laboratory");
    if missing() {
        return;
    }
    let score = run(&Options {
        only: Vec::new(),
        runs: 1,
        seed: SEED,
        quick: true,
        jobs: 4,
        lines: None,
    })
    .unwrap();
    let (all, wrong) = (score.of(None), page::wrong(&score).unwrap());
    let text = page::text(&score).unwrap();
    // A login may be held up by something else as well, where others use the machine.
    assert!(
        all.count >= 12 && all.right + 3 >= all.count,
        "{wrong}\n{text}"
    );
    let alarms = score.alarms();
    let at_once = alarms.iter().filter(|verdict| verdict.took < 1_000_000_000);
    assert_eq!(at_once.count(), 0, "healthy, and told a cause:\n{text}");
    let (replayed, same) = score.agreed();
    assert!(replayed > 0 && same + 1 >= replayed, "{wrong}\n{text}");
}
