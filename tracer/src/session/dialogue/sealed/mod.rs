//! Logins inside TLS: what the order, direction and size of sealed records tell.
//!
//! Records are kept as they come, and read anew when one more has come: a later record may show what
//! an earlier one was. Turns alternate: the client's login (in TDS 8.0 its PRELOGIN
//! before that), the server's reply. `sizes` says which lengths mean what, `turns` puts the records
//! together, `belief` draws the conclusions.

mod belief;
mod records;
mod sizes;
#[cfg(test)]
mod tests;
mod turns;

use std::{cell::OnceCell, sync::Arc};

pub(in crate::session) use self::{
    belief::{Belief, CONFIRMED, Leave, QUIET, REDIRECTED, UNNAMED},
    records::{Record, Terms},
    sizes::is_alert,
    turns::Reading,
};

/// Records kept of one login; a login has a few dozen. Beyond, a side's records are put together.
const MAX_RECORDS: usize = 128;

/// The sealed part of a login.
#[derive(Debug, Default)]
pub(in crate::session) struct Sealed {
    records: Vec<Record>,
    /// What they were read as since the last one came.
    reading: OnceCell<Arc<Reading>>,
}

impl Sealed {
    /// One more record.
    pub(in crate::session) fn push(&mut self, record: Record) {
        self.reading.take();
        let count = self.records.len();
        let full = count >= MAX_RECORDS;
        match self
            .records
            .last_mut()
            .filter(|last| full && last.side == record.side)
        {
            Some(last) => {
                last.to = last.to.max(record.to);
                last.len = last.len.saturating_add(record.len);
            }
            None if count < 2 * MAX_RECORDS => self.records.push(record),
            None => {}
        }
    }

    /// Whether there is no record.
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What the records say.
    pub(in crate::session) fn read(&self, terms: Terms) -> Arc<Reading> {
        let known = self.reading.get_or_init(|| self.read_anew(terms));
        // What the terms are may change between two records, though it hardly does.
        if known.terms == terms {
            Arc::clone(known)
        } else {
            self.read_anew(terms)
        }
    }

    fn read_anew(&self, terms: Terms) -> Arc<Reading> {
        Arc::new(turns::read(&self.records, terms))
    }

    /// The records from one on.
    pub(in crate::session) fn from(&self, first: usize) -> &[Record] {
        self.records.get(first..).unwrap_or_default()
    }
}
