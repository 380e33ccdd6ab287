//! From a control group's id to its path: all that is left to find out about a process that is gone.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Instant,
};

/// Groups remembered; a large host has some thousands. No id is given twice.
const MAX_KNOWN: usize = 16 * 1024;
/// How much longer than a walk took the next has to wait.
const REST: u32 = 20;

/// A cgroup v2 hierarchy, where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// The path that the mount point itself has in the hierarchy.
    root: String,
}

/// Where the cgroup v2 hierarchy is mounted.
pub fn cgroup_root() -> Option<PathBuf> {
    Some(mount()?.point)
}

fn mount() -> Option<Mount> {
    mount_among(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

/// The mount that shows most of it: of all, if there is one (`proc_pid_mountinfo(5)`).
fn mount_among(mountinfo: &str) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        after.starts_with("cgroup2 ").then(|| Mount {
            point: PathBuf::from(unescaped(point)),
            root: unescaped(root),
        })
    });
    mounts.min_by_key(|mount| mount.root.len())
}

/// A field of `mountinfo`, in which what would end it is written in octal.
fn unescaped(field: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let mut text = field.to_owned();
    for (escape, character) in escapes {
        text = text.replace(escape, character);
    }
    text
}

/// The groups' paths by their ids, which are their directories' inodes.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    paths: HashMap<u64, String>,
    /// When the directories may be walked again.
    rested: Option<Instant>,
}

impl Cgroups {
    /// The path in the unified hierarchy, as `/proc/PID/cgroup` would have it; `None` also for the
    /// root, where a process may be only because other hierarchies hold it (cgroups(7)).
    pub(super) fn path(&mut self, id: u64) -> Option<&str> {
        if !self.paths.contains_key(&id) {
            self.walk();
        }
        let path = self.paths.get(&id)?;
        (path != "/").then_some(path)
    }

    /// Looks at the directories there are, unless it has done so just now.
    fn walk(&mut self) {
        let start = Instant::now();
        if self.rested.is_some_and(|rested| start < rested) {
            return;
        }
        if let Some(mount) = mount() {
            // What has been removed is kept, since a process of it may yet be told.
            if self.paths.len() >= MAX_KNOWN {
                self.paths.clear();
            }
            self.walk_from(&mount);
        }
        let end = Instant::now();
        self.rested = Some(end + (end - start) * REST);
    }

    fn walk_from(&mut self, mount: &Mount) {
        let root = mount.root.trim_end_matches('/').to_owned();
        if let Ok(metadata) = fs::metadata(&mount.point) {
            self.paths.insert(metadata.ino(), or_root(&root));
        }
        let mut left = vec![(mount.point.clone(), root)];
        while let Some((folder, path)) = left.pop() {
            for (inode, name) in folders(&folder) {
                if self.paths.len() >= MAX_KNOWN {
                    return;
                }
                let path = format!("{path}/{name}");
                self.paths.insert(inode, path.clone());
                left.push((folder.join(name), path));
            }
        }
    }
}

fn or_root(path: &str) -> String {
    if path.is_empty() { "/" } else { path }.to_owned()
}

/// The folders in a folder, by inode. One that is gone meanwhile has none.
fn folders(folder: &Path) -> impl Iterator<Item = (u64, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().to_string_lossy().into_owned();
        is_folder.then(|| (entry.ino(), name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Cgroups, Mount, mount_among};
    use std::{fs, os::unix::fs::MetadataExt as _};

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
31 23 0:27 /a\\040b /mnt/part rw shared:7 - cgroup2 none rw
32 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_mount_that_shows_all_is_chosen() {
        let mount = mount_among(HYBRID).unwrap();
        assert_eq!(mount.point.to_str(), Some("/sys/fs/cgroup/unified"));
        let first: Vec<_> = HYBRID.lines().take(2).collect();
        assert_eq!(mount_among(&first.join("\n")).unwrap().root, "/a b");
        assert_eq!(mount_among(first[0]), None);
    }

    #[test]
    fn a_group_is_found_by_its_inode_also_when_it_is_gone() {
        let point = std::env::temp_dir().join(format!("tdst-{}-cgroups", std::process::id()));
        let inner = point.join("system.slice/sql.service");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("cgroup.procs"), "").unwrap();
        let inode = |path| fs::metadata(path).unwrap().ino();
        let (outer, id) = (inode(&point), inode(&inner));
        let mut cgroups = Cgroups::default();
        for (root, expected) in [
            ("/", "/system.slice/sql.service"),
            ("/part", "/part/system.slice/sql.service"),
        ] {
            cgroups.walk_from(&Mount {
                point: point.clone(),
                root: root.to_owned(),
            });
            assert_eq!(cgroups.path(id), Some(expected));
            assert_eq!(cgroups.path(outer), (root != "/").then_some(root));
            assert_eq!(cgroups.paths.len(), 3, "files are no groups");
        }
        fs::remove_dir_all(&point).unwrap();
        assert_eq!(cgroups.path(id), Some("/part/system.slice/sql.service"));
    }
}
