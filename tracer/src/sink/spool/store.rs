//! The segments of a spool: files in a directory of its own, written by one thread and read by another.
//!
//! Records are appended to the newest segment and read from the oldest. A segment goes once all of it is acknowledged, or
//! when there is no room for more. How far the receiver has acknowledged stands in the file `acknowledged`.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::frame;
use crate::{record::Event, sink::Line};

/// Where it stands how far the receiver has acknowledged.
const ACKNOWLEDGED: &str = "acknowledged";
/// Held by whoever writes there.
const LOCK: &str = "lock";
/// What a segment's name ends in.
const SEGMENT: &str = "segment";
/// A segment has no more bytes than that, so that one that goes takes little with it.
const LARGEST: u64 = 4 << 20;
/// Segments in a full spool, at least.
const FEWEST: u64 = 8;

/// A place in the spool: which segment, and how many bytes of it lie before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// One file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// Bytes in it that were written.
    bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// Bytes of all segments, at most.
    most: u64,
    segments: VecDeque<Segment>,
    newest: File,
    acknowledged: Place,
    /// What was read and is being handed over ends here.
    read: Place,
    cursor: File,
    _lock: File,
}

/// What a spool lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gone {
    /// Records that gave way, by event.
    pub(super) events: BTreeMap<Event, u64>,
    /// Places in which something could not be read.
    pub(super) torn: u64,
}

impl Store {
    /// Opens the spool in this directory: what was torn is cut off and counted.
    pub(super) fn open(directory: &Path, most: u64) -> io::Result<(Self, Gone)> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let lock = file(&directory.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_held| io::Error::other("another agent writes there"))?;
        let cursor = file(&directory.join(ACKNOWLEDGED))?;
        let mut gone = Gone::default();
        let mut segments = VecDeque::new();
        for number in numbers(directory)? {
            let path = path(directory, number);
            let bytes = fs::read(&path)?;
            let (records, whole) = frame::records(&bytes);
            // One that was only begun held nothing.
            let is_begun = frame::MAGIC.starts_with(&bytes);
            gone.torn += u64::from(whole < bytes.len() && !is_begun);
            if records.is_empty() {
                fs::remove_file(&path)?;
                continue;
            }
            if whole < bytes.len() {
                file(&path)?.set_len(whole as u64)?;
            }
            let bytes = whole as u64;
            segments.push_back(Segment { number, bytes });
        }
        let acknowledged = place(&cursor).unwrap_or_default();
        let last = segments.back().map_or(0, |segment| segment.number);
        let number = last.max(acknowledged.segment) + 1;
        let newest = begin(directory, number)?;
        segments.push_back(Segment {
            number,
            bytes: frame::MAGIC.len() as u64,
        });
        let mut store = Self {
            directory: directory.to_owned(),
            most,
            segments,
            newest,
            acknowledged,
            read: acknowledged,
            cursor,
            _lock: lock,
        };
        store.remove_acknowledged();
        Ok((store, gone))
    }

    /// Writes records that were put together by [`frame::append`]; says what had to give way.
    pub(super) fn write(&mut self, frames: &[u8]) -> io::Result<Gone> {
        let ahead = frames.len() as u64;
        if self.newest_bytes() + ahead > self.largest() {
            self.rotate()?;
        }
        let mut gone = Gone::default();
        while self.bytes() + ahead > self.most
            && let Some(at) = self.least_wanted()
        {
            self.remove(at, &mut gone)?;
        }
        let before = self.newest_bytes();
        if let Err(error) = self.newest.write_all(frames) {
            // Half a record would hide those behind it.
            self.newest.set_len(before)?;
            return Err(error);
        }
        if let Some(newest) = self.segments.back_mut() {
            newest.bytes += ahead;
        }
        Ok(gone)
    }

    /// Records that were not handed over yet, with the place behind the last; none where there are none. Places that
    /// can not be read are passed over and counted.
    pub(super) fn next(&mut self, records: usize, bytes: usize) -> io::Result<(Vec<Line>, Gone)> {
        let mut gone = Gone::default();
        loop {
            let Some(segment) = self.reading() else {
                return Ok((Vec::new(), gone));
            };
            let is_begun = segment.number == self.read.segment;
            let before = if is_begun { self.read.offset } else { 0 };
            let from = before.max(frame::MAGIC.len() as u64);
            let most = (segment.bytes.saturating_sub(from)).min(bytes as u64) as usize;
            let mut content = vec![0; most];
            let file = File::open(path(&self.directory, segment.number))?;
            file.read_exact_at(&mut content, from)?;
            let mut lines = Vec::new();
            let mut taken = 0;
            while lines.len() < records
                && let Some((line, size)) = frame::first(&content[taken..])
            {
                lines.push(line);
                taken += size;
            }
            self.read = Place {
                segment: segment.number,
                offset: from + taken as u64,
            };
            if !lines.is_empty() {
                return Ok((lines, gone));
            }
            gone.torn += 1;
            self.read.offset = segment.bytes;
        }
    }

    /// Whether there is anything that was not handed over.
    pub(super) fn has_more(&self) -> bool {
        self.reading().is_some()
    }

    /// What was read last is with the receiver, or lost: it is not read again.
    pub(super) fn acknowledge(&mut self) -> io::Result<()> {
        self.acknowledged = self.acknowledged.max(self.read);
        let mut text = [0; 20];
        text[..8].copy_from_slice(&self.acknowledged.segment.to_le_bytes());
        text[8..16].copy_from_slice(&self.acknowledged.offset.to_le_bytes());
        let crc = crc32fast::hash(&text[..16]);
        text[16..].copy_from_slice(&crc.to_le_bytes());
        self.cursor.write_all_at(&text, 0)?;
        self.remove_acknowledged();
        Ok(())
    }

    /// Bytes that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        let left = self.segments.iter().map(|segment| {
            let before = match segment.number.cmp(&self.acknowledged.segment) {
                std::cmp::Ordering::Less => segment.bytes,
                std::cmp::Ordering::Equal => self.acknowledged.offset,
                std::cmp::Ordering::Greater => 0,
            };
            let head = frame::MAGIC.len() as u64;
            segment.bytes.saturating_sub(before.max(head))
        });
        left.sum()
    }

    /// The oldest segment of which not all was read.
    fn reading(&self) -> Option<Segment> {
        let head = frame::MAGIC.len() as u64;
        let is_unread = |segment: &&Segment| match segment.number.cmp(&self.read.segment) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => segment.bytes > self.read.offset.max(head),
            std::cmp::Ordering::Greater => segment.bytes > head,
        };
        let segment = self.segments.iter().find(is_unread).copied()?;
        Some(segment)
    }

    fn largest(&self) -> u64 {
        (self.most / FEWEST).min(LARGEST)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn newest_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.bytes)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.segments.back().map_or(0, |newest| newest.number) + 1;
        self.newest = begin(&self.directory, number)?;
        self.segments.push_back(Segment {
            number,
            bytes: frame::MAGIC.len() as u64,
        });
        self.remove_acknowledged();
        Ok(())
    }

    /// The oldest segment but the newest and the one of which something is being handed over: whether the receiver
    /// gets that is not known yet, and it comes again where it does not.
    fn least_wanted(&self) -> Option<usize> {
        let under_way = (self.read > self.acknowledged).then_some(self.read.segment);
        let older = self.segments.len().saturating_sub(1);
        let mut older = self.segments.iter().take(older);
        older.position(|segment| Some(segment.number) != under_way)
    }

    /// Removes a segment, whatever the receiver has of it: what it has not is counted.
    fn remove(&mut self, at: usize, gone: &mut Gone) -> io::Result<()> {
        let Some(segment) = self.segments.remove(at) else {
            return Ok(());
        };
        let path = path(&self.directory, segment.number);
        let mut bytes = Vec::new();
        File::open(&path)?.read_to_end(&mut bytes)?;
        // What was read before is acknowledged, or was torn and is counted as that.
        let before = match segment.number.cmp(&self.read.segment) {
            std::cmp::Ordering::Less => segment.bytes,
            std::cmp::Ordering::Equal => self.read.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let mut at = before.max(frame::MAGIC.len() as u64) as usize;
        while let Some((line, size)) = bytes.get(at..).and_then(frame::first) {
            *gone.events.entry(line.event).or_default() += 1;
            at += size;
        }
        fs::remove_file(path)
    }

    /// Removes the segments of which all is acknowledged; the newest stays.
    fn remove_acknowledged(&mut self) {
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front()
            && (oldest.number < self.acknowledged.segment
                || (oldest.number == self.acknowledged.segment
                    && oldest.bytes <= self.acknowledged.offset))
        {
            // Where it can not be removed it is passed over all the same, and again at the next start.
            drop(fs::remove_file(path(&self.directory, oldest.number)));
            self.segments.pop_front();
        }
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{SEGMENT}"))
}

/// Opens a file that only its owner reads.
fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// Begins a segment.
fn begin(directory: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    let mut file = options.open(path(directory, number))?;
    file.write_all(frame::MAGIC)?;
    Ok(file)
}

/// The segments that are there, in order.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_segment = path.extension().is_some_and(|end| end == SEGMENT);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if is_segment && let Some(number) = stem.and_then(|stem| stem.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The place that stands in the file; none where it is damaged, as in a spool that begins.
fn place(cursor: &File) -> Option<Place> {
    let mut text = [0; 20];
    cursor.read_exact_at(&mut text, 0).ok()?;
    let (content, crc) = text.split_last_chunk::<4>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (segment, offset) = content.split_first_chunk::<8>()?;
    Some(Place {
        segment: u64::from_le_bytes(*segment),
        offset: u64::from_le_bytes(*offset.first_chunk()?),
    })
}

#[cfg(test)]
mod tests;
