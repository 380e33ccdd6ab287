//! What goes wrong, and at which step.

use std::io;
use std::net::TcpStream;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use socket2::SockRef;

use super::socket::drain;

/// A point at which the server is about to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// The connection is accepted, nothing is read.
    Accept,
    /// The prelogin is read.
    Prelogin,
    /// The client's hello is read.
    Tls,
    /// The login packet is read.
    Login,
    /// A token that follows the login packet is read, or, where none follows,
    /// the login packet's own is answered.
    Auth,
    /// A command is read.
    Command,
}

/// A pause at a step.
#[derive(Clone, Copy, Debug)]
pub struct Delay {
    step: Step,
    pause: Duration,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (step, pause) = text.split_once('=').ok_or("expected STEP=MILLISECONDS")?;
        let pause = pause.parse().map_err(|error| format!("{pause}: {error}"))?;
        Ok(Self {
            step: Step::from_str(step, true)?,
            pause: Duration::from_millis(pause),
        })
    }
}

/// Everything that is to go wrong.
#[derive(Args, Clone, Debug, Default)]
pub struct Faults {
    /// Waits before it answers at a step; repeatable.
    #[arg(long = "delay-at", value_name = "STEP=MS")]
    pub delays: Vec<Delay>,
    /// Never answers at this step, and keeps the connection.
    #[arg(long, value_name = "STEP")]
    pub silent_at: Option<Step>,
    /// Closes at this step instead of answering.
    #[arg(long, value_name = "STEP")]
    pub close_at: Option<Step>,
    /// Resets at this step instead of answering.
    #[arg(long, value_name = "STEP")]
    pub reset_at: Option<Step>,
}

impl Faults {
    /// Does what is planned for `step`. An error means that the conversation
    /// ends here and that the stream has to be dropped.
    pub fn at(&self, step: Step, tcp: &TcpStream) -> io::Result<()> {
        for delay in self.delays.iter().filter(|delay| delay.step == step) {
            std::thread::sleep(delay.pause);
        }
        if self.silent_at == Some(step) {
            drain(tcp, Duration::from_hours(1))?;
            return Err(ended("silent until the client left"));
        }
        if self.close_at == Some(step) {
            return Err(ended("closed as planned"));
        }
        if self.reset_at == Some(step) {
            SockRef::from(tcp).set_linger(Some(Duration::ZERO))?;
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "reset as planned",
            ));
        }
        Ok(())
    }
}

fn ended(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, how)
}
