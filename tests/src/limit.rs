//! A limit on processor time, as containers have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long the processes of a group may take to leave it.
const PATIENCE: Duration = Duration::from_secs(10);
/// All of one processor, and next to nothing: microseconds of a period.
const ALL: (u32, u32) = (100_000, 100_000);
const HARDLY_ANY: (u32, u32) = (1000, 1_000_000);

/// A control group whose processes may use only so much of the processors; gone with this.
pub struct Limit {
    directory: PathBuf,
    /// It is one of version 2.
    unified: bool,
}

impl Limit {
    /// Makes one that leaves all of a processor.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (mount, unified) = mount()?;
        let name = format!("tdst-{}-{count}-limit", std::process::id());
        if unified {
            fs::write(mount.join("cgroup.subtree_control"), "+cpu")?;
        }
        let limit = Self {
            directory: mount.join(name),
            unified,
        };
        fs::create_dir_all(&limit.directory)?;
        limit.set(ALL)?;
        Ok(limit)
    }

    /// A shell's line that goes on in this group.
    pub fn enter(&self) -> String {
        let processes = self.directory.join("cgroup.procs");
        format!("echo $$ > {}", processes.display())
    }

    /// Has a process that runs go on in this group.
    pub fn take(&self, pid: u32) -> Result<()> {
        let processes = self.directory.join("cgroup.procs");
        fs::write(&processes, pid.to_string())
            .with_context(|| format!("cannot write {}", processes.display()))
    }

    /// Leaves its processes a thousandth of a processor.
    pub fn tighten(&self) -> Result<()> {
        self.set(HARDLY_ANY)
    }

    /// Leaves them all of one again.
    pub fn loosen(&self) -> Result<()> {
        self.set(ALL)
    }

    fn set(&self, (quota, period): (u32, u32)) -> Result<()> {
        let write = |file, text: String| {
            let path = self.directory.join(file);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        if self.unified {
            return write("cpu.max", format!("{quota} {period}"));
        }
        // Neither may exceed all there is on the way.
        write("cpu.cfs_quota_us", "-1".to_owned())?;
        write("cpu.cfs_period_us", period.to_string())?;
        write("cpu.cfs_quota_us", quota.to_string())
    }
}

/// Where processor time can be limited, and whether that is version 2.
fn mount() -> Result<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mut all = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        let options = fields.next()?;
        let point = Path::new(point);
        match kind {
            "cgroup2" => {
                let controllers = fs::read_to_string(point.join("cgroup.controllers")).ok()?;
                let has = controllers.split_whitespace().any(|name| name == "cpu");
                has.then(|| (point.to_owned(), true))
            }
            "cgroup" => {
                let has = options.split(',').any(|name| name == "cpu");
                has.then(|| (point.to_owned(), false))
            }
            _ => None,
        }
    });
    all.next()
        .context("no control groups that limit processor time")
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.loosen().ok();
        let end = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.directory).is_err()
            && self.directory.exists()
            && Instant::now() < end
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
