//! The cgroup v2 hierarchy: where it can be reached, and whether that is all of it.
//!
//! In a cgroup namespace, as in most containers, a mount looks as if it began with the container's
//! own group: hooks attached there see nobody else's sockets. The host's root is told apart by its
//! inode, which is 1 wherever it is mounted.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use rustix::{
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{capabilities::may_mount, namespaces::hosts_cgroups};

/// The inode of the root of a hierarchy.
const ROOT: u64 = 1;

/// The hierarchy, from one of its directories down.
#[derive(Debug)]
pub struct Hierarchy {
    point: PathBuf,
    /// The path that the directory has in the hierarchy, as far as that can be told.
    path: String,
    is_whole: bool,
    /// Somebody has named it.
    is_named: bool,
    /// A mount that is in no file system, and gone with this.
    mount: Option<OwnedFd>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no directory of a cgroup v2 hierarchy: `findmnt -t cgroup2` lists where they are")]
pub struct NoGroup(String);

/// A line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// The path of what is mounted, as this cgroup namespace has it.
    root: String,
}

impl Hierarchy {
    /// The one that a directory is in, from that down, if one is named; else as much as can be found.
    ///
    /// # Errors
    /// Where the directory is in none.
    pub fn choose(directory: Option<&Path>) -> Result<Option<Arc<Self>>, NoGroup> {
        let chosen = match directory {
            Some(directory) => Some(Self::at(directory)?),
            None => Self::find(),
        };
        Ok(chosen.map(Arc::new))
    }

    /// All of it, where any mount has it or one can be made; else the most that a mount shows.
    fn find() -> Option<Self> {
        let mut shown: Vec<_> = mounts().into_iter().filter_map(Self::shown).collect();
        if let Some(whole) = shown.iter().position(|shown| shown.is_whole) {
            return Some(shown.swap_remove(whole));
        }
        let made = Self::made().ok();
        match made {
            Some(made) if made.is_whole || shown.is_empty() => Some(made),
            _ => shown.into_iter().next(),
        }
    }

    fn at(directory: &Path) -> Result<Self, NoGroup> {
        // What is not there is in no hierarchy either.
        let point = fs::canonicalize(directory).unwrap_or_default();
        let mounts = mounts();
        let around = mounts
            .iter()
            .filter(|mount| point.starts_with(&mount.point));
        // The innermost.
        let around = around.max_by_key(|mount| mount.point.as_os_str().len());
        let root = around.and_then(|mount| {
            let below = point.strip_prefix(&mount.point).ok()?;
            let root = mount.root.trim_end_matches('/');
            Some(format!("{root}/{}", below.display()))
        });
        let root = root.unwrap_or_default();
        match Self::shown(Mount { point, root }) {
            Some(shown) => Ok(Self {
                is_named: true,
                ..shown
            }),
            None => Err(NoGroup(directory.display().to_string())),
        }
    }

    /// `None` where something else is mounted over it, or it is out of reach.
    fn shown(Mount { point, root }: Mount) -> Option<Self> {
        let found = rustix::fs::statfs(&point).ok()?;
        let is_whole = fs::metadata(&point).ok()?.ino() == ROOT;
        (found.f_type == libc::CGROUP2_SUPER_MAGIC).then(|| Self {
            path: if is_whole {
                String::new()
            } else {
                root.trim_end_matches('/').to_owned()
            },
            point,
            is_whole,
            is_named: false,
            mount: None,
        })
    }

    /// Mounts it where nobody else sees it. What it shows then depends on the cgroup namespace it
    /// is mounted in; so that is the host's, if it is another and may be entered.
    fn made() -> io::Result<Self> {
        // Without, it would be refused; and where system calls are filtered, trying may be death.
        if !may_mount() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // A thread of its own, since that is what enters a namespace.
        let mount = thread::spawn(|| {
            if let Some(host) = hosts_cgroups() {
                let kind = Some(LinkNameSpaceType::ControlGroup);
                if let Err(error) = move_into_link_name_space(host.as_fd(), kind) {
                    tracing::debug!(%error, "the host's cgroup namespace may not be entered");
                }
            }
            let made = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_create(&made)?;
            let flags = FsMountFlags::FSMOUNT_CLOEXEC;
            fsmount(&made, flags, MountAttrFlags::empty())
        });
        let mount = mount
            .join()
            .unwrap_or_else(|_| Err(rustix::io::Errno::INVAL))?;
        let point = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        Ok(Self {
            is_whole: fs::metadata(&point)?.ino() == ROOT,
            point,
            path: String::new(),
            is_named: false,
            mount: Some(mount),
        })
    }

    /// Whether it is all of the host's, and not what a container or somebody's choice leaves of it.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The directory it begins with, as a person would find it.
    pub fn place(&self) -> String {
        if self.mount.is_some() {
            "mounted for the agent alone".to_owned()
        } else {
            self.point.display().to_string()
        }
    }

    /// The directory it begins with, as this process finds it.
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// That directory's path in the hierarchy, without a slash at its end.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What hooks at its beginning leave unseen.
    pub fn shortfall(&self) -> Option<String> {
        let whose = if self.is_named {
            "the named"
        } else {
            "this container's"
        };
        (!self.is_whole).then(|| {
            let place = self.place();
            format!(
                "sees only the sockets of {whose} control group: {place} is not the host's root"
            )
        })
    }
}

/// The mounts of cgroup v2, those that show more of it first.
fn mounts() -> Vec<Mount> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts_in(&mountinfo)
}

fn mounts_in(mountinfo: &str) -> Vec<Mount> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        after.starts_with("cgroup2 ").then(|| Mount {
            point: PathBuf::from(unescaped(point)),
            root: unescaped(root),
        })
    });
    let mut mounts: Vec<_> = mounts.collect();
    mounts.sort_by_key(Mount::depth);
    mounts
}

impl Mount {
    /// How far below the top of what can be seen: what is above this namespace's own root is
    /// written with `..` (`cgroup_namespaces(7)`).
    fn depth(&self) -> isize {
        let parts = self.root.split('/').filter(|part| !part.is_empty());
        parts.map(|part| if part == ".." { -1 } else { 1 }).sum()
    }
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

#[cfg(test)]
impl Hierarchy {
    /// One that any directory stands for.
    pub(super) fn standing_in(point: PathBuf, path: &str) -> Self {
        Self {
            point,
            path: path.to_owned(),
            is_whole: path.is_empty(),
            is_named: false,
            mount: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
31 23 0:27 /a\\040b /mnt/part rw shared:7 - cgroup2 none rw
32 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw
33 23 0:27 /../.. /mnt/host\\040cgroup ro - cgroup2 cgroup2 rw
34 23 0:27 /../../b /mnt/other ro - cgroup2 cgroup2 rw
";

    #[test]
    fn what_is_mounted_from_above_comes_first() {
        let mounts = mounts_in(HYBRID);
        let points: Vec<_> = mounts.iter().map(|mount| mount.point.to_str()).collect();
        let expected = [
            "/mnt/host cgroup",
            "/mnt/other",
            "/sys/fs/cgroup/unified",
            "/mnt/part",
        ];
        assert_eq!(points, expected.map(Some));
        assert_eq!(mounts[3].root, "/a b");
    }

    #[test]
    fn a_directory_elsewhere_is_no_group() {
        for directory in ["/", "/no/such"] {
            let refusal = Hierarchy::at(Path::new(directory)).unwrap_err().to_string();
            assert!(refusal.contains("findmnt -t cgroup2"), "{refusal}");
        }
    }
}
