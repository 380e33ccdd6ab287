//! The user as whom the agent goes on where root has started it (credentials(7)).

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fs::{Access, access},
    io::Errno,
    process::{Gid, Uid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

/// The one that the packages bring.
const USUAL: &str = "tds-tracer";
/// This host's users (passwd(5)).
const USERS: &str = "/etc/passwd";

/// Who is to be gone on as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The packages' own user, where root has started the agent and nothing is missed by that.
    #[default]
    Auto,
    /// Whoever has started it.
    Keep,
    /// This one, by its name or number.
    Named(String),
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// What is still reached by its path once the agent is at work.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Files and folders that are read.
    pub reads: Vec<PathBuf>,
    /// Folders in which files are written, and sockets.
    pub writes: Vec<PathBuf>,
}

/// Goes on as the chosen user, with the capabilities that there are: who it is from now on, or why nobody else. For a process that has
/// one thread only.
///
/// # Errors
/// Where the user that was named is none of this host, or where it may not be gone on as.
pub fn change(choice: &Choice, reached: &Reached) -> io::Result<Result<String, String>> {
    let now = geteuid();
    let user = match choice {
        Choice::Keep => return Ok(Ok(format!("{}, who has started it", now.as_raw()))),
        Choice::Auto if !now.is_root() => return Ok(Ok(format!("{}, not root", now.as_raw()))),
        Choice::Auto => match usual(reached) {
            Ok(user) => user,
            Err(reason) => return Ok(Err(reason)),
        },
        Choice::Named(name) => match of_this_host(name) {
            Some(user) => user,
            None => return Err(io::Error::other("this host has no such user")),
        },
    };
    let User { name, uid, .. } = &user;
    if now.as_raw() != *uid {
        let held = capabilities(None)?.permitted;
        set_keep_capabilities(true)?;
        user.enter()?;
        set_keep_capabilities(false)?;
        set_capabilities(
            None,
            CapabilitySets {
                effective: held,
                permitted: held,
                inheritable: CapabilitySet::empty(),
            },
        )?;
    }
    Ok(Ok(format!("{name} ({uid})")))
}

/// As whom root's agent goes on by itself, or why as root.
pub fn usual_instead_of_root(reached: &Reached) -> Result<String, String> {
    if !geteuid().is_root() {
        return Ok(format!("{}, not root", geteuid().as_raw()));
    }
    usual(reached).map(|user| format!("{} ({}), once it is started", user.name, user.uid))
}

fn usual(reached: &Reached) -> Result<User, String> {
    let user = of_this_host(USUAL).ok_or(format!("this host has no user {USUAL}"))?;
    match user.misses(reached) {
        Some(path) => Err(format!("{USUAL} would not reach {}", path.display())),
        None => Ok(user),
    }
}

fn of_this_host(name: &str) -> Option<User> {
    find(&fs::read_to_string(USERS).unwrap_or_default(), name)
}

/// A user among those of passwd(5); a number may be of one that is not there.
fn find(users: &str, name: &str) -> Option<User> {
    let number: Option<u32> = name.parse().ok();
    let of = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next()?.to_owned();
        let (uid, gid) = (parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(User { name, uid, gid })
    };
    let is_it = |user: &User| user.name == name || Some(user.uid) == number;
    let unlisted = || {
        let uid = number.filter(|&uid| uid != u32::MAX)?;
        Some(User {
            name: name.to_owned(),
            uid,
            gid: uid,
        })
    };
    users.lines().filter_map(of).find(is_it).or_else(unlisted)
}

impl User {
    /// This thread is the user's from now on, and has no capability unless it keeps them.
    fn enter(&self) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    }

    /// The first of them that is refused to the user, which a thread tries that then ends.
    fn misses<'a>(&self, reached: &'a Reached) -> Option<&'a Path> {
        let is_refused = |path: &Path, how| access(path, how) == Err(Errno::ACCESS);
        let tries = || {
            let mut all = reached.reads.iter().map(|path| (path, Access::READ_OK));
            let mut writes = reached.writes.iter().map(|path| (path, Access::WRITE_OK));
            let refused = |(path, how): &(&'a PathBuf, Access)| is_refused(path, *how);
            all.find(refused).or_else(|| writes.find(refused))
        };
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter().ok().map(|()| tries()));
            // Who cannot be it misses whatever there is.
            match thread.join().ok().flatten() {
                Some(refused) => refused.map(|(path, _)| path.as_path()),
                None => Some(Path::new("anything")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reached, User, find};

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\n\
        tds-tracer:x:998:997:SQL Server login tracer:/var/lib/tds-tracer:/usr/sbin/nologin\n";

    #[test]
    fn a_user_is_found_by_its_name_and_by_its_number() {
        let own = find(USERS, "tds-tracer");
        assert_eq!(
            own.as_ref().map(|user| (user.uid, user.gid)),
            Some((998, 997))
        );
        assert_eq!(find(USERS, "998"), own);
        assert_eq!(find(USERS, "tds"), None);
        let unlisted = find(USERS, "65532").map(|user| (user.uid, user.gid));
        assert_eq!(unlisted, Some((65_532, 65_532)));
        assert_eq!(find(USERS, &u32::MAX.to_string()), None);
    }

    #[test]
    fn what_a_user_would_not_reach_is_named_before_it_is_one() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let nobody = User {
            name: "nobody".to_owned(),
            uid: 65_534,
            gid: 65_534,
        };
        let misses = |reads: &[&str], writes: &[&str]| {
            let paths = |all: &[&str]| all.iter().map(Into::into).collect();
            let reached = Reached {
                reads: paths(reads),
                writes: paths(writes),
            };
            nobody
                .misses(&reached)
                .map(|path| path.display().to_string())
        };
        let there = ["/etc/passwd", "/not/there"];
        assert_eq!(misses(&there, &["/tmp"]), None);
        assert_eq!(
            misses(&["/etc/shadow"], &[]).as_deref(),
            Some("/etc/shadow")
        );
        assert_eq!(misses(&there, &["/etc"]).as_deref(), Some("/etc"));
        // Who tries is still who it was.
        assert!(rustix::process::geteuid().is_root());
    }
}
