//! A file that lines are appended to, and what becomes of it when it is full.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Who may read what is written: the agent's user and group.
const MODE: u32 = 0o640;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes after which the file is moved away and begun anew.
    pub bytes: Option<u64>,
    /// The time after which it is.
    pub age: Option<Duration>,
    /// So many that were moved away are kept, as `FILE.1`, the youngest, and so on.
    pub keep: u32,
}

impl Bound {
    /// None where neither length nor age has one.
    pub fn new(bytes: Option<u64>, age: Option<Duration>, keep: u32) -> Option<Self> {
        let bound = Self { bytes, age, keep };
        (bytes.is_some() || age.is_some()).then_some(bound)
    }
}

/// Where bytes are written to, line by line.
pub(super) trait Target: Write + Send {
    /// Makes room for a line, before any of it is written.
    fn make_room(&mut self, line: usize) -> io::Result<()>;

    /// Whether there is room for as many bytes as are not yet written, and a line more.
    fn has_room(&self, bytes: usize) -> bool;

    /// Lines that were not written, once others can be; those are to be told then.
    fn take_lost(&mut self) -> u64 {
        0
    }

    /// Lines that were not written, and are not told yet.
    fn lost(&self) -> u64 {
        0
    }
}

/// What has no end: a pipe, a terminal.
pub(super) struct Endless<W>(pub(super) W);

impl<W: Write> Write for Endless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send> Target for Endless<W> {
    fn make_room(&mut self, _line: usize) -> io::Result<()> {
        Ok(())
    }

    fn has_room(&self, _bytes: usize) -> bool {
        true
    }
}

/// See the module.
pub(super) struct Appended {
    file: File,
    path: PathBuf,
    size: u64,
    /// When the file was made, also by an earlier run; where its file system does not say, when it was opened.
    begun: SystemTime,
    bound: Option<Bound>,
}

impl Appended {
    /// Opens the file, and ends a line that a killed run left without its end.
    pub(super) fn open(path: &Path, bound: Option<Bound>) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(MODE)
            .open(path)?;
        if is_torn(path)? {
            file.write_all(b"\n")?;
        }
        let about = file.metadata()?;
        Ok(Self {
            file,
            path: path.to_owned(),
            size: about.len(),
            begun: about.created().unwrap_or_else(|_| SystemTime::now()),
            bound,
        })
    }

    fn is_full(&self, bytes: usize) -> bool {
        let most = self.bound.and_then(|bound| bound.bytes);
        most.is_some_and(|most| self.size.saturating_add(bytes as u64) > most)
    }

    /// Where the clock was set back, it is as young as that says.
    fn is_old(&self) -> bool {
        let most = self.bound.and_then(|bound| bound.age);
        most.is_some_and(|most| self.begun.elapsed().is_ok_and(|age| age >= most))
    }

    /// The file as it is called once it was moved away `age` times.
    fn earlier(&self, age: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    }

    /// Moves it away, and those before it by one; the oldest goes.
    fn move_away(&self, keep: u32) -> io::Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        for age in (1..keep).rev() {
            match fs::rename(self.earlier(age), self.earlier(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.earlier(1))
    }
}

/// Whether the last line of a file has no end. Of what is no file that is not known.
fn is_torn(path: &Path) -> io::Result<bool> {
    let is_file = fs::metadata(path)?.is_file();
    // Whoever may append only may not look.
    let Some(mut file) = is_file.then(|| File::open(path).ok()).flatten() else {
        return Ok(false);
    };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for Appended {
    /// Where a full one cannot be moved away it is begun anew all the same: what is written has a bound. One that is only
    /// old is kept, and tried again when it is twice as old.
    fn make_room(&mut self, line: usize) -> io::Result<()> {
        let Some(bound) = self.bound else {
            return Ok(());
        };
        if self.size == 0 || self.has_room(line) {
            return Ok(());
        }
        if let Err(error) = self.move_away(bound.keep) {
            if self.is_full(line) {
                tracing::warn!(%error, "the full output file cannot be moved away: it is emptied");
                self.file.set_len(0)?;
                self.size = 0;
            } else {
                tracing::warn!(%error, "the old output file cannot be moved away");
            }
            self.begun = SystemTime::now();
            return Ok(());
        }
        *self = Self::open(&self.path, self.bound)?;
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> bool {
        !self.is_full(bytes) && !self.is_old()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        os::unix::fs::PermissionsExt as _,
        path::PathBuf,
        time::{Duration, SystemTime},
    };

    use super::{Appended, Bound, Target as _};

    /// A folder of its own, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("tds-tracer-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_full_file_is_moved_away_and_so_many_are_kept() {
        let folder = Folder::new("full");
        let path = folder.0.join("events");
        let bound = Bound {
            bytes: Some(10),
            age: None,
            keep: 2,
        };
        let mut file = Appended::open(&path, Some(bound)).expect("a file");
        for line in ["one11\n", "two22\n", "three\n", "four4\n"] {
            file.make_room(line.len()).expect("room");
            file.write_all(line.as_bytes()).expect("written");
        }
        let text = |name: &str| fs::read_to_string(folder.0.join(name)).ok();
        assert_eq!(text("events").as_deref(), Some("four4\n"));
        assert_eq!(text("events.1").as_deref(), Some("three\n"));
        assert_eq!(text("events.2").as_deref(), Some("two22\n"));
        assert_eq!(text("events.3"), None);
    }

    #[test]
    fn an_old_file_is_moved_away_before_the_next_line_and_an_empty_one_is_not() {
        let folder = Folder::new("old");
        let path = folder.0.join("events");
        let hour = Duration::from_hours(1);
        let bound = Bound {
            bytes: None,
            age: Some(hour),
            keep: 2,
        };
        let mut file = Appended::open(&path, Some(bound)).expect("a file");
        let add = |file: &mut Appended, line: &str| {
            file.make_room(line.len()).expect("room");
            file.write_all(line.as_bytes()).expect("written");
        };
        file.begun = SystemTime::now() - hour;
        add(&mut file, "one\n");
        file.begun = SystemTime::now() - hour;
        add(&mut file, "two\n");
        add(&mut file, "three\n");
        let text = |name: &str| fs::read_to_string(folder.0.join(name)).ok();
        assert_eq!(text("events.1").as_deref(), Some("one\n"));
        assert_eq!(text("events").as_deref(), Some("two\nthree\n"));
        assert_eq!(text("events.2"), None);
    }

    #[test]
    fn an_old_file_that_cannot_be_moved_away_is_kept_and_written_on() {
        let folder = Folder::new("stuck");
        let path = folder.0.join("events");
        let hour = Duration::from_hours(1);
        let bound = Bound {
            bytes: None,
            age: Some(hour),
            keep: 1,
        };
        let mut file = Appended::open(&path, Some(bound)).expect("a file");
        file.write_all(b"one\n").expect("written");
        // A folder lies where it would have to go.
        fs::create_dir(folder.0.join("events.1")).expect("a folder");
        file.begun = SystemTime::now() - hour;
        file.make_room(4).expect("room");
        file.write_all(b"two\n").expect("written");
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text, "one\ntwo\n");
        assert!(file.has_room(4), "tried again at each line");
    }

    #[test]
    fn a_line_without_an_end_gets_one_and_strangers_may_not_read() {
        let folder = Folder::new("torn");
        let path = folder.0.join("events");
        let mut file = Appended::open(&path, None).expect("a file");
        file.write_all(b"{\"event\":\"lo").expect("written");
        let mut file = Appended::open(&path, None).expect("a file");
        file.write_all(b"{}\n").expect("written");
        drop(Appended::open(&path, None).expect("a file"));
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text, "{\"event\":\"lo\n{}\n");
        let mode = fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }
}
