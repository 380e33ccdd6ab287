//! Several captures read as one, by time: rotated files, or one file per interface.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    path::{Path, PathBuf},
};

use super::{
    open::{self, Progress, Source},
    reader::{Oddities, Packet, ReadError},
    timed::TimedReader,
};

/// A file that could not be read, or not to its end.
#[derive(Debug)]
pub struct Failure {
    /// The file.
    pub path: PathBuf,
    /// Why; the packets before the damage were read.
    pub error: ReadError,
}

/// Reads several captures in the order of their packets' times.
///
/// Every file is opened once to learn when it begins. Regular files are then closed again until
/// their time comes, so that a long series of rotated files needs no more memory than one.
/// Within a file the order of the file is kept.
#[derive(Debug, Default)]
pub struct Merge {
    files: Vec<FileSlot>,
    /// The next packet of each file that has one: its time, the time the file begins at, which of
    /// rotated files is the one that is ending, and the file's index.
    next: BinaryHeap<Reverse<(u64, u64, usize)>>,
    current: Option<usize>,
    failures: Vec<Failure>,
    progress: Progress,
}

#[derive(Debug)]
struct FileSlot {
    path: PathBuf,
    begins_ns: u64,
    reader: Option<TimedReader<Source>>,
    oddities: Oddities,
}

impl Merge {
    /// Looks into every file. Those that are no captures are in [`Self::failures`] afterwards.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut merge = Self::default();
        for path in paths {
            merge.add(path.as_ref());
        }
        merge
    }

    /// The next packet by time, and the index of its file among those that could be opened;
    /// `None` at the end of all files.
    #[expect(
        clippy::should_implement_trait,
        reason = "the packet borrows from its file, which an `Iterator` cannot say"
    )]
    pub fn next(&mut self) -> Option<(usize, Packet<'_>)> {
        if let Some(index) = self.current.take()
            && self.load(index)
        {
            self.queue(index);
        }
        while self.current.is_none()
            && let Some(Reverse((_, _, index))) = self.next.pop()
        {
            if self.files[index].reader.is_none() && !self.reopen(index) {
                continue;
            }
            self.current = Some(index);
        }
        let index = self.current?;
        let packet = self.files[index].reader.as_ref()?.current()?;
        Some((index, packet))
    }

    /// Files that could not be read, or not to their end, so far.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The files that are captures, with what was odd about each so far.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Oddities)> {
        self.files
            .iter()
            .map(|file| (file.path.as_path(), file.oddities))
    }

    /// A handle that counts the bytes read off the disk, over all files.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn add(&mut self, path: &Path) {
        let reopenable = open::is_reopenable(path);
        // A first look is no progress.
        let progress = if reopenable {
            Progress::default()
        } else {
            self.progress.clone()
        };
        let opened = open::open(path, &progress).and_then(|reader| {
            let mut reader = TimedReader::new(reader);
            reader.advance()?;
            Ok(reader)
        });
        match opened {
            Ok(reader) => {
                let begins = reader.current().map(|packet| packet.time_ns);
                if let Some(begins_ns) = begins {
                    let index = self.files.len();
                    self.next.push(Reverse((begins_ns, begins_ns, index)));
                }
                self.files.push(FileSlot {
                    path: path.to_owned(),
                    begins_ns: begins.unwrap_or_default(),
                    oddities: reader.oddities(),
                    reader: (!reopenable).then_some(reader),
                });
            }
            Err(error) => self.failures.push(Failure {
                path: path.to_owned(),
                error,
            }),
        }
    }

    fn reopen(&mut self, index: usize) -> bool {
        let path = self.files[index].path.clone();
        match open::open(&path, &self.progress) {
            Ok(reader) => self.files[index].reader = Some(TimedReader::new(reader)),
            Err(error) => {
                self.failures.push(Failure { path, error });
                return false;
            }
        }
        self.load(index)
    }

    /// Gives a file's next packet its place: nearly always the first.
    fn queue(&mut self, index: usize) {
        let file = &self.files[index];
        let Some(time_ns) = file.reader.as_ref().and_then(TimedReader::time_ns) else {
            return;
        };
        let next = Reverse((time_ns, file.begins_ns, index));
        if self.next.peek().is_none_or(|first| next > *first) {
            self.current = Some(index);
        } else {
            self.next.push(next);
        }
    }

    /// Reads a file's next packet, and closes the file when there is none.
    fn load(&mut self, index: usize) -> bool {
        let file = &mut self.files[index];
        let Some(reader) = &mut file.reader else {
            return false;
        };
        let more = reader.advance();
        file.oddities = reader.oddities();
        if matches!(more, Ok(true)) {
            return true;
        }
        file.reader = None;
        if let Err(error) = more {
            self.failures.push(Failure {
                path: file.path.clone(),
                error,
            });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::capture::test_files::Pcap;

    /// A directory of captures that is gone when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let id = std::process::id();
            let path = std::env::temp_dir().join(format!("tds-tracer-merge-{name}-{id}"));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, bytes).unwrap();
            path
        }

        fn capture(&self, name: &str, times: &[u64]) -> PathBuf {
            let mut pcap = Pcap::nanoseconds();
            for time_ns in times {
                pcap.packet(*time_ns, name.as_bytes());
            }
            self.file(name, &pcap.bytes)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn read(merge: &mut Merge) -> Vec<(u64, String)> {
        let mut read = Vec::new();
        while let Some((_, packet)) = merge.next() {
            let name = String::from_utf8(packet.data.to_vec()).unwrap();
            read.push((packet.time_ns, name));
        }
        read
    }

    #[test]
    fn packets_of_several_files_come_in_the_order_of_their_times() {
        let folder = Folder::new("order");
        let paths = [
            folder.capture("late", &[50, 60]),
            folder.capture("early", &[10, 20, 55]),
            folder.capture("none", &[]),
        ];
        let mut merge = Merge::open(&paths);
        let read = read(&mut merge);
        let times: Vec<_> = read.iter().map(|(time_ns, _)| *time_ns).collect();
        assert_eq!(times, [10, 20, 50, 55, 60]);
        assert_eq!(read[3].1, "early");
        assert!(merge.failures().is_empty());
        let sizes = paths.iter().map(|path| fs::metadata(path).unwrap().len());
        let empty_one = 24;
        assert_eq!(merge.progress().bytes(), sizes.sum::<u64>() - empty_one);
    }

    #[test]
    fn packets_of_one_time_come_first_from_the_file_that_began_first() {
        let folder = Folder::new("ties");
        let paths = [
            folder.capture("third", &[30, 40]),
            folder.capture("second", &[20, 30, 30]),
            folder.capture("first", &[10, 20]),
        ];
        let mut merge = Merge::open(&paths);
        let read = read(&mut merge);
        let names: Vec<_> = read.iter().map(|(_, name)| name.as_str()).collect();
        let expected = [
            "first", "first", "second", "second", "second", "third", "third",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_file_stays_in_its_own_order_even_where_its_clock_steps_back() {
        let folder = Folder::new("steps");
        let mut merge = Merge::open([folder.capture("a", &[30, 10, 20])]);
        let times: Vec<_> = read(&mut merge).iter().map(|(time, _)| *time).collect();
        assert_eq!(times, [30, 10, 20]);
    }

    #[test]
    fn rotated_files_are_open_one_at_a_time() {
        let folder = Folder::new("rotated");
        let paths = [
            folder.capture("2", &[30, 40]),
            folder.capture("1", &[10, 20]),
            folder.capture("3", &[50, 60]),
        ];
        let mut merge = Merge::open(&paths);
        while merge.next().is_some() {
            let open = merge.files.iter().filter(|file| file.reader.is_some());
            assert_eq!(open.count(), 1);
        }
    }

    #[test]
    fn bad_files_are_reported_and_the_good_ones_are_read() {
        let folder = Folder::new("bad");
        let mut damaged = Pcap::nanoseconds();
        damaged.packet(5, b"damaged");
        damaged.bytes.extend([0xFF; 40]);
        let mut cut = Pcap::nanoseconds();
        cut.packet(7, b"cut");
        cut.packet(8, b"gone");
        cut.bytes.truncate(cut.bytes.len() - 1);
        let mut merge = Merge::open([
            folder.file("empty", b""),
            folder.file("text", b"hello, world"),
            folder.file("damaged", &damaged.bytes),
            folder.file("cut", &cut.bytes),
            folder.capture("good", &[6, 9]),
            folder.0.join("missing"),
        ]);
        let names: Vec<_> = read(&mut merge).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["damaged", "good", "cut", "good"]);
        let failed: Vec<_> = merge
            .failures()
            .iter()
            .map(|failure| failure.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(failed, ["empty", "text", "missing", "damaged"]);
        let truncated: Vec<_> = merge
            .files()
            .filter(|(_, oddities)| oddities.truncated_at.is_some())
            .map(|(path, _)| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(truncated, ["cut"]);
    }
}
