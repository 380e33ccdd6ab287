//! What the agent remembers from one run to the next: a file in its state directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::session::Baselines;

/// The file's name in the directory.
const NAME: &str = "baselines.json";
/// Under which it is written before it takes the place of the old one.
const NEW: &str = "baselines.json.new";
/// A file that is longer was not written by this agent, bytes: hundreds of servers fit into less.
const MOST: u64 = 16 << 20;
/// Changes when an older agent could not read the file.
const VERSION: u32 = 1;

/// Why what was remembered can not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file or its directory can not be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no such file, or damaged.
    #[error("{}: {error}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where it is odd.
        error: serde_json::Error,
    },
    /// Another version of the agent has written it.
    #[error("{}: it is of version {version}, not {VERSION}", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is longer than any that is written.
    #[error("{}: it is longer than {MOST} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<T> {
    version: u32,
    #[serde(flatten)]
    baselines: T,
}

/// What every version has.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

impl State {
    /// What is kept in this directory, which need not be there yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// What was remembered; nothing where nothing was.
    pub fn load(&self) -> Result<Option<Baselines>, StateError> {
        let path = self.directory.join(NAME);
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Io { path, error }),
        };
        if text.len() as u64 > MOST {
            return Err(StateError::TooLong { path });
        }
        let damaged = |error| StateError::Damaged {
            path: path.clone(),
            error,
        };
        let Versioned { version } = serde_json::from_slice(&text).map_err(damaged)?;
        if version != VERSION {
            return Err(StateError::Version { path, version });
        }
        let kept: Kept<Baselines> = serde_json::from_slice(&text).map_err(damaged)?;
        Ok(Some(kept.baselines))
    }

    /// Remembers this instead: all of it, or what was remembered stays.
    pub fn save(&self, baselines: &Baselines) -> Result<(), StateError> {
        let written = fs::create_dir_all(&self.directory).and_then(|()| self.write(baselines));
        written.map_err(|error| StateError::Io {
            path: self.directory.join(NAME),
            error,
        })
    }

    fn write(&self, baselines: &Baselines) -> io::Result<()> {
        let new = self.directory.join(NEW);
        let mut options = OpenOptions::new();
        // Whose servers these are is nobody else's business.
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&new)?;
        let mut text = serde_json::to_vec(&Kept {
            version: VERSION,
            baselines,
        })?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, self.directory.join(NAME))?;
        File::open(&self.directory)?.sync_all()
    }
}

/// A file, up to a byte more than it may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::IpAddr};

    use super::*;
    use crate::session::{Config, Engine, ServerBaseline, TroubleBaseline, Troubles};

    /// A directory of its own, gone when this is.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let own = format!("tds-tracer-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(own))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn some() -> Baselines {
        Baselines {
            servers: vec![ServerBaseline {
                address: IpAddr::from([10, 0, 0, 2]),
                port: 1433,
                phases: BTreeMap::from([("prelogin".to_owned(), vec![(80, 9), (81, 3)])]),
                round_trip: vec![(40, 12)],
            }],
            troubles: Troubles {
                watched_ns: 3_600_000_000_000,
                met: vec![TroubleBaseline {
                    family: "unreachable".to_owned(),
                    error: 0,
                    server: Some((IpAddr::from([10, 0, 0, 9]), 1433)),
                    client: None,
                    process: None,
                    per_minute: 2.5,
                }],
            },
        }
    }

    #[test]
    fn what_was_remembered_is_known_to_the_next_run() {
        let folder = Folder::new("remembered");
        let state = State::new(folder.0.join("deeper"));
        assert!(
            state.load().expect("a directory").is_none(),
            "the first run"
        );
        state.save(&some()).expect("room");
        let kept = state.load().expect("a file").expect("what was remembered");
        assert_eq!(kept, some());
        let mut engine = Engine::new(Config::default());
        assert_eq!(engine.learn(&kept), 0);
        assert_eq!(engine.baselines(), some());
        let names: Vec<_> = fs::read_dir(folder.0.join("deeper"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, [NAME]);
    }

    #[test]
    fn a_file_that_is_damaged_or_of_another_version_says_so_and_is_written_anew() {
        let folder = Folder::new("damaged");
        let state = State::new(folder.0.clone());
        state.save(&Baselines::default()).expect("room");
        for (text, complaint) in [
            ("", "EOF"),
            ("{\"version\":1,\"servers\":[{\"address\":\"x\"", "EOF"),
            ("{\"version\":1}", "servers"),
            ("{\"version\":2,\"sketches\":[]}", "version 2"),
        ] {
            fs::write(folder.0.join(NAME), text).expect("room");
            let error = state.load().expect_err(text).to_string();
            assert!(error.contains(complaint), "{error}");
            assert!(error.contains(NAME), "{error}");
        }
        state.save(&some()).expect("room");
        assert_eq!(state.load().expect("a file"), Some(some()));
    }

    #[test]
    fn a_server_whose_figures_can_not_be_is_passed_over() {
        let mut odd = some();
        let wrong = vec![(9, 1), (9, 1)];
        odd.servers[0].phases.insert("tls".to_owned(), wrong);
        odd.servers.push(ServerBaseline {
            port: 1434,
            ..some().servers[0].clone()
        });
        let mut engine = Engine::new(Config::default());
        assert_eq!(engine.learn(&odd), 1);
        let many = Baselines {
            servers: (0..10_000_u16)
                .map(|port| ServerBaseline {
                    port,
                    ..some().servers[0].clone()
                })
                .collect(),
            ..Baselines::default()
        };
        let mut engine = Engine::new(Config::default());
        assert_eq!(engine.learn(&many), 10_000 - 256);
        assert_eq!(engine.baselines().servers.len(), 256);
    }
}
