//! Whether a process can run: limits of its control group, waits for a processor, signals that stop it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs::process::Process;

use crate::session::ProcessFacts;

/// Threads of a process that are looked at, those with the lowest ids.
const THREADS: usize = 32;
/// Control groups around a process's that are looked at.
const DEPTH: usize = 8;
/// Microseconds are nanoseconds so many times.
const MICRO: u64 = 1000;

/// How a process stands at one moment: totals, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// It is stopped.
    pub(super) stopped: bool,
    throttled: Option<u64>,
    throttled_periods: Option<u64>,
    periods: Option<u64>,
    /// How long each thread has waited for a processor, by its id.
    queued: Vec<(i32, u64)>,
    cpu_pressure: Option<u64>,
    memory_pressure: Option<u64>,
}

/// Where the limits of a process are.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    /// Directories of control groups with a limit on processor time, the process's own and those around it.
    limited: Vec<PathBuf>,
    /// Where its control group says how long its tasks waited.
    pressure: Option<PathBuf>,
}

/// Where control groups are mounted.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts {
    unified: Option<PathBuf>,
    /// The hierarchy of version 1 that limits processor time.
    cpu: Option<PathBuf>,
}

impl Mounts {
    pub(super) fn find() -> Self {
        let mut mounts = Self::default();
        let all = Process::myself().and_then(|own| own.mountinfo());
        for mount in all.into_iter().flatten() {
            // Elsewhere paths do not begin where the mount does.
            if mount.root != "/" {
                continue;
            }
            let limits = || mount.super_options.contains_key("cpu");
            match mount.fs_type.as_str() {
                "cgroup2" => mounts.unified.get_or_insert(mount.mount_point),
                "cgroup" if limits() => mounts.cpu.get_or_insert(mount.mount_point),
                _ => continue,
            };
        }
        mounts
    }

    /// Whether limits of processor time can be seen.
    pub(super) fn show_limits(&self) -> bool {
        let unified = self.unified.as_deref().is_some_and(has_cpu);
        unified || self.cpu.is_some()
    }

    /// Whether waits for processor and memory can be seen by control group.
    pub(super) fn show_pressure(&self) -> bool {
        let unified = self.unified.as_deref();
        unified.is_some_and(|point| point.join("cpu.pressure").exists())
    }

    pub(super) fn limits(&self, process: &Process) -> Limits {
        let mut limits = Limits::default();
        let groups = process.cgroups().into_iter().flatten();
        for group in groups {
            let is_unified = group.hierarchy == 0;
            let point = if is_unified {
                self.unified.as_ref()
            } else if group.controllers.iter().any(|name| name == "cpu") {
                self.cpu.as_ref()
            } else {
                None
            };
            let Some(point) = point else { continue };
            let own = point.join(group.pathname.trim_start_matches('/'));
            if is_unified && own.join("cpu.pressure").exists() {
                limits.pressure = Some(own.clone());
            }
            let around = own.ancestors().take(DEPTH);
            let around = around.take_while(|group| group.starts_with(point));
            let limited = around.filter(|group| is_limited(group));
            limits.limited.extend(limited.map(Path::to_owned));
        }
        limits
    }
}

fn has_cpu(point: &Path) -> bool {
    let controllers = fs::read_to_string(point.join("cgroup.controllers"));
    controllers.is_ok_and(|all| all.split_whitespace().any(|name| name == "cpu"))
}

/// Whether a control group may use only so much of the processors.
fn is_limited(group: &Path) -> bool {
    let read = |file| fs::read_to_string(group.join(file));
    match (read("cpu.max"), read("cpu.cfs_quota_us")) {
        (Ok(most), _) => !most.starts_with("max"),
        (_, Ok(quota)) => !quota.starts_with('-'),
        _ => false,
    }
}

impl Standing {
    /// How it stands now; `None` where it is gone.
    pub(super) fn of(process: &Process, limits: &Limits) -> Option<Self> {
        let state = process.stat().ok()?.state;
        Some(Self {
            stopped: matches!(state, 'T' | 't'),
            queued: queued(process),
            ..Self::of_groups(limits)
        })
    }

    /// How it stands after its process has ended.
    pub(super) fn gone(&self, limits: &Limits) -> Self {
        Self {
            stopped: false,
            queued: self.queued.clone(),
            ..Self::of_groups(limits)
        }
    }

    /// What its control groups say.
    fn of_groups(limits: &Limits) -> Self {
        // A control group whose limit was reached holds back all that are in it.
        let throttled = limits.limited.iter().filter_map(|group| throttled(group));
        let throttled = throttled.max();
        let pressure = |file| {
            let path = limits.pressure.as_ref()?.join(file);
            Some(pressure(&fs::read_to_string(path).ok()?)? * MICRO)
        };
        Self {
            throttled: throttled.map(|[time, ..]| time),
            throttled_periods: throttled.map(|[_, periods, _]| periods),
            periods: throttled.map(|[.., periods]| periods),
            cpu_pressure: pressure("cpu.pressure"),
            memory_pressure: pressure("memory.pressure"),
            ..Self::default()
        }
    }

    /// What came to it since an earlier moment, this long ago. How long it was stopped takes more than two.
    pub(super) fn since(&self, earlier: &Self, span: u64) -> ProcessFacts {
        let more = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let waits = self.queued.iter().map(|(thread, now)| {
            let before = earlier.queued.iter().find(|(own, _)| own == thread);
            // One that was not there has waited since then only.
            now.saturating_sub(before.map_or(0, |(_, then)| *then))
        });
        ProcessFacts {
            span,
            throttled: more(self.throttled, earlier.throttled),
            throttled_periods: more(self.throttled_periods, earlier.throttled_periods),
            periods: more(self.periods, earlier.periods),
            queued: waits.max(),
            cpu_pressure: more(self.cpu_pressure, earlier.cpu_pressure),
            memory_pressure: more(self.memory_pressure, earlier.memory_pressure),
            stopped: None,
        }
    }
}

/// How long a control group was held back, in how many periods of its limit, and how many there were.
fn throttled(group: &Path) -> Option<[u64; 3]> {
    throttled_in(&fs::read_to_string(group.join("cpu.stat")).ok()?)
}

/// Version 2 tells it in microseconds, version 1 in nanoseconds.
fn throttled_in(statistics: &str) -> Option<[u64; 3]> {
    let value = |name| {
        let mut lines = statistics.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(own, _)| *own == name)?;
        value.trim().parse::<u64>().ok()
    };
    let time = value("throttled_usec").map(|time| time * MICRO);
    let time = time.or_else(|| value("throttled_time"))?;
    Some([time, value("nr_throttled")?, value("nr_periods")?])
}

/// Microseconds for which some task waited.
fn pressure(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let (_, total) = some.split_once("total=")?;
    total.trim().parse().ok()
}

/// How long some task of this host has been ready without a processor, nanoseconds; `None` where the kernel does not say.
pub(super) fn waited_by_any() -> Option<u64> {
    Some(pressure(&fs::read_to_string("/proc/pressure/cpu").ok()?)? * MICRO)
}

fn queued(process: &Process) -> Vec<(i32, u64)> {
    let threads = process.tasks().into_iter().flatten().flatten();
    let threads = threads.take(THREADS);
    threads
        .filter_map(|thread| Some((thread.tid, thread.schedstat().ok()?.run_delay)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_how_long_a_group_was_held_back() {
        let second = "usage_usec 9\nnr_periods 40\nnr_throttled 12\nthrottled_usec 340000\n";
        let first = "nr_periods 40\nnr_throttled 12\nthrottled_time 340000000\n";
        assert_eq!(throttled_in(second), Some([340_000_000, 12, 40]));
        assert_eq!(throttled_in(first), Some([340_000_000, 12, 40]));
        // A group without the controller.
        assert_eq!(throttled_in("usage_usec 9\n"), None);
    }

    #[test]
    fn a_groups_pressure_is_that_of_some_task() {
        let text = "some avg10=2.86 avg60=1.19 avg300=1.71 total=21000\nfull avg10=0.00 total=7\n";
        assert_eq!(pressure(text), Some(21_000));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn the_thread_that_waited_the_longest_counts_and_not_all_together() {
        let at = |queued: &[(i32, u64)]| Standing {
            queued: queued.to_vec(),
            ..Standing::default()
        };
        let since = at(&[(1, 50), (2, 90), (3, 30)]).since(&at(&[(1, 20), (2, 70)]), 100);
        assert_eq!((since.queued, since.span), (Some(30), 100));
    }

    #[test]
    fn of_a_process_that_is_gone_its_control_group_still_tells() {
        let group = std::env::temp_dir().join(format!("tds-tracer-group-{}", std::process::id()));
        fs::create_dir_all(&group).unwrap();
        let held_back = |micros: u64| {
            let text = format!("nr_periods 9\nnr_throttled 1\nthrottled_usec {micros}\n");
            fs::write(group.join("cpu.stat"), text).unwrap();
        };
        let limits = Limits {
            limited: vec![group.clone()],
            pressure: None,
        };
        held_back(0);
        let alive = Standing {
            queued: vec![(1, 70)],
            ..Standing::of_groups(&limits)
        };
        held_back(1_300_000);
        let facts = alive.gone(&limits).since(&alive, 2_000_000_000);
        assert_eq!(facts.throttled, Some(1_300_000_000));
        assert_eq!(facts.queued, Some(0));
        // The group is gone as well.
        fs::remove_dir_all(&group).unwrap();
        assert_eq!(alive.gone(&limits).since(&alive, 1).throttled, None);
    }

    #[test]
    fn this_process_runs_and_has_threads() {
        let myself = Process::myself().unwrap();
        let limits = Mounts::find().limits(&myself);
        let standing = Standing::of(&myself, &limits).unwrap();
        assert!(!standing.stopped && !standing.queued.is_empty());
    }
}
