//! A driver that logs in while the laboratory goes on.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::drivers::{Driver, Fared, Login, Ready};
use crate::lab::site::Site;
use crate::process::Running;

/// What a driver may take to give up, beyond the timeout it was told: some know of none.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a person waits for a driver that knows of no timeout.
const HOPE: Duration = Duration::from_secs(25);

/// A client that was started.
pub(crate) struct Client {
    driver: Driver,
    running: Running,
    /// Its files are there as long as it is.
    _ready: Ready,
}

impl Client {
    /// Starts one on the clients' host.
    pub(crate) fn start(
        site: &Site,
        driver: Driver,
        login: &Login,
        resolver: Option<&Path>,
    ) -> Result<Self> {
        let mut ready = driver.ready(login, |program| site.client(program, resolver))?;
        let running = Running::start_with(&mut ready.command, &ready.input)?;
        Ok(Self {
            driver,
            running,
            _ready: ready,
        })
    }

    /// Process id, which is the driver's.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.running.signal(name)
    }

    /// Whether its process is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        state.is_ok_and(|state| {
            let after_name = state.rsplit(") ").next();
            after_name.is_some_and(|rest| rest.starts_with('T'))
        })
    }

    /// Whether its host has sent a SYN to that address that is not answered yet.
    pub(crate) fn connects_to(&self, server: Ipv4Addr) -> bool {
        // `/proc/net/tcp` has addresses as they are in memory, and 02 for SYN_SENT.
        let wanted = format!("{:08X}:", u32::from_ne_bytes(server.octets()));
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.pid()));
        sockets.is_ok_and(|sockets| {
            let mut lines = sockets.lines().map(str::split_whitespace);
            lines.any(|mut words| {
                words.nth(2).is_some_and(|to| to.starts_with(&wanted)) && words.next() == Some("02")
            })
        })
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> Result<bool> {
        self.running.is_over()
    }

    /// Waits for its end.
    pub(crate) fn fares(self) -> Result<Fared> {
        self.fares_within(PATIENCE)
    }

    /// The same, for so long.
    pub(crate) fn fares_within(self, limit: Duration) -> Result<Fared> {
        let ended = self.running.end(limit)?;
        let output = ended.lines.join("\n") + &ended.errors;
        Ok(Fared {
            ok: self.driver.is_answered(ended.status.success(), &output),
            output,
        })
    }

    /// Waits for its end, and ends it where it knows of none; gives what it wrote.
    pub(crate) fn ends(mut self) -> Result<String> {
        let end = Instant::now() + HOPE;
        while !self.is_over()? {
            if Instant::now() > end {
                self.kill()?;
                return Ok("killed".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.fares()?.output)
    }

    /// Ends it as a crash would, or a person who has waited for long enough.
    pub(crate) fn kill(self) -> Result<()> {
        self.running.stop("KILL")?;
        Ok(())
    }
}
