//! House rules that no compiler knows: the core reads no clock and does no I/O, and `unsafe` stays
//! where it belongs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::process::root;

/// Words that must not occur in files under some folders.
struct Rule {
    under: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        under: &[
            "tracer/src/tds",
            "tracer/src/dns",
            "tracer/src/kerberos",
            "tracer/src/session",
            "tracer/src/record",
        ],
        except: &[],
        words: &[
            "aya::",
            "tokio::",
            "rtnetlink::",
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "std::thread",
            "Instant",
            "SystemTime",
            "Timestamp::now",
            "Zoned::now",
        ],
        why: "the core is sans-IO: bytes and times come in as arguments",
    },
    Rule {
        under: &["tracer", "tests", "xtask", "tracer-ebpf/src/lib.rs"],
        except: &[
            "tracer/src/probe",
            "tracer/tests/confinement.rs",
            "xtask/src/lint.rs",
        ],
        words: &["unsafe {", "unsafe fn", "unsafe impl", "static mut"],
        why: "`unsafe` stays in the probe, in the kernel programs, and where system calls are tried in vain",
    },
    Rule {
        under: &["tracer/src"],
        except: &["tracer/src/probe"],
        words: &["aya::"],
        why: "all of aya stays in the probe",
    },
    Rule {
        under: &["tracer/src", "tracer-ebpf/src", "tests/src", "xtask/src"],
        except: &["xtask/src/lint.rs"],
        words: &["#[allow(", "#![allow(", "todo!(", "dbg!("],
        why: "expect a lint with a reason, and finish what is begun",
    },
];

pub(crate) fn run() -> Result<()> {
    let mut found = Vec::new();
    for rule in RULES {
        for folder in rule.under {
            let mut files = Vec::new();
            rust_files(&root().join(folder), &mut files)?;
            for file in files {
                found.extend(rule.broken_in(&file)?);
            }
        }
    }
    for place in &found {
        eprintln!("{place}");
    }
    if !found.is_empty() {
        bail!("{} places break a house rule", found.len());
    }
    Ok(())
}

impl Rule {
    fn broken_in(&self, file: &Path) -> Result<Vec<String>> {
        let name = file.strip_prefix(root()).unwrap_or(file);
        if self.except.iter().any(|except| name.starts_with(except)) {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(file)?;
        let broken = text.lines().enumerate().filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or_default();
            let word = self.words.iter().find(|word| holds_word(code, word))?;
            Some(format!(
                "{}:{}: `{word}`: {}",
                name.display(),
                index + 1,
                self.why
            ))
        });
        Ok(broken.collect())
    }
}

/// Whether `word` occurs in `code` other than as the end of a longer identifier.
fn holds_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn rust_files(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path.to_owned());
        }
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            rust_files(&entry?.path(), into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::holds_word;

    #[test]
    fn a_word_is_found_only_where_it_begins_an_identifier() {
        assert!(holds_word("use std::time::Instant;", "Instant"));
        assert!(holds_word("aya::Ebpf", "aya::"));
        assert!(!holds_word("use kaya::Ebpf", "aya::"));
    }
}
