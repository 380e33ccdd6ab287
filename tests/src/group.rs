//! Control groups as containers have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long the processes of a group may take to end.
const LIMIT: Duration = Duration::from_secs(10);

/// A control group as a container's, gone with this, and all its processes with it.
pub struct Group {
    root: PathBuf,
    outer: PathBuf,
    container: String,
}

impl Group {
    /// Makes a group with a name of its own.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mounts = fs::read_to_string("/proc/mounts")?;
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?;
            (fields.next()? == "cgroup2").then_some(point)
        });
        let root = PathBuf::from(root.context("no cgroup v2 hierarchy is mounted")?);
        let group = Self {
            outer: root.join(format!("tdst-{}-{count}", std::process::id())),
            root,
            container: "0123456789abcdef".repeat(4),
        };
        fs::create_dir_all(group.directory())?;
        Ok(group)
    }

    /// Where the hierarchy is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The group's directory.
    pub fn directory(&self) -> PathBuf {
        self.outer.join(format!("docker-{}.scope", self.container))
    }

    /// The group's path, as the host has it.
    pub fn path(&self) -> Result<String> {
        let directory = self.directory();
        let path = directory.strip_prefix(&self.root)?;
        Ok(format!("/{}", path.display()))
    }

    /// The container's id.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// A shell's line that goes on in this group.
    pub fn enter(&self) -> String {
        let processes = self.directory().join("cgroup.procs");
        format!("echo $$ > {}", processes.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let inner = self.directory();
        // Before Linux 5.14 they are waited for.
        fs::write(inner.join("cgroup.kill"), "1").ok();
        let end = Instant::now() + LIMIT;
        while fs::remove_dir(&inner).is_err() && inner.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::remove_dir(&self.outer).ok();
    }
}
