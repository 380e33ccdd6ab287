//! A target that outlives a full or failing disk: what it does not take is counted, and the next line is tried anew.

use std::io::{self, ErrorKind, Write};

use super::file::Target;

/// See the module.
pub(super) struct Lasting {
    target: Box<dyn Target>,
    /// The last line in the target has no end.
    torn: bool,
    fails: bool,
    /// Lines that were not written, and are not told yet.
    lost: u64,
}

impl Lasting {
    pub(super) fn new(target: Box<dyn Target>) -> Self {
        Self {
            target,
            torn: false,
            fails: false,
            lost: 0,
        }
    }

    /// Writes a part of it, behind the end of a line that was torn.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fails && self.torn {
            self.target.write_all(b"\n")?;
            self.torn = false;
        }
        match self.target.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
            written => written,
        }
    }

    /// Whether to go on after this: not where it is the reader that has gone.
    fn outlives(&mut self, error: io::Error) -> io::Result<()> {
        if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) {
            return Err(error);
        }
        if !std::mem::replace(&mut self.fails, true) {
            tracing::warn!(%error, "the output cannot be written: lines are counted until it can be");
        }
        Ok(())
    }
}

impl Write for Lasting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.try_write(bytes) {
            Ok(written) => {
                self.torn = bytes[..written].last().is_some_and(|last| *last != b'\n');
                if std::mem::replace(&mut self.fails, false) {
                    tracing::info!("the output is written again");
                }
                Ok(written)
            }
            Err(error) => {
                self.outlives(error)?;
                let ends = bytes.iter().filter(|byte| **byte == b'\n');
                self.lost += ends.count() as u64;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush().or_else(|error| self.outlives(error))
    }
}

impl Target for Lasting {
    fn make_room(&mut self, line: usize) -> io::Result<()> {
        let made = self.target.make_room(line);
        made.or_else(|error| self.outlives(error))
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.target.has_room(bytes)
    }

    fn take_lost(&mut self) -> u64 {
        if self.fails {
            return 0;
        }
        std::mem::take(&mut self.lost)
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind, Write},
        sync::{Arc, Mutex},
    };

    use super::{Lasting, Target};

    /// A disk with so many bytes left.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Disk {
        fn has_left(&self, bytes: usize) {
            self.0.lock().expect("the disk").1 = bytes;
        }

        fn text(&self) -> String {
            let disk = self.0.lock().expect("the disk");
            String::from_utf8(disk.0.clone()).expect("text")
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().expect("the disk");
            let taken = bytes.len().min(disk.1);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.0.extend_from_slice(&bytes[..taken]);
            disk.1 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Disk {
        fn make_room(&mut self, _line: usize) -> io::Result<()> {
            Ok(())
        }

        fn has_room(&self, _bytes: usize) -> bool {
            true
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_a_torn_line_ends_before_the_next() {
        let disk = Disk::default();
        let mut output = Lasting::new(Box::new(disk.clone()));
        disk.has_left(9);
        output
            .write_all(b"one1\ntwo22\nthree\n")
            .expect("it goes on");
        assert_eq!(output.take_lost(), 0, "told while nothing can be written");
        output.write_all(b"four\n").expect("it goes on");
        disk.has_left(100);
        output.write_all(b"five\n").expect("written");
        output.write_all(b"six\n").expect("written");
        assert_eq!(disk.text(), "one1\ntwo2\nfive\nsix\n");
        assert_eq!(output.take_lost(), 3);
        assert_eq!(output.take_lost(), 0);
    }

    /// A pipe that nobody reads any more.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Target for Broken {
        fn make_room(&mut self, _line: usize) -> io::Result<()> {
            Ok(())
        }

        fn has_room(&self, _bytes: usize) -> bool {
            true
        }
    }

    #[test]
    fn a_reader_that_has_gone_does_not_come_back() {
        let mut output = Lasting::new(Box::new(Broken));
        assert!(output.write_all(b"line\n").is_err());
    }
}
