//! Drivers that neither Debian nor cargo's registry has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};

use super::{CLICKHOUSE_PACKAGE, NODE_PACKAGE, PYTHON_PACKAGES};
use crate::peer::workspace;
use crate::process::run;

fn environment() -> PathBuf {
    workspace().join("target/peers/venv")
}

fn clickhouse() -> PathBuf {
    workspace().join("target/peers/clickhouse")
}

pub(super) fn node_modules() -> PathBuf {
    workspace().join("target/peers/node/node_modules")
}

/// The interpreter that has the Python clients.
pub fn python() -> PathBuf {
    environment().join("bin/python")
}

/// Makes the interpreter that has the Python clients, unless it is there.
/// `say` is told of each step before it is taken.
pub fn ensure_python(say: impl FnMut(&str)) -> Result<PathBuf> {
    interpreter(&environment(), &PYTHON_PACKAGES, &[], say)
}

/// Makes the interpreter that has ClickHouse's engine, unless it is there; `say` as above.
pub fn ensure_clickhouse(say: impl FnMut(&str)) -> Result<PathBuf> {
    interpreter(&clickhouse(), &[CLICKHOUSE_PACKAGE], &["--no-deps"], say)
}

/// An interpreter of its own with some packages.
fn interpreter(
    directory: &Path,
    packages: &[&str],
    options: &[&str],
    mut say: impl FnMut(&str),
) -> Result<PathBuf> {
    let python = directory.join("bin/python");
    once(&directory.join("packages"), &packages.join("\n"), || {
        say(&format!("python3 -m venv {}", directory.display()));
        step(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
        say(&format!("pip install {}", packages.join(" ")));
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet"]);
        step(pip.args(options).args(packages))
    })?;
    Ok(python)
}

/// Installs the client of Node.js, unless it is there; `say` as above.
pub fn ensure_node(mut say: impl FnMut(&str)) -> Result<PathBuf> {
    let modules = node_modules();
    once(&modules.join("package"), NODE_PACKAGE, || {
        say(&format!("npm install {NODE_PACKAGE}"));
        let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts"];
        let mut command = Command::new("npm");
        command.args(npm).arg("--prefix").args(modules.parent());
        step(command.arg(NODE_PACKAGE))
    })?;
    Ok(modules)
}

/// Does what installs `packages` unless `mark` says that they are there.
fn once(mark: &Path, packages: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::fs::read_to_string(mark).is_ok_and(|installed| installed == packages) {
        install()?;
        std::fs::write(mark, packages)?;
    }
    Ok(())
}

fn step(command: &mut Command) -> Result<()> {
    let (status, output) = run(command, "", Duration::from_mins(10))?;
    if !status.success() {
        bail!("{command:?}: {output}");
    }
    Ok(())
}
