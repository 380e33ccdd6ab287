//! What goes wrong, and at which step.

use std::io::{self, Write};
use std::net::TcpStream;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use socket2::SockRef;

use super::gate::Gate;
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
    /// The client's end of the handshake is read, up to TLS 1.2, where the server's follows.
    Finished,
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
    /// Closes at this step, and reads nothing more: a RST where something is unread, else a FIN.
    #[arg(long, value_name = "STEP")]
    pub drop_at: Option<Step>,
    /// Resets at this step instead of answering.
    #[arg(long, value_name = "STEP")]
    pub reset_at: Option<Step>,
    /// Is no SQL Server: says this once it has accepted, and leaves once the client has spoken.
    #[arg(long, value_name = "TEXT")]
    pub speak: Option<String>,
    /// Who is let past a step, and when.
    #[command(flatten)]
    pub gate: Gate,
    /// Connections, the first ones, with which nothing goes wrong.
    #[arg(long, default_value_t = 0)]
    pub spare: u16,
    /// Connections after these with which it does; all where it is not given.
    #[arg(long)]
    pub faulty: Option<u16>,
    /// Says which client is at a step, and when it is past it.
    #[arg(long)]
    pub say_steps: bool,
}

impl Faults {
    /// Does what is planned for `step`. An error means that the conversation
    /// ends here and that the stream has to be dropped.
    pub fn at(&self, step: Step, tcp: &TcpStream) -> io::Result<()> {
        self.say("at", step, tcp)?;
        self.do_at(step, tcp)?;
        self.say("past", step, tcp)
    }

    /// Whether anything is to go wrong with this connection, counted from 0.
    pub fn concern(&self, connection: u16) -> bool {
        let after = connection.checked_sub(self.spare);
        after.is_some_and(|after| self.faulty.is_none_or(|faulty| after < faulty))
    }

    fn say(&self, what: &str, step: Step, tcp: &TcpStream) -> io::Result<()> {
        if self.say_steps {
            let step = step.to_possible_value();
            let name = step.as_ref().map_or("", |step| step.get_name());
            println!("port {} {what} {name}", tcp.peer_addr()?.port());
        }
        Ok(())
    }

    fn do_at(&self, step: Step, tcp: &TcpStream) -> io::Result<()> {
        if let (Some(text), Step::Accept) = (&self.speak, step) {
            let mut tcp = tcp;
            tcp.write_all(format!("{text}\r\n").as_bytes())?;
            tcp.peek(&mut [0])?;
            return Err(ended("spoke as planned"));
        }
        self.gate.pass(step);
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
        if self.drop_at == Some(step) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "dropped as planned",
            ));
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
