//! The kernel programs: compiled here, and checked in under `tracer-ebpf/object`, so that nobody else needs their
//! toolchain. The same versions of compiler and linker give the same bytes, wherever the checkout lies.

mod compile;
#[path = "../../../tracer/build/fingerprint.rs"]
mod fingerprint;
pub(crate) mod toolchain;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Parser;

pub(crate) use self::{
    compile::{REGISTERS, cargo_of},
    toolchain::{BOOTSTRAP, EbpfToolchain},
};
use crate::{
    process::{cargo, give_cargo, root, run as run_it, target},
    setup::{self, For},
};

/// The agent's programs, in two objects, and those that only tests and benches load.
const OBJECTS: [&str; 3] = ["tds-programs", "tds-drops", "tds-trials"];
/// Tells beside the objects what they are of.
const ORIGIN: &str = "origin.toml";
/// Names to the build script the folder of other objects than those checked in.
const OTHER: &str = "TDS_TRACER_EBPF_OBJECT";

/// Options of `ebpf`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Write nothing: fail where the checked-in programs are not what their sources give
    #[arg(long, conflicts_with = "then")]
    check: bool,
    /// Then runs this with cargo: `-- test -p tracer --test programs`
    #[arg(last = true, value_name = "CARGO COMMAND")]
    then: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Ebpf)?;
    if args.check {
        return check();
    }
    let made = Made::here()?;
    let folder = checked_in();
    fs::create_dir_all(&folder)?;
    for (name, bytes) in &made.objects {
        fs::write(file(&folder, name), bytes)?;
        println!("{}: {} bytes", file(&folder, name).display(), bytes.len());
    }
    fs::write(folder.join(ORIGIN), &made.origin)?;
    print!("{}", made.origin);
    if args.then.is_empty() {
        return Ok(());
    }
    run_it(&mut cargo(&args.then))
}

/// The part of `cargo xtask test`. Another compiler or linker gives other bytes: those are named, and what is built
/// by this process from then on has them.
pub(crate) fn check() -> Result<()> {
    let folder = checked_in();
    let origin = fs::read_to_string(folder.join(ORIGIN)).unwrap_or_default();
    let made = Made::here()?;
    let line = |text: &str, key: &str| {
        let found = text.lines().find(|line| line.starts_with(key));
        found.unwrap_or_default().to_owned()
    };
    if line(&origin, "sources") != line(&made.origin, "sources") {
        bail!(
            "the checked-in kernel programs are not those of tracer-ebpf/src: run `cargo xtask ebpf`"
        );
    }
    if origin == made.origin {
        for (name, bytes) in &made.objects {
            if fs::read(file(&folder, name)).ok().as_ref() != Some(bytes) {
                bail!("{name} is not what its sources give: run `cargo xtask ebpf`");
            }
        }
        println!("the checked-in kernel programs are what their sources give, byte by byte");
        return Ok(());
    }
    println!(
        "the kernel programs were made with\n{origin}what is tested is made with\n{}",
        made.origin
    );
    let other = target().join("ebpf/object");
    fs::create_dir_all(&other)?;
    for (name, bytes) in &made.objects {
        fs::write(file(&other, name), bytes)?;
    }
    give_cargo(OTHER, other);
    Ok(())
}

/// The objects as this machine's toolchain makes them.
struct Made {
    objects: Vec<(&'static str, Vec<u8>)>,
    origin: String,
}

impl Made {
    fn here() -> Result<Self> {
        let toolchain = EbpfToolchain::find().map_err(anyhow::Error::msg)?;
        let built = compile::all(&toolchain)?;
        let objects = OBJECTS
            .into_iter()
            .map(|name| Ok((name, compile::stripped(&toolchain, &built.join(name))?)));
        let objects = objects.collect::<Result<_>>()?;
        let sources = fingerprint::of_sources(root())?;
        let (compiler, linker) = (toolchain.version()?, toolchain::linker_version()?);
        let origin = format!(
            "# Written by `cargo xtask ebpf`.\ncompiler = \"{compiler}\"\nlinker = \"{linker}\"\nsources = \"{sources}\"\n"
        );
        Ok(Self { objects, origin })
    }
}

fn checked_in() -> PathBuf {
    root().join("tracer-ebpf/object")
}

fn file(folder: &Path, object: &str) -> PathBuf {
    folder.join(object).with_extension("o")
}
