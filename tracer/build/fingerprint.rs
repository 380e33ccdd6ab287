//! What the sources of the kernel programs come to in one number: one rule, for the build script that compares it
//! and for `cargo xtask ebpf` that writes it down.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What the packages in the programs are called in `Cargo.lock`, from the beginning.
const LOCKED: [&str; 3] = ["aya-ebpf", "aya-log-ebpf", "aya-log-common"];

/// The fingerprint of the kernel half in that workspace, its tests left out.
///
/// # Errors
/// Where a file cannot be read.
pub(crate) fn of_sources(workspace: &Path) -> io::Result<String> {
    let half = workspace.join("tracer-ebpf");
    let mut files = vec![half.join("Cargo.toml")];
    sources(&half.join("src"), &mut files)?;
    files.sort();
    let mut hash = Fnv::default();
    for file in files {
        let name = file.strip_prefix(&half).unwrap_or(&file);
        hash.text(&name.to_string_lossy());
        hash.text(&fs::read_to_string(&file)?);
    }
    let lock = fs::read_to_string(workspace.join("Cargo.lock"))?;
    for package in lock.split("[[package]]").filter(|text| is_in_them(text)) {
        hash.text(package.trim());
    }
    Ok(format!("{:016x}", hash.0))
}

fn is_in_them(package: &str) -> bool {
    LOCKED.iter().any(|name| {
        package
            .trim_start()
            .starts_with(&format!("name = \"{name}"))
    })
}

/// What is compiled into the programs: their tests are not.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" || name == "test_messages" {
            continue;
        }
        if path.is_dir() {
            sources(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// FNV-1a: tells changes apart that happen by themselves, and needs no library in a build script.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Takes the text in, and where it ended.
    fn text(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
