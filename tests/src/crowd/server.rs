//! The end that answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use clap::Args;

use super::{Common, Exchange};

/// Connections that are served at a time.
const THREADS: usize = 8;

/// Answers whoever connects, and closes after the client.
#[derive(Args)]
pub struct Serve {
    /// Where to listen
    #[arg(required = true)]
    addresses: Vec<SocketAddr>,
    /// Closes no connection, and serves the next one meanwhile
    #[arg(long)]
    hold: bool,
    #[command(flatten)]
    common: Common,
}

impl Serve {
    /// Serves until the process is ended.
    pub fn run(&self) -> Result<()> {
        let exchanges = self.common.begin()?;
        let listeners: Vec<_> = self
            .addresses
            .iter()
            .map(TcpListener::bind)
            .collect::<Result<_, _>>()?;
        println!("listening");
        thread::scope(|scope| {
            for listener in &listeners {
                for _ in 0..THREADS {
                    scope.spawn(|| self.accept(listener, &exchanges));
                }
            }
        });
        Ok(())
    }

    fn accept(&self, listener: &TcpListener, exchanges: &[Exchange]) {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            // A client that is killed resets its connections; the next is served.
            if converse(&mut stream, exchanges, self.hold).is_ok() && self.hold {
                held.push(stream);
            }
        }
    }
}

/// Says what is due; unless the connection is held, also the last answer again to whatever else is asked, until
/// the client has closed.
fn converse(stream: &mut TcpStream, exchanges: &[Exchange], hold: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = [0; 4096];
    for [question, answer] in exchanges {
        stream.read_exact(&mut bytes[..question.len()])?;
        stream.write_all(answer)?;
    }
    let [question, answer] = &exchanges[exchanges.len() - 1];
    if hold {
        return Ok(());
    }
    loop {
        match stream.read_exact(&mut bytes[..question.len()]) {
            Ok(()) => stream.write_all(answer)?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
