//! Places the kernel programs where the agent embeds them from: packed by gzip in `$OUT_DIR/tds-programs` and `tds-drops`, and
//! beside them `tds-trials`, which only tests and benches load, as it is. The schema of the output is packed beside.
//!
//! They are checked in, compiled, under `tracer-ebpf/object`, so that a stable toolchain alone builds the agent. Objects
//! that are not of the sources beside them are refused. `TDS_TRACER_EBPF_OBJECT=FOLDER` takes others, whatever they are
//! of; `AYA_BUILD_SKIP=1` leaves empty files there, which compile but do not load.

mod fingerprint;

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use flate2::{Compression, write::GzEncoder};

/// Names the folder of other objects.
const OTHER: &str = "TDS_TRACER_EBPF_OBJECT";
const SKIP: &str = "AYA_BUILD_SKIP";
/// Those of the agent.
const OBJECTS: [&str; 2] = ["tds-programs", "tds-drops"];
/// Looked for in what is handed out, where it may not be.
const TRIALS: &str = "tds-trials";

fn main() -> ExitCode {
    if let Err(error) = run() {
        println!("cargo::error={error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<(), String> {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    schema(&workspace.join("docs/schema.json"))?;
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-env-changed={OTHER}");
    println!("cargo:rerun-if-env-changed={SKIP}");
    if env::var(SKIP).is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true")) {
        return place(|_| Ok(Vec::new()));
    }
    let folder = match env::var_os(OTHER) {
        Some(folder) => PathBuf::from(folder),
        None => checked_in(workspace)?,
    };
    println!("cargo:rerun-if-changed={}", folder.display());
    place(|object| {
        let path = folder.join(object).with_extension("o");
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    })
}

/// The folder of the objects that are checked in, where they are of the sources beside them.
fn checked_in(workspace: &Path) -> Result<PathBuf, String> {
    println!("cargo:rerun-if-changed=../tracer-ebpf/src");
    println!("cargo:rerun-if-changed=../tracer-ebpf/Cargo.toml");
    let folder = workspace.join("tracer-ebpf/object");
    let origin = fs::read_to_string(folder.join("origin.toml")).unwrap_or_default();
    let sources = fingerprint::of_sources(workspace)
        .map_err(|error| format!("the sources of the kernel programs: {error}"))?;
    if origin
        .lines()
        .any(|line| line == format!("sources = \"{sources}\""))
    {
        return Ok(folder);
    }
    Err("the kernel programs are not those of tracer-ebpf/src: run `cargo xtask ebpf`".to_owned())
}

fn place(bytes: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<(), String> {
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let write = |object: &str, bytes: Vec<u8>| {
        fs::write(Path::new(&out).join(object), bytes)
            .map_err(|error| format!("placing {object}: {error}"))
    };
    for object in OBJECTS {
        let packed = packed(&bytes(object)?).map_err(|error| format!("{object}: {error}"))?;
        write(object, packed)?;
    }
    write(TRIALS, bytes(TRIALS)?)
}

fn schema(file: &Path) -> Result<(), String> {
    println!("cargo:rerun-if-changed={}", file.display());
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let packed = fs::read(file).and_then(|text| packed(&text));
    packed
        .and_then(|packed| fs::write(Path::new(&out).join("schema"), packed))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Nothing stays nothing.
fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    packer.finish()
}
