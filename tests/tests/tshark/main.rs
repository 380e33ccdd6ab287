//! An independent decoder agrees: tshark names the same messages, fields and tokens, in the same
//! order, as the agent's framing and decoders, and as the lines that `replay` writes.

mod differences;
mod lines;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    decoded::{Said, own, tshark},
    replay,
    root::skip,
    sequences,
};

use self::differences::{Difference, unexplained};

/// Captures, as the `replay` tests find them, and the project's own.
fn captures() -> Vec<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        replay::captures(),
        tests.join("fixtures/captures"),
        tests.join("fixtures/drivers"),
        tests.join("fixtures/rows"),
        sequences::folder(),
    ];
    let mut names = BTreeSet::new();
    let mut captures = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "pcap"));
        paths.retain(|path| names.insert(path.file_name().unwrap().to_owned()));
        captures.extend(paths);
    }
    captures.sort();
    captures
}

/// Whether tshark is missing; where it may not be, this does not return.
fn missing(what: &str) -> bool {
    let found = Command::new("tshark").arg("--version").output();
    let missing = !found.is_ok_and(|output| output.status.success());
    if missing {
        skip("tshark", what);
    }
    missing
}

/// What both say of a capture.
struct Both {
    own: own::Account,
    theirs: Said,
}

fn both(capture: &Path) -> Both {
    let ports = own::ports(capture).unwrap();
    let mut theirs = tshark::account(capture, &ports, "tds").unwrap();
    let own = own::account(capture, &ports, &theirs.streams).unwrap();
    if !own.strict.is_empty() {
        let strict = tshark::account(capture, &ports, "tls").unwrap();
        theirs.said.take_over(strict.said, &own.strict);
    }
    Both {
        own,
        theirs: theirs.said,
    }
}

/// How many values were compared, and what differs.
fn compare(own: &Said, theirs: &Said) -> (usize, Vec<Difference>) {
    let keys: BTreeSet<_> = own.keys().chain(theirs.keys()).collect();
    let mut compared = 0;
    let mut differences = Vec::new();
    for key in keys {
        let (ours, theirs) = (own.get(key), theirs.get(key));
        compared += ours.len().max(theirs.len());
        if ours != theirs {
            differences.push(Difference {
                key: key.clone(),
                own: ours.to_vec(),
                theirs: theirs.to_vec(),
            });
        }
    }
    (compared, differences)
}

fn name(capture: &Path) -> &str {
    capture.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn tshark_reads_the_same_out_of_every_capture() {
    if missing("tshark reads the same out of every capture") {
        return;
    }
    let captures = captures();
    let mut compared = 0;
    let mut found = Vec::new();
    for capture in &captures {
        let both = both(capture);
        let (count, differences) = compare(&both.own.said, &both.theirs);
        compared += count;
        let named = differences.into_iter();
        found.extend(named.map(|difference| (name(capture).to_owned(), difference)));
    }
    let names: Vec<_> = captures.iter().map(|capture| name(capture)).collect();
    let rows = unexplained(found, &names);
    assert!(
        rows.is_empty(),
        "{} differences in {compared} values\n{}",
        rows.len(),
        rows.join("\n")
    );
    assert!(
        compared > 40 * captures.len(),
        "hardly anything compared: {compared} values of {} captures",
        captures.len()
    );
}

#[test]
fn every_line_of_a_replay_says_what_tshark_reads() {
    if missing("every line of a replay says what tshark reads") {
        return;
    }
    let captures = captures();
    let mut rows = Vec::new();
    let mut compared = 0;
    for capture in &captures {
        let Both { own, theirs } = both(capture);
        let (count, wrong) = lines::compare(capture, &own.ends, &theirs);
        compared += count;
        rows.extend(
            wrong
                .into_iter()
                .map(|row| format!("{}: {row}", name(capture))),
        );
    }
    assert!(
        rows.is_empty(),
        "{} of {compared} differ\n{}",
        rows.len(),
        rows.join("\n")
    );
    assert!(
        compared > 10 * captures.len(),
        "hardly anything compared: {compared} values of {} captures",
        captures.len()
    );
}

#[test]
fn a_value_that_one_of_them_reads_wrong_is_found() {
    if missing("a value that one of them reads wrong is found") {
        return;
    }
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let capture = tests.join("fixtures/captures/odbc18-lab-clear.pcap");
    let right = both(&capture);
    // The server's ENCRYPTION, and its error in a byte of LOGINACK's version.
    for (bytes, replacement, what) in [
        (
            &[0x10, 0, 0x10, 0x2B, 0, 0, 2][..],
            &[0x10, 0, 0x10, 0x2B, 0, 0, 3][..],
            "prelogin.encryption",
        ),
        (
            &[0xAD, 0x32, 0, 1, 0x74],
            &[0xAD, 0x32, 0, 1, 0x73],
            "loginack.tds_version",
        ),
    ] {
        let mut file = fs::read(&capture).unwrap();
        let at = file
            .windows(bytes.len())
            .position(|window| window == bytes)
            .unwrap();
        file[at..at + bytes.len()].copy_from_slice(replacement);
        let altered =
            env::temp_dir().join(format!("tds-tracer-{}-{what}.pcap", std::process::id()));
        fs::write(&altered, &file).unwrap();
        let wrong = both(&altered);
        fs::remove_file(&altered).unwrap();
        let (_, differences) = compare(&wrong.own.said, &right.theirs);
        let names: Vec<_> = differences
            .iter()
            .map(|difference| difference.key.what)
            .collect();
        assert_eq!(names, [what]);
        let found = vec![("odbc18-lab-clear".to_owned(), differences[0].clone())];
        assert_eq!(unexplained(found, &["odbc18-lab-clear"]).len(), 1);
        let (_, agreeing) = compare(&wrong.own.said, &wrong.theirs);
        assert!(agreeing.is_empty(), "both read the altered capture alike");
    }
}
