//! Files and standard input, decompressed by what they begin with.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Cursor, ErrorKind, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::GzDecoder;

use super::reader::{CaptureReader, ReadError};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// How far zstd may look back: 2 GiB, the most that the format's own program can be told to
/// (`--long=31`). So much address space is reserved at a file's word, but memory is used only for what
/// is decompressed.
const MAX_ZSTD_WINDOW_LOG: u32 = 31;
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
    let zstd = magic.starts_with(&ZSTD_MAGIC) || is_skippable(&magic);
    let whole = Cursor::new(magic).chain(raw);
    if gzip {
        let buffered = BufReader::with_capacity(COMPRESSED_CHUNK, whole);
        Ok(Source(Box::new(Gzip::new(buffered))))
    } else if zstd {
        let mut decoder = zstd::Decoder::new(whole)?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
        Ok(Source(Box::new(decoder)))
    } else {
        Ok(Source(Box::new(whole)))
    }
}

/// A zstd frame that holds nothing (RFC 8878 §3.1.2): pzstd begins with one.
fn is_skippable(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5F, 0x2A, 0x4D, 0x18])
}

/// The members of a gzip file one after the other. Zeros behind one are padding to a whole block, as
/// gzip itself takes them; `MultiGzDecoder` calls them damage.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Gzip<R> {
    fn new(source: R) -> Self {
        Self(Some(GzDecoder::new(source)))
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if skip_zeros(member.get_mut())? {
                break;
            }
            let rest = self.0.take().map(GzDecoder::into_inner);
            self.0 = rest.map(GzDecoder::new);
        }
        Ok(0)
    }
}

/// Skips zeros; whether nothing is behind them.
fn skip_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let all = zeros == bytes.len();
        source.consume(zeros);
        if !all {
            return Ok(false);
        }
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

    /// A frame that zstd's readers pass over, of one of sixteen kinds.
    fn skippable(kind: u8) -> Vec<u8> {
        [&[0x50 + kind, 0x2A, 0x4D, 0x18, 4, 0, 0, 0][..], b"pass"].concat()
    }

    fn reads_as_three_packets(title: &str, wrapped: Vec<u8>) {
        let expected = packets(CaptureReader::new(&three_packets()[..]).unwrap()).0;
        let source = decompressed(in_trickles(wrapped)).unwrap();
        let (read, oddities) = packets(CaptureReader::new(source).unwrap());
        assert_eq!(read, expected, "{title}");
        assert_eq!(oddities.truncated_at, None, "{title}");
    }

    #[test]
    fn zstd_frames_that_hold_nothing_are_passed_over_wherever_they_are() {
        let plain = three_packets();
        let [one, other] =
            [&plain[..900], &plain[900..]].map(|part| zstd::encode_all(part, 3).unwrap());
        let [first, last] = [skippable(0), skippable(15)];
        let pzstd = [&first[..], &one, &first, &other].concat();
        reads_as_three_packets("pzstd", pzstd);
        let seekable = [&one[..], &other, &last].concat();
        reads_as_three_packets("seekable", seekable);
        reads_as_three_packets("kind 15 first", [last, one, other].concat());
    }

    #[test]
    fn zstd_looks_back_as_far_as_the_format_s_own_program_can_be_told_to() {
        let plain = three_packets();
        // A frame whose window is 2 GiB, and that has one block, as it is and the last.
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, (31 - 10) << 3];
        frame.extend(&((plain.len() as u32) << 3 | 1).to_le_bytes()[..3]);
        frame.extend(&plain);
        reads_as_three_packets("--long=31", frame);
    }

    #[test]
    fn zeros_behind_gzip_are_padding_and_anything_else_is_not() {
        let wrapped = gzip(&three_packets());
        for zeros in [1, 2, 17, 200_000] {
            let padded = [&wrapped[..], &vec![0; zeros]].concat();
            reads_as_three_packets("padded", padded);
        }
        let odd = [&wrapped[..], &[0, 0], &[7; 20]].concat();
        let mut reader = CaptureReader::new(decompressed(Cursor::new(odd)).unwrap()).unwrap();
        for _ in 0..3 {
            assert!(reader.advance().unwrap());
        }
        assert!(matches!(reader.advance(), Err(ReadError::Io(_))));
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
