//! The sweep: every connection of every capture, changed in every way that a network, a side or the
//! start of the agent can change it; of each variant is known from its bytes what must be said.

pub mod engine;
pub mod expect;
pub mod kinds;
pub mod packet;
pub mod report;
mod scenarios;
pub mod sources;
pub mod truth;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use self::{kinds::Kind, report::Report, sources::Connection};

/// Sweeps connections through some kinds of variants, on as many threads.
pub fn sweep(connections: &[Connection], kinds: &[Kind], threads: usize) -> Report {
    let (next, whole) = (AtomicUsize::new(0), Mutex::new(Report::default()));
    let work = || {
        let mut report = Report::default();
        while let Some(connection) = connections.get(next.fetch_add(1, Ordering::Relaxed)) {
            for kind in kinds {
                kind.each(connection, &mut |variant| {
                    let said = engine::lines(&variant.input, connection.port);
                    report.add(
                        *kind,
                        &connection.name,
                        &variant,
                        &variant.expected.judge(&said),
                    );
                });
            }
        }
        // A thread that panicked ends the test anyway.
        whole.lock().expect("no panic").merge(report);
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    whole.into_inner().expect("no panic")
}
