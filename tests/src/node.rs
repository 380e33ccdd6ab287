//! A node of a cluster, as far as an agent sees it: control groups in the shape that runtimes give them, and the files
//! that name them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long the processes of a group may take to end.
const LIMIT: Duration = Duration::from_secs(10);

/// Files below a directory of their own, and groups below another; all gone with this.
pub struct Node {
    files: PathBuf,
    groups: PathBuf,
}

impl Node {
    /// One whose control groups begin in a directory of the hierarchy.
    pub fn new(within: &Path) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tdst-{}-{count}-node", std::process::id());
        let node = Self {
            files: std::env::temp_dir().join(&name),
            groups: within.join(&name),
        };
        fs::create_dir_all(&node.files)?;
        fs::create_dir_all(&node.groups)?;
        Ok(node)
    }

    /// What is `/` on the node.
    pub fn root(&self) -> &Path {
        &self.files
    }

    /// Its control groups.
    pub fn groups(&self) -> &Path {
        &self.groups
    }

    /// Writes a file of the node.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.files.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Makes a control group; a shell's line that goes on in it.
    pub fn enter(&self, path: &str) -> Result<String> {
        let group = self.groups.join(path.trim_start_matches('/'));
        fs::create_dir_all(&group)?;
        let processes = group.join("cgroup.procs");
        Ok(format!("echo $$ > {}", processes.display()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let end = Instant::now() + LIMIT;
        // Before Linux 5.14 its processes are waited for.
        fs::write(self.groups.join("cgroup.kill"), "1").ok();
        while !remove(&self.groups) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::remove_dir_all(&self.files).ok();
    }
}

/// Removes a group and those in it; whether they are gone.
fn remove(group: &Path) -> bool {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for entry in inner {
        remove(&entry.path());
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
