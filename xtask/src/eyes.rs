//! Looks at reports and dashboards in a browser, at two widths, light and dark, with scripts and without: what is wrong
//! there no other test sees. Takes pictures of these and of `top`, for people to look at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::{
    process::{cargo, command, root, run as run_it, target},
    setup::{self, For},
};

/// What reports are made of, and what they are called.
const REPORTS: [(&str, &str); 3] = [
    ("mixed", "tests/fixtures/lines/mixed.jsonl"),
    (
        "failed",
        "tests/fixtures/captures/odbc18-lab-loginfailed.pcap",
    ),
    ("well", "tests/fixtures/captures/odbc18-lab-tls12.pcap"),
];
/// What looks, and what it needs.
const SOURCES: [&str; 4] = [
    "look.mjs",
    "screens.mjs",
    "package.json",
    "package-lock.json",
];
/// Debian's.
const CHROMIUM: &str = "/usr/bin/chromium";
/// Pictures of `top`: what they are called, and the keys that are pressed before, by tmux's names.
const SCREENS: [(&str, &str); 3] = [("top", ""), ("top-slowest", "3"), ("top-login", "3,Enter")];

/// Options of `eyes`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Look at this page too
    #[arg(value_name = "PAGE")]
    pages: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Eyes)?;
    run_it(&mut cargo(["build", "--package", "tracer"]))?;
    let folder = prepared()?;
    let mut pages = draw_boards(&folder.join("boards"))?;
    for page in &args.pages {
        pages.push(fs::canonicalize(page)?);
    }
    look(&folder, &REPORTS, &pages)?;
    take_screens(&folder)?;
    eprintln!("pictures are in {}", folder.display());
    Ok(())
}

/// The fullest report alone, with what is built already.
pub(crate) fn briefly() -> Result<()> {
    let folder = prepared()?;
    look(&folder, &REPORTS[..1], &[])
}

/// The folder with all that looks.
fn prepared() -> Result<PathBuf> {
    let folder = target().join("eyes");
    fs::create_dir_all(&folder)?;
    for name in SOURCES {
        let source = root().join("xtask/eyes").join(name);
        fs::copy(&source, folder.join(name)).with_context(|| source.display().to_string())?;
    }
    install(&folder)?;
    Ok(folder)
}

/// Makes these reports, and looks at them and at other pages.
fn look(folder: &Path, reports: &[(&str, &str)], others: &[PathBuf]) -> Result<()> {
    let mut look = command("node", ["look.mjs", CHROMIUM, "."]);
    for (name, of) in reports {
        let page = folder.join(format!("{name}.html"));
        let mut report = command(agent(), ["report"]);
        run_it(report.arg(root().join(of)).arg("--output").arg(&page))?;
        look.arg(page);
    }
    run_it(look.args(others).current_dir(folder))
}

/// Draws the dashboards with what ClickHouse and Prometheus say of a fleet that is made up; the pages.
fn draw_boards(folder: &Path) -> Result<Vec<PathBuf>> {
    let build = ["build", "--package", "tds-tracer-tests", "--bin", "fleet"];
    run_it(&mut cargo(build))?;
    run_it(command(target().join("debug/fleet"), ["boards"]).arg(folder))?;
    let mut pages = Vec::new();
    for file in fs::read_dir(folder)? {
        pages.push(file?.path());
    }
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "html"));
    pages.sort();
    Ok(pages)
}

/// Takes pictures of `top`, on dark terminals and on light ones.
fn take_screens(folder: &Path) -> Result<()> {
    let lines = root().join(REPORTS[0].1);
    for (name, keys) in SCREENS {
        let top = format!(
            "{} top --color always {}",
            agent().display(),
            lines.display()
        );
        let mut screens = command("node", ["screens.mjs", CHROMIUM, ".", name, keys]);
        run_it(screens.arg(top).current_dir(folder))?;
    }
    Ok(())
}

fn agent() -> PathBuf {
    target().join("debug/tds-tracer")
}

/// What looks is installed as it is locked, once.
fn install(folder: &Path) -> Result<()> {
    let locked = fs::read(folder.join("package-lock.json"))?;
    let installed = folder.join("installed-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == locked) {
        return Ok(());
    }
    let mut npm = command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run_it(npm.current_dir(folder))?;
    fs::write(installed, locked)?;
    Ok(())
}
