//! File formats, several files, and files that are none.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::pcap::{self, Packet, Temporary, link};
use harness::replay::{RUN_ID, agent};
use harness::root::skip;
use serde_json::Value;

use super::{CAPTURES, capture, lines, outcome, truth};

/// What a program makes of a file, on its standard output.
fn made(program: &str, arguments: &[&str], input: &Path) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(File::open(input).unwrap());
    let Ok(output) = command.output() else {
        skip(program, "a capture as that program writes it");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    Some(output.stdout)
}

/// The formats a capture comes in, by the program that makes them.
fn formats(input: &Path) -> Vec<(&'static str, Temporary)> {
    let mut formats = Vec::new();
    let file = input.to_str().unwrap();
    for (title, program, arguments) in [
        ("pcap", "cat", &[][..]),
        (
            "pcap of nanoseconds",
            "editcap",
            &["-F", "nsecpcap", file, "-"],
        ),
        ("pcapng", "editcap", &["-F", "pcapng", file, "-"]),
        ("gzip", "gzip", &["-c"]),
        ("zstd", "zstd", &["-c", "-q"]),
    ] {
        if let Some(bytes) = made(program, arguments, input) {
            formats.push((title, Temporary::new("formats", &bytes).unwrap()));
        }
    }
    let pcapng = formats.iter().find(|(title, _)| *title == "pcapng");
    let pcapng = pcapng.map(|(_, file)| file.path().to_owned());
    for (title, program, arguments) in [
        ("pcapng, gzip", "gzip", &["-c"][..]),
        ("pcapng, zstd", "zstd", &["-c", "-q"]),
    ] {
        let bytes = pcapng
            .as_ref()
            .and_then(|input| made(program, arguments, input));
        if let Some(bytes) = bytes {
            formats.push((title, Temporary::new("formats", &bytes).unwrap()));
        }
    }
    formats
}

/// A capture in two parts, each compressed by itself, with these programs' quirks.
fn in_parts(name: &str) -> Vec<(&'static str, Temporary)> {
    let whole = fs::read(capture(name)).unwrap();
    let (sooner, later) = whole.split_at(whole.len() / 2);
    let mut formats = Vec::new();
    for (title, program, arguments, between) in [
        ("members of gzip", "gzip", &["-c"][..], &[][..]),
        ("members of gzip, padded", "gzip", &["-c"], &[0; 512]),
        ("frames of zstd", "zstd", &["-c", "-q"], &[]),
        (
            "zstd that looks back far",
            "zstd",
            &["-c", "-q", "--long=31"],
            &[],
        ),
        ("pzstd", "pzstd", &["-c", "-q"], &[]),
    ] {
        let parts = [sooner, later].map(|part| {
            let part = Temporary::new("part", part).unwrap();
            made(program, arguments, part.path())
        });
        if let [Some(sooner), Some(later)] = parts {
            let file = [&sooner, between, &later, between].concat();
            formats.push((title, Temporary::new("parts", &file).unwrap()));
        }
    }
    formats
}

#[test]
fn what_was_compressed_in_parts_is_read_as_one() {
    for name in CAPTURES {
        for (title, file) in in_parts(name) {
            let (status, lines, log) = outcome([file.path()]);
            assert_eq!(status, Some(0), "{name} as {title}: {log}");
            assert_eq!(lines, truth(name), "{name} as {title}");
        }
    }
}

/// `replay -` with this file on standard input.
fn from_stdin(file: &Path) -> Vec<Value> {
    let mut command = Command::new(agent().unwrap());
    command
        .args(["replay", "-"])
        .args(RUN_ID)
        .stdin(File::open(file).unwrap());
    // A pipe, as from tcpdump: nothing can be read twice.
    let mut cat = Command::new("cat")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    command.stdin(cat.stdout.take().unwrap());
    let output = command.output().unwrap();
    assert!(cat.wait().unwrap().success());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_format_says_the_same_from_a_file_and_from_standard_input() {
    for name in CAPTURES {
        let truth = truth(name);
        for (title, file) in formats(&capture(name)) {
            let (status, lines, log) = outcome([file.path()]);
            assert_eq!(status, Some(0), "{name} as {title}: {log}");
            assert!(!log.contains("warning"), "{name} as {title}: {log}");
            assert_eq!(lines, truth, "{name} as {title}");
            assert_eq!(
                from_stdin(file.path()),
                truth,
                "{name} as {title}, from a pipe"
            );
        }
    }
}

/// A folder that is removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tds-tracer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<OsString> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path().into()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn rotated_files_are_one_capture_in_whatever_order_they_are_given() {
    for (name, format) in [(CAPTURES[0], "pcapng"), (CAPTURES[3], "nsecpcap")] {
        let folder = Folder::new("rotated");
        let parts = folder.0.join("part");
        let input = capture(name);
        let arguments = [
            "-F",
            format,
            "-c",
            "4",
            input.to_str().unwrap(),
            parts.to_str().unwrap(),
        ];
        if made("editcap", &arguments, &input).is_none() {
            return;
        }
        let mut files = folder.files();
        assert!(files.len() > 4, "{files:?}");
        for _ in 0..2 {
            let (status, lines, log) = outcome(&files);
            assert_eq!(status, Some(0), "{log}");
            assert_eq!(lines, truth(name), "{name}");
            files.reverse();
        }
    }
}

#[test]
fn two_captures_at_once_say_what_each_says_by_itself() {
    let names = [CAPTURES[0], CAPTURES[2]];
    let (status, mut lines, log) = outcome(names.map(capture));
    assert_eq!(status, Some(0), "{log}");
    let mut each: Vec<_> = names.iter().flat_map(|name| truth(name)).collect();
    for lines in [&mut lines, &mut each] {
        // Both captures' lines are numbered together.
        for line in lines.iter_mut() {
            line["line"].take();
        }
        lines.sort_by_key(ToString::to_string);
    }
    // The capture of one begins after the other's end, which is all that it shows of that one.
    assert_eq!(lines, each);
}

/// Packets of a checked-in capture with their link headers.
fn packets(name: &str) -> Vec<Packet> {
    let packets = pcap::packets(&capture(name)).unwrap();
    pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]))
}

fn named(interface: &str, packets: &[Packet]) -> Temporary {
    let bytes = pcap::named(interface, link::ETHERNET, packets);
    Temporary::new("named.pcapng", &bytes).unwrap()
}

#[test]
fn each_file_s_interface_keeps_its_name_among_others() {
    let names = [(CAPTURES[0], "eth0"), (CAPTURES[2], "wlan1")];
    let files = names.map(|(name, interface)| named(interface, &packets(name)));
    let (status, lines, log) = outcome(files.iter().map(Temporary::path));
    assert_eq!(status, Some(0), "{log}");
    for (name, interface) in names {
        let id = &truth(name)[0]["connection"]["id"];
        let of_it = lines.iter().filter(|line| line["connection"]["id"] == *id);
        let said: Vec<_> = of_it.map(|line| &line["connection"]["interface"]).collect();
        assert_eq!(said, [interface; 2], "{name}: {lines:#?}");
    }
}

#[test]
fn an_interface_goes_on_in_the_next_of_rotated_files() {
    for name in CAPTURES {
        let packets = packets(name);
        let whole = named("eth0", &packets);
        let truth = lines(whole.path(), &[]);
        let other = named("lo", &[]);
        for at in 1..packets.len() {
            let (sooner, later) = packets.split_at(at);
            let files = [named("eth0", later), named("eth0", sooner)];
            let files = files.iter().chain([&other]).map(Temporary::path);
            let (_, lines, log) = outcome(files);
            assert_eq!(lines, truth, "{name} rotated after {at}: {log}");
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let whole = fs::read(capture(CAPTURES[0])).unwrap();
    for (title, bytes) in [
        ("empty", &b""[..]),
        ("text", b"Dear Sir or Madam, this is no capture.\n"),
        ("half a magic number", &whole[..2]),
        ("half a header", &whole[..20]),
        ("half a compressed header", &[0x1F, 0x8B, 8]),
    ] {
        let file = Temporary::new("no-capture", bytes).unwrap();
        let (status, lines, log) = outcome([file.path()]);
        assert_eq!(status, Some(2), "{title}: {log}");
        assert!(lines.is_empty(), "{title}: {lines:?}");
        assert!(
            log.contains(file.path().to_str().unwrap()),
            "{title}: {log}"
        );
    }
    let (status, _, log) = outcome(["/nonexistent/capture.pcap"]);
    assert_eq!(status, Some(2), "{log}");
}

#[test]
fn a_bad_file_among_good_ones_is_named_and_the_rest_read() {
    let bad = Temporary::new("bad", b"nothing of the kind").unwrap();
    let good = capture(CAPTURES[0]);
    let missing = Path::new("/nonexistent/capture.pcap");
    for files in [[bad.path(), &good], [&good, bad.path()], [missing, &good]] {
        let (status, lines, log) = outcome(files.map(Path::as_os_str));
        assert_eq!(status, Some(1), "{log}");
        assert_eq!(lines, truth(CAPTURES[0]));
    }
    let none = [
        bad.path().as_os_str(),
        OsStr::new("/nonexistent/capture.pcap"),
    ];
    let (status, lines, log) = outcome(none);
    assert_eq!(status, Some(2), "{log}");
    assert!(lines.is_empty());
}

#[test]
fn a_capture_without_a_packet_says_nothing() {
    let whole = fs::read(capture(CAPTURES[0])).unwrap();
    let file = Temporary::new("no-packet", &whole[..24]).unwrap();
    let (status, lines, log) = outcome([file.path()]);
    assert_eq!((status, lines.len()), (Some(0), 0), "{log}");
}

#[test]
fn the_same_is_said_in_the_same_order_every_time() {
    // Two connections whose ends are told together.
    let file = capture("odbc18-none-refused");
    let (_, first, _) = outcome([&file]);
    for _ in 0..12 {
        let (_, again, _) = outcome([&file]);
        assert_eq!(again, first);
    }
}

#[test]
fn damage_in_the_middle_is_told_and_what_came_before_is_read() {
    let mut damaged = fs::read(capture(CAPTURES[0])).unwrap();
    damaged.extend([0xFF; 40]);
    let file = Temporary::new("damaged", &damaged).unwrap();
    let (status, lines, log) = outcome([file.path()]);
    assert_eq!(status, Some(1), "{log}");
    assert!(log.contains("damaged"), "{log}");
    assert_eq!(lines, truth(CAPTURES[0]));
}
