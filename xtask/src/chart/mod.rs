//! The Helm chart: rendered by Helm's own library, checked by the schemas that Kubernetes publishes, and the plain
//! manifests that it gives, checked in beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use crate::{
    process::{command, output, root, run as run_it, target},
    setup::say,
};

const CHART: &str = "packaging/helm/tds-tracer";
const PLAIN: &str = "packaging/kubernetes/tds-tracer.yaml";
/// What the chart has copies of: a chart reaches no file outside of itself.
const COPIES: [(&str, &str); 4] = [
    ("packaging/prometheus/tds-tracer.rules.yaml", "rules"),
    (
        "packaging/grafana/prometheus/tds-tracer-overview.json",
        "dashboards",
    ),
    (
        "packaging/grafana/prometheus/tds-tracer-server.json",
        "dashboards",
    ),
    (
        "packaging/grafana/prometheus/tds-tracer-agents.json",
        "dashboards",
    ),
];
/// Helm 4 as a library, and the schemas of Kubernetes 1.25 to 1.37.
const PACKAGES: [&str; 2] = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0"];

/// Options of `chart`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Write the plain manifests and the copies of alerts and dashboards, instead of failing where they differ
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    for (file, folder) in COPIES {
        let name = Path::new(file).file_name().context("no name")?;
        let copy = Path::new(CHART).join(folder).join(name);
        let text = fs::read_to_string(root().join(file))?;
        keep(&copy.to_string_lossy(), &text, args.write)?;
    }
    same_version()?;
    let plain = target().join("chart/plain.yaml");
    let mut render = command(python()?, [root().join("xtask/src/chart/chart.py")]);
    run_it(render.arg(root().join(CHART)).arg(&plain))?;
    keep(PLAIN, &fs::read_to_string(plain)?, args.write)
}

/// The check that goes with all others.
pub(crate) fn check() -> Result<()> {
    run(&Args { write: false })
}

fn keep(file: &str, text: &str, write: bool) -> Result<()> {
    let path = root().join(file);
    if write {
        return Ok(fs::write(path, text)?);
    }
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        bail!("{file} is not what it is made from; run `cargo xtask chart --write`");
    }
    Ok(())
}

/// The chart is of the agent's version, and brings that.
fn same_version() -> Result<()> {
    let chart = fs::read_to_string(root().join(CHART).join("Chart.yaml"))?;
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("version: {version}"),
        format!("appVersion: \"{version}\""),
    ] {
        ensure!(
            chart.lines().any(|found| found == line),
            "{CHART}/Chart.yaml does not say `{line}`"
        );
    }
    Ok(())
}

/// An interpreter that has them.
fn python() -> Result<PathBuf> {
    let environment = target().join("chart/venv");
    let python = environment.join("bin/python");
    let stamp = environment.join("packages");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&*wanted) {
        return Ok(python);
    }
    say(&format!("pip install {}", PACKAGES.join(" ")));
    output(command("python3", ["-m", "venv"]).arg(&environment)).context("python3-venv")?;
    let pip = ["-m", "pip", "install", "--quiet", "--no-cache-dir"];
    run_it(command(&python, pip).args(PACKAGES))?;
    drop_copies(&environment)?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

/// The library lies there under three names, 85 MB each, where other packages have links.
fn drop_copies(environment: &Path) -> Result<()> {
    let libraries = output(command("find", [environment]).args(["-name", "libhelm_c.so*"]))?;
    let mut libraries: Vec<&str> = libraries.lines().collect();
    libraries.sort_unstable();
    if let [kept, copies @ ..] = libraries.as_slice() {
        for copy in copies {
            fs::remove_file(copy)?;
            std::os::unix::fs::symlink(kept, copy)?;
        }
    }
    Ok(())
}
