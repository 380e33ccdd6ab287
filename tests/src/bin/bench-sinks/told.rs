//! What sinks are told: a recorded login in clear, again and again as another connection's, without a kernel.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::process::Running;
use harness::records::Records;
use rustix::time::{ClockId, clock_gettime};
use tracer::record::{Body, ConnectionId, Event, Naming, Record, RunId, SinkStatus};
use tracer::session::{Config, Decided, Engine, Input, Listener};
use tracer::sink::{
    Destination, Figures, Filter, Format, Outputs, Overflow, Receiver, Settings, SpoolSettings,
};

use crate::takers::Taker;

const RECORDED: &str = "odbc18-lab-clear";
/// As many as the agent hands over at once.
const GATHERED: usize = 64;

/// The login of the recorded connection.
pub(crate) fn login() -> Result<Record> {
    struct Heard(Option<Record>);
    impl Listener for Heard {
        fn record(&mut self, record: Record) {
            if record.body.event() == Event::Login {
                self.0 = Some(record);
            }
        }

        fn decided(&mut self, _: Decided) {}
    }
    let mut engine = Engine::new(Config::default());
    let mut heard = Heard(None);
    for (event, run) in &Records::of(RECORDED)?.0 {
        engine.on_event(Input::Event(event, run), &mut heard);
    }
    engine.finish(u64::MAX / 2, &mut heard);
    heard.0.context("no login")
}

/// A sink alone, with its files.
pub(crate) struct Sink {
    outputs: Outputs,
    login: Record,
    folder: PathBuf,
    sent: u64,
}

impl Sink {
    /// Nothing is handed over before it begins.
    pub(crate) fn open(to: To<'_>) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("bench-sinks-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let settings = Settings {
            name: "sink".to_owned(),
            destination: match to {
                To::File => Destination::File(folder.join("lines"), None),
                To::Receiver(receiver, most) => Destination::Receiver(
                    receiver.clone(),
                    Some(SpoolSettings {
                        directory: folder.join("spool"),
                        most,
                    }),
                ),
            },
            format: Format::Json(Naming::Native),
            run: "0123456789abcdef".parse::<RunId>()?,
            filter: Filter {
                events: "login,loss,agent".parse()?,
                ..Filter::default()
            },
            overflow: Overflow::Wait,
        };
        Ok(Self {
            outputs: Outputs::open(&[settings], "host", GATHERED)?,
            login: login()?,
            folder,
            sent: 0,
        })
    }

    /// Tells so many logins, each of another connection.
    pub(crate) fn tell(&mut self, logins: u64) {
        for _ in 0..logins {
            self.sent += 1;
            let mut login = self.login.clone();
            if let Body::Login(record) = &mut login.body {
                record.facts.connection.id = ConnectionId(self.sent);
            }
            self.outputs.send(login);
        }
        self.outputs.flush();
    }

    /// Waits until this is so of it.
    pub(crate) fn wait(&self, is_so: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
        loop {
            let status = self.outputs.status().into_values().next();
            if let Some(status) = status.filter(&is_so) {
                return status;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// From now on it hands over.
    pub(crate) fn begin(&self) {
        self.outputs.begin(false, None);
    }

    /// The same, and what is counted there is told from now on.
    pub(crate) fn begin_telling(&self, figures: &Arc<dyn Figures>) {
        self.outputs.begin(false, Some(figures));
    }

    /// Ends it; what it wrote is gone with it.
    pub(crate) fn finish(self) -> Result<()> {
        let Self {
            outputs, folder, ..
        } = self;
        outputs.finish(Duration::from_mins(1))?;
        fs::remove_dir_all(folder)?;
        Ok(())
    }
}

/// Where they are told.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    File,
    /// Through a spool of so many bytes.
    Receiver(&'a Receiver, u64),
}

/// Starts whoever takes them.
pub(crate) fn start(taker: Taker, port: u16) -> Result<Option<Running>> {
    let words = taker.command(port);
    let Some((program, arguments)) = words.split_first() else {
        return Ok(None);
    };
    Running::start(std::process::Command::new(program).args(arguments)).map(Some)
}

/// Of this process, all its threads.
pub(crate) fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
