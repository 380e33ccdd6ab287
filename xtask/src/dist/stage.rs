//! The files as they lie on a host, which every package has.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::epoch;
use crate::{
    arch::Arch,
    process::{command, output, root},
};

/// Files of this repository, and where they go.
const COPIED: &[(&str, &str)] = &[
    (
        "packaging/systemd/tds-tracer.service",
        "usr/lib/systemd/system/tds-tracer.service",
    ),
    (
        "packaging/systemd/tds-tracer.sysusers",
        "usr/lib/sysusers.d/tds-tracer.conf",
    ),
    (
        "packaging/systemd/network.conf",
        "usr/share/doc/tds-tracer/examples/network.conf",
    ),
    (
        "packaging/systemd/watch-process.conf",
        "usr/share/doc/tds-tracer/examples/watch-process.conf",
    ),
    (
        "packaging/pipelines/vector.yaml",
        "usr/share/doc/tds-tracer/examples/vector.yaml",
    ),
    (
        "packaging/pipelines/vector-elastic.yaml",
        "usr/share/doc/tds-tracer/examples/vector-elastic.yaml",
    ),
    (
        "packaging/pipelines/vector-clickhouse.yaml",
        "usr/share/doc/tds-tracer/examples/vector-clickhouse.yaml",
    ),
    (
        "packaging/pipelines/fluent-bit.yaml",
        "usr/share/doc/tds-tracer/examples/fluent-bit.yaml",
    ),
    ("docs/schema.json", "usr/share/doc/tds-tracer/schema.json"),
    (
        "docs/config.schema.json",
        "usr/share/doc/tds-tracer/config.schema.json",
    ),
    ("LICENSE-MIT", "usr/share/doc/tds-tracer/copyright"),
];

/// What the agent prints of itself, and where that goes.
const SAID: &[(&[&str], &str)] = &[
    (&["config", "template"], CONFIGURATION),
    (
        &["completions", "bash"],
        "usr/share/bash-completion/completions/tds-tracer",
    ),
    (
        &["completions", "zsh"],
        "usr/share/zsh/vendor-completions/_tds-tracer",
    ),
    (
        &["completions", "fish"],
        "usr/share/fish/vendor_completions.d/tds-tracer.fish",
    ),
];

/// What its administrator may change, and a package leaves alone then.
pub(super) const CONFIGURATION: &str = "etc/tds-tracer/config.toml";
const AGENT: &str = "usr/bin/tds-tracer";
const PAGES: &str = "usr/share/man/man1";

/// See the module.
pub(super) struct Stage {
    /// What is `/` on the host.
    pub(super) folder: PathBuf,
}

impl Stage {
    /// Lays them out.
    pub(super) fn new(agent: &Path, arch: Arch, folder: &Path) -> Result<Self> {
        let stage = Self {
            folder: folder.to_owned(),
        };
        stage.put(AGENT, &fs::read(agent)?, 0o755)?;
        for (from, to) in COPIED {
            let text = fs::read(root().join(from)).with_context(|| (*from).to_owned())?;
            stage.put(to, &text, 0o644)?;
        }
        for (words, to) in SAID {
            let said = output(arch.program(agent).args(*words))?;
            stage.put(to, said.as_bytes(), 0o644)?;
        }
        fs::create_dir_all(folder.join("etc/tds-tracer/conf.d"))?;
        stage.pages(arch, agent)?;
        Ok(stage)
    }

    /// The manual, a page for each command.
    fn pages(&self, arch: Arch, agent: &Path) -> Result<()> {
        let folder = self.folder.join(PAGES);
        fs::create_dir_all(&folder)?;
        output(arch.program(agent).arg("man").arg(&folder))?;
        for page in fs::read_dir(&folder)? {
            let page = page?.path();
            mode(&page, 0o644)?;
            output(command("gzip", ["-9", "--no-name"]).arg(page))?;
        }
        Ok(())
    }

    fn put(&self, to: &str, bytes: &[u8], bits: u32) -> Result<()> {
        let path = self.folder.join(to);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        fs::write(&path, bytes)?;
        mode(&path, bits)
    }

    /// Gives everything the same time, once all of it is there.
    pub(super) fn settle(&self) -> Result<()> {
        let time = format!("@{}", epoch()?);
        let mut touch = command("find", [&self.folder]);
        touch.args([
            "-exec",
            "touch",
            "--no-dereference",
            "--date",
            &time,
            "{}",
            "+",
        ]);
        output(&mut touch).map(drop)
    }
}

pub(super) fn mode(path: &Path, bits: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(bits))?)
}
