//! From a control group's id to its path: all that is left to find out about a process that is gone.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::Path,
    sync::Arc,
    time::Instant,
};

use super::{hierarchy::Hierarchy, namespaces::has_the_hosts_cgroups};

/// Groups remembered; a large host has some thousands. No id is given twice.
const MAX_KNOWN: usize = 16 * 1024;
/// How much longer than a walk took the next has to wait.
const REST: u32 = 20;

/// The groups' paths by their ids, which are their directories' inodes.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    hierarchy: Option<Arc<Hierarchy>>,
    paths: HashMap<u64, String>,
    /// When the directories may be walked again.
    rested: Option<Instant>,
}

impl Cgroups {
    pub(super) fn of(hierarchy: Option<Arc<Hierarchy>>) -> Self {
        Self {
            hierarchy,
            ..Self::default()
        }
    }

    /// The directories that they are read from.
    pub(super) fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_deref()
    }

    /// Whether its paths are the host's, and those in `/proc` begin with this namespace's root.
    pub(super) fn knows_better(&self) -> bool {
        let is_whole = |hierarchy: &Arc<Hierarchy>| hierarchy.is_whole();
        self.hierarchy.as_ref().is_some_and(is_whole) && !has_the_hosts_cgroups()
    }

    /// The path in the unified hierarchy, the host's if all of that is seen.
    pub(super) fn path(&mut self, id: u64) -> Option<&str> {
        if !self.paths.contains_key(&id) {
            self.walk();
        }
        self.paths.get(&id).map(String::as_str)
    }

    /// Looks at the directories there are, unless it has done so just now.
    fn walk(&mut self) {
        let start = Instant::now();
        if self.rested.is_some_and(|rested| start < rested) {
            return;
        }
        if let Some(hierarchy) = self.hierarchy.clone() {
            // What has been removed is kept, since a process of it may yet be told.
            if self.paths.len() >= MAX_KNOWN {
                self.paths.clear();
            }
            self.walk_down(&hierarchy);
        }
        let end = Instant::now();
        self.rested = Some(end + (end - start) * REST);
    }

    fn walk_down(&mut self, hierarchy: &Hierarchy) {
        let (point, path) = (hierarchy.point(), hierarchy.path());
        if let Ok(metadata) = fs::metadata(point) {
            self.paths.insert(metadata.ino(), or_root(path));
        }
        let mut left = vec![(point.to_owned(), path.to_owned())];
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
    use super::{Cgroups, Hierarchy};
    use std::{fs, os::unix::fs::MetadataExt as _};

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
            ("", "/system.slice/sql.service"),
            ("/part", "/part/system.slice/sql.service"),
        ] {
            cgroups.walk_down(&Hierarchy::standing_in(point.clone(), root));
            assert_eq!(cgroups.path(id), Some(expected));
            let shown = if root.is_empty() { "/" } else { root };
            assert_eq!(cgroups.path(outer), Some(shown));
            assert_eq!(cgroups.paths.len(), 3, "files are no groups");
        }
        fs::remove_dir_all(&point).unwrap();
        assert_eq!(cgroups.path(id), Some("/part/system.slice/sql.service"));
    }
}
