//! How much memory the control group leaves this process.

use std::{fs, path::Path};

const MOUNT: &str = "/sys/fs/cgroup";

/// The least `memory.max` from this process's control group up, bytes; `None` where there is none.
pub fn memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    limit_of(Path::new(MOUNT), path)
}

fn limit_of(mount: &Path, path: &str) -> Option<u64> {
    let own = mount.join(path);
    let groups = own.ancestors().take_while(|group| group.starts_with(mount));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(group.join("memory.max")).ok()?;
        text.trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::limit_of;

    #[test]
    fn the_least_limit_on_the_way_up_is_the_one_that_counts() {
        let mount = env::temp_dir().join(format!("tds-tracer-memory-{}", process::id()));
        let own = mount.join("system.slice/tds-tracer.service");
        fs::create_dir_all(&own).expect("folders");
        let is = || limit_of(&mount, "system.slice/tds-tracer.service");
        assert_eq!(is(), None);
        fs::write(own.join("memory.max"), "max\n").expect("written");
        assert_eq!(is(), None);
        fs::write(own.join("memory.max"), "268435456\n").expect("written");
        assert_eq!(is(), Some(256 << 20));
        fs::write(mount.join("system.slice/memory.max"), "1048576\n").expect("written");
        assert_eq!(is(), Some(1 << 20));
        fs::remove_dir_all(&mount).expect("cleaned up");
    }
}
