//! Files and standard input, decompressed by what they begin with.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, ErrorKind, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use super::reader::{CaptureReader, ReadError};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const COMPRESSED_CHUNK: usize = 64 * 1024;

/// The path that means standard input.
pub const STDIN: &str = "-";

/// A capture in whatever wrapping it came.
pub struct Source(Box<dyn Read + Send>);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").finish_non_exhaustive()
    }
}

/// Counts the bytes of a file that were read, before decompression, for whoever shows progress.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Opens a capture by path, or standard input for `-`.
pub fn open(path: &Path, progress: &Progress) -> Result<CaptureReader<Source>, ReadError> {
    let raw: Box<dyn Read + Send> = if path == Path::new(STDIN) {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let counted = Counted {
        source: raw,
        progress: progress.clone(),
    };
    CaptureReader::new(decompressed(counted)?)
}

/// Whether a path can be opened a second time and read from its beginning.
pub(super) fn is_reopenable(path: &Path) -> bool {
    path != Path::new(STDIN) && path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Unwraps gzip and zstd, recognised by their magic numbers; anything else passes as it is.
pub fn decompressed(mut raw: impl Read + Send + 'static) -> Result<Source, ReadError> {
    let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
    while magic.len() < ZSTD_MAGIC.len() {
        let wanted = (ZSTD_MAGIC.len() - magic.len()) as u64;
        match raw.by_ref().take(wanted).read_to_end(&mut magic) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let gzip = magic.starts_with(&GZIP_MAGIC);
    let zstd = magic.starts_with(&ZSTD_MAGIC);
    let whole = Cursor::new(magic).chain(raw);
    if gzip {
        let buffered = BufReader::with_capacity(COMPRESSED_CHUNK, whole);
        Ok(Source(Box::new(MultiGzDecoder::new(buffered))))
    } else if zstd {
        Ok(Source(Box::new(zstd::Decoder::new(whole)?)))
    } else {
        Ok(Source(Box::new(whole)))
    }
}

struct Counted<R> {
    source: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.progress.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::capture::test_files::{Pcap, in_trickles, packets};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn three_packets() -> Vec<u8> {
        let mut pcap = Pcap::nanoseconds();
        for time_ns in [1, 2, 3] {
            pcap.packet(time_ns, &[time_ns as u8; 1000]);
        }
        pcap.bytes
    }

    #[test]
    fn gzip_and_zstd_read_as_what_they_hold() {
        let plain = three_packets();
        let expected = packets(CaptureReader::new(&plain[..]).unwrap()).0;
        let members = [gzip(&plain[..900]), gzip(&plain[900..])].concat();
        for wrapped in [
            gzip(&plain),
            members,
            zstd::encode_all(&plain[..], 3).unwrap(),
            plain,
        ] {
            let source = decompressed(in_trickles(wrapped)).unwrap();
            let (read, oddities) = packets(CaptureReader::new(source).unwrap());
            assert_eq!(read, expected);
            assert_eq!(oddities.truncated_at, None);
        }
    }

    #[test]
    fn compression_that_ends_early_is_a_truncated_capture() {
        let mut pcap = Pcap::nanoseconds();
        for time_ns in 0..4 {
            // Noise, so that the compressed stream has several blocks.
            let noise = (0..100_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 23) as u8);
            pcap.packet(time_ns, &noise.collect::<Vec<_>>());
        }
        for wrapped in [
            gzip(&pcap.bytes),
            zstd::encode_all(&pcap.bytes[..], 1).unwrap(),
        ] {
            let cut = wrapped[..wrapped.len() - 6].to_vec();
            let source = decompressed(Cursor::new(cut)).unwrap();
            let (_, oddities) = packets(CaptureReader::new(source).unwrap());
            assert!(oddities.truncated_at.is_some());
        }
    }

    #[test]
    fn damaged_compression_is_an_error() {
        let mut wrapped = gzip(&three_packets());
        for byte in &mut wrapped[12..] {
            *byte = 0xFF;
        }
        let error = decompressed(Cursor::new(wrapped))
            .and_then(CaptureReader::new)
            .unwrap_err();
        assert!(matches!(error, ReadError::Io(_)), "{error:?}");
    }

    #[test]
    fn progress_counts_the_bytes_of_the_file() {
        let path =
            std::env::temp_dir().join(format!("tds-tracer-open-{}.pcap", std::process::id()));
        let plain = three_packets();
        std::fs::write(&path, &plain).unwrap();
        let progress = Progress::default();
        let read = open(&path, &progress).map(packets);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap().0.len(), 3);
        assert_eq!(progress.bytes(), plain.len() as u64);
        assert!(matches!(open(&path, &progress), Err(ReadError::Io(_))));
    }
}
