//! The capabilities that the probe needs (capabilities(7)).

use std::fs;

/// By their bits (linux/capability.h).
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38)];
/// Stands for the others but `CAP_NET_ADMIN`.
const CAP_SYS_ADMIN: u32 = 21;

/// Those that this process lacks, by the kernel's account.
pub fn missing_capabilities() -> Vec<&'static str> {
    missing_of(held())
}

/// Whether this process may mount file systems.
pub(super) fn may_mount() -> bool {
    held() & (1 << CAP_SYS_ADMIN) != 0
}

/// The effective set.
fn held() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.unwrap_or(0)
}

fn missing_of(held: u64) -> Vec<&'static str> {
    let has = |bit: u32| held & (1 << bit) != 0;
    let stands_in = |name: &str| name != "CAP_NET_ADMIN" && has(CAP_SYS_ADMIN);
    let missing = NEEDED
        .into_iter()
        .filter(|(name, bit)| !has(*bit) && !stands_in(name));
    missing.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::missing_of;

    #[test]
    fn an_older_capability_stands_for_two_of_them() {
        let (net_admin, sys_admin, perfmon, bpf) = (1 << 12, 1 << 21, 1 << 38, 1 << 39);
        let all = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"];
        for (held, missing) in [
            (net_admin | perfmon | bpf, &[][..]),
            (net_admin | sys_admin, &[]),
            (net_admin | bpf, &all[2..]),
            (perfmon | bpf, &all[1..2]),
            (sys_admin, &all[1..2]),
            (0, &all),
        ] {
            assert_eq!(missing_of(held), missing, "{held:#x}");
        }
    }
}
