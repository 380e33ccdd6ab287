//! How much memory the control group leaves this process.

use std::{fs, path::Path};

/// Where control groups are mounted: those of version 2, and those of version 1 that bound memory.
const UNIFIED: &str = "/sys/fs/cgroup";
const OLDER: &str = "/sys/fs/cgroup/memory";

/// The least limit of memory from this process's control group up, bytes; `None` where there is none.
pub fn memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let unified = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let older = own.lines().find_map(of_version_1);
    let limits = [
        unified.and_then(|path| limit_of(Path::new(UNIFIED), path, "memory.max")),
        older.and_then(|path| limit_of(Path::new(OLDER), path, "memory.limit_in_bytes")),
    ];
    limits.into_iter().flatten().min()
}

/// The group's path in a line such as `9:memory:/system.slice`.
fn of_version_1(line: &str) -> Option<&str> {
    let (controllers, path) = line.split_once(':')?.1.split_once(":/")?;
    let bounds_memory = controllers.split(',').any(|name| name == "memory");
    bounds_memory.then_some(path)
}

fn limit_of(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let own = mount.join(path);
    let groups = own.ancestors().take_while(|group| group.starts_with(mount));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::{limit_of, of_version_1};

    #[test]
    fn the_least_limit_on_the_way_up_is_the_one_that_counts() {
        let mount = env::temp_dir().join(format!("tds-tracer-memory-{}", process::id()));
        let own = mount.join("system.slice/tds-tracer.service");
        fs::create_dir_all(&own).expect("folders");
        let is = || limit_of(&mount, "system.slice/tds-tracer.service", "memory.max");
        assert_eq!(is(), None);
        fs::write(own.join("memory.max"), "max\n").expect("written");
        assert_eq!(is(), None);
        fs::write(own.join("memory.max"), "268435456\n").expect("written");
        assert_eq!(is(), Some(256 << 20));
        fs::write(mount.join("system.slice/memory.max"), "1048576\n").expect("written");
        assert_eq!(is(), Some(1 << 20));
        fs::remove_dir_all(&mount).expect("cleaned up");
    }

    #[test]
    fn of_the_older_groups_only_those_of_memory_count() {
        assert_eq!(of_version_1("9:memory:/a/b"), Some("a/b"));
        assert_eq!(of_version_1("4:cpu,memory:/"), Some(""));
        assert_eq!(of_version_1("3:pids:/a"), None);
        assert_eq!(of_version_1("0::/a"), None);
    }
}
