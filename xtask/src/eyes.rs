//! Looks at reports in a browser, at two widths, light and dark, with scripts and without: what is wrong there no other test
//! sees. The browser is large, so continuous integration does without.

use std::{fs, path::Path};

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
const SOURCES: [&str; 3] = ["look.mjs", "package.json", "package-lock.json"];

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
    let folder = target().join("eyes");
    fs::create_dir_all(&folder)?;
    for name in SOURCES {
        let source = root().join("xtask/eyes").join(name);
        fs::copy(&source, folder.join(name)).with_context(|| source.display().to_string())?;
    }
    install(&folder)?;
    let mut look = command("node", ["look.mjs", "/usr/bin/chromium", "."]);
    for (name, of) in REPORTS {
        let page = folder.join(format!("{name}.html"));
        let agent = target().join("debug/tds-tracer");
        let mut report = command(agent, ["report"]);
        run_it(report.arg(root().join(of)).arg("--output").arg(&page))?;
        look.arg(page);
    }
    let pages = args.pages.iter().map(Path::new).map(fs::canonicalize);
    look.args(pages.collect::<Result<Vec<_>, _>>()?);
    run_it(look.current_dir(&folder))?;
    eprintln!("pictures are in {}", folder.display());
    Ok(())
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
