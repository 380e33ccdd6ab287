//! Where lines go, as the thread that writes sees it.

use std::{
    io::{self, BufWriter, Write as _},
    sync::Arc,
};

use super::{figures::Figures, file::Target, line::Line, shared::Shared};
use crate::{confine::Needs, record::Timestamp};

/// What a sink has once it is at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// It needs no more than this, where that is said.
    pub(super) needs: Option<Needs>,
    /// What is counted and measured, where it is.
    pub(super) figures: Option<Arc<dyn Figures>>,
}

/// Where lines go.
pub(super) trait Outlet: Send {
    /// Takes a line; it may keep it until it is told to flush.
    fn take(&mut self, line: &Line) -> io::Result<()>;

    /// Whether lines that it took wait for a flush.
    fn is_waiting(&self) -> bool;

    /// Lets go of all that it took.
    fn flush(&mut self) -> io::Result<()>;

    /// From now on it is at work, with this; whatever it has running gives up what it does not need.
    fn begin(&mut self, _start: &Start) {}

    /// No more lines come.
    fn end(&mut self) {}

    /// Whether lines that it took are lost, and nobody was told.
    fn lacks_lines(&self) -> bool {
        false
    }
}

/// Bytes, one line after the other: a file, a pipe, a terminal.
pub(super) struct Stream {
    /// None once it is given up.
    target: Option<BufWriter<Box<dyn Target>>>,
    shared: Arc<Shared>,
    /// The first and the last line since all was written.
    between: Option<(Timestamp, Timestamp)>,
}

impl Stream {
    pub(super) fn new(target: Box<dyn Target>, shared: Arc<Shared>) -> Self {
        Self {
            target: Some(BufWriter::with_capacity(64 * 1024, target)),
            shared,
            between: None,
        }
    }
}

impl Outlet for Stream {
    fn take(&mut self, line: &Line) -> io::Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let (first, _) = self.between.unwrap_or((line.at, line.at));
        self.between = Some((first, line.at));
        let ahead = target.buffer().len() + line.bytes.len();
        if !target.get_ref().has_room(ahead) {
            target.flush()?;
            target.get_mut().make_room(line.bytes.len())?;
        }
        target.write_all(&line.bytes)
    }

    fn is_waiting(&self) -> bool {
        let mut buffers = self.target.iter().map(BufWriter::buffer);
        buffers.any(|buffer| !buffer.is_empty())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        target.flush()?;
        let lost = target.get_mut().take_lost();
        if let Some((since, until)) = self.between {
            self.shared.count_unwritten(lost, since, until);
        }
        if target.get_ref().lost() == 0 {
            self.between = None;
        }
        Ok(())
    }

    fn lacks_lines(&self) -> bool {
        let mut targets = self.target.iter().map(BufWriter::get_ref);
        targets.any(|target| target.lost() > 0)
    }
}

/// A buffer that could not be written is given up, or its drop would try once more.
impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            drop(target.into_parts());
        }
    }
}
