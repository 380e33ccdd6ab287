//! Every check there is, one after the other; a failure does not hide the next.

use std::{
    env,
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use clap::Parser;

use crate::{
    chart, dist,
    ebpf::{self, EbpfToolchain},
    eyes, fuzz, host, lint, peers,
    process::{cargo, run as run_it, target},
    setup::{self, For},
    vm,
};

/// Options of `test`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Leave the kernels out, which take the longest
    #[arg(long)]
    no_vm: bool,
}

/// Where proptest looks for the seed of its cases.
const SEED: &str = "PROPTEST_RNG_SEED";
/// How many tests run at a time.
const THREADS: &str = "RUST_TEST_THREADS";

type Check = fn() -> Result<()>;

const CHECKS: &[(&str, Check)] = &[
    ("format", format),
    ("house rules", lint::run),
    ("kernel programs", ebpf::check),
    ("clippy, host", clippy_host),
    ("clippy, kernel programs", clippy_ebpf),
    ("build", peers::build_all),
    ("packages", dist::briefly),
    ("Helm chart", chart::check),
    ("tests", tests),
];

/// Those beside which the kernels are tried: nothing in them depends on how busy the machine is.
const LAST: &[(&str, Check)] = &[
    ("a report in a browser", eyes::briefly),
    ("fuzz targets", fuzz::briefly),
    ("documentation", documentation),
    ("licences and duplicates", deny),
    ("advisories", advisories),
];

/// How one check ended, for the summary.
struct Ended {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if host::is_ci() {
        host::require_root("a run that may skip nothing")?;
    }
    let mut ended = vec![timed("set-up", || setup::ensure(For::Test))];
    let targets = fuzz::build_beside();
    for (name, check) in CHECKS {
        ended.push(timed(name, check));
    }
    let kernels = (!args.no_vm).then(vm::beside);
    ended.push(timed("fuzz targets build", || targets?.finish()));
    for (name, check) in LAST {
        ended.push(timed(name, check));
    }
    if let Some(kernels) = kernels {
        ended.push(timed("kernels, beside those", || kernels?.finish()));
    }
    summary(&ended)
}

fn timed(name: &'static str, check: impl FnOnce() -> Result<()>) -> Ended {
    eprintln!("\n== {name}");
    let start = Instant::now();
    let result = check();
    if let Err(error) = &result {
        eprintln!("{error:#}");
    }
    Ended {
        name,
        took: start.elapsed(),
        result,
    }
}

fn summary(ended: &[Ended]) -> Result<()> {
    println!("\nsummary");
    for Ended { name, took, result } in ended {
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("  {word:6} {name} ({:.1} s)", took.as_secs_f64());
    }
    if !host::is_root() {
        println!("  tests that need root were skipped: as root, the same command runs them");
    }
    let failed = ended.iter().filter(|check| check.result.is_err()).count();
    println!("checks: {} passed, {failed} failed", ended.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} checks failed", ended.len());
    }
    Ok(())
}

fn format() -> Result<()> {
    run_it(&mut cargo(["fmt", "--all", "--check"]))?;
    run_it(&mut cargo([
        "fmt",
        "--all",
        "--check",
        "--manifest-path",
        "fuzz/Cargo.toml",
    ]))
}

fn clippy_host() -> Result<()> {
    run_it(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        peers::FEATURE,
        "--",
        "-D",
        "warnings",
    ]))
}

fn clippy_ebpf() -> Result<()> {
    let toolchain = EbpfToolchain::find().map_err(|why| anyhow!(why))?;
    let mut clippy = ebpf::cargo_of(&toolchain, "clippy");
    clippy
        .args(["--package", "tracer-ebpf", "--bins", "--release"])
        .arg("--target-dir")
        .arg(target().join("clippy-ebpf"))
        .args(["--", "-D", "warnings"])
        .env("RUSTFLAGS", ebpf::REGISTERS);
    run_it(&mut clippy)
}

fn tests() -> Result<()> {
    let mut test = cargo(["test", "--workspace", "--features", peers::FEATURE]);
    test.arg("--no-fail-fast");
    // The same cases in each run: what other seeds find is looked for on purpose, not met by chance.
    if env::var_os(SEED).is_none() {
        test.env(SEED, "1");
    }
    // Those of the whole wait for their peers longer than they compute.
    if env::var_os(THREADS).is_none() {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        test.env(THREADS, (2 * processors).to_string());
    }
    if host::is_root() {
        test.env("TDS_TRACER_REQUIRE_ROOT", "1");
    }
    run_it(&mut test)
}

fn documentation() -> Result<()> {
    let mut doc = cargo([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--features",
        peers::FEATURE,
    ]);
    run_it(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Result<()> {
    run_it(&mut cargo([
        "deny",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Advisories come from a repository that this does not fetch by itself: a test run must not
/// depend on the day's network. Where `cargo deny fetch db` has been run, they are checked.
fn advisories() -> Result<()> {
    let database = env::home_dir().map(|home| home.join(".cargo/advisory-dbs"));
    if !database.is_some_and(|folder| folder.is_dir()) {
        println!("NOT CHECKED: no advisory database here; `cargo deny fetch db` brings it");
        return Ok(());
    }
    run_it(&mut cargo(["deny", "--offline", "check", "advisories"]))
}
