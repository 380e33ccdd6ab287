//! A server that real drivers log in to, and that fails on command.
//!
//! It speaks TDS 7.0 to 8.0 as far as a login and a handful of commands need.
//! [`Scenario`] says how it is set and what goes wrong; [`serve`] runs it.

pub mod attention;
pub mod command;
pub mod faults;
pub mod fedauth;
pub mod gate;
#[cfg(feature = "peers")]
pub mod kerberos;
pub mod login7;
pub mod ntlm;
pub mod packet;
pub mod prelogin;
pub mod refusal;
pub mod scenario;
mod session;
pub mod smp;
pub mod socket;
pub mod spnego;
pub mod stream;
pub mod tls;
pub mod token;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result};
use openssl::ssl::SslAcceptor;
use socket2::{Domain, Socket, Type};

pub use scenario::Scenario;

/// Session id of the first connection; lower ones are the server's own.
const FIRST: u16 = 51;

/// One server, ready to take connections.
struct Server {
    scenario: Scenario,
    /// The same where nothing goes wrong.
    healthy: Scenario,
    acceptor: SslAcceptor,
}

/// Listens and serves for ever, one thread for each connection. Prints
/// `listening ADDRESS` once it does, and a line for each thing it sees.
pub fn serve(scenario: Scenario) -> Result<()> {
    let certificate = tls::Certificate::make(&scenario.certificate)?;
    if let Some(path) = &scenario.certificate.certificate_out {
        std::fs::write(path, certificate.authority_pem()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let acceptor = tls::acceptor(&certificate, scenario.tls_policy())?;
    let listener = listen(&scenario.listen, scenario.backlog)
        .with_context(|| format!("cannot listen on {}", scenario.listen))?;
    println!("listening {}", listener.local_addr()?);
    let server = Arc::new(Server {
        healthy: scenario.healthy(),
        scenario,
        acceptor,
    });
    for (spid, tcp) in (FIRST..).zip(listener.incoming()) {
        let (tcp, server) = (tcp?, Arc::clone(&server));
        std::thread::spawn(move || server.connection(tcp, spid));
    }
    Ok(())
}

/// Listens with as long a queue as is wanted, or the kernel allows: clients may come faster than threads.
fn listen(address: &str, backlog: Option<u16>) -> Result<TcpListener> {
    let address: SocketAddr = address.parse()?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(backlog.unwrap_or(u16::MAX)))?;
    Ok(socket.into())
}

impl Server {
    fn connection(&self, tcp: TcpStream, spid: u16) {
        let scenario = if self.scenario.faults.concern(spid - FIRST) {
            &self.scenario
        } else {
            &self.healthy
        };
        let mut session = session::Session::new(scenario, &self.acceptor, spid);
        let end = tcp.set_nodelay(true).and_then(|()| session.run(tcp));
        match end {
            Ok(()) => println!("{spid} end"),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                println!("{spid} end by client");
            }
            Err(error) => println!("{spid} end: {}", describe(&error)),
        }
    }
}

fn describe(error: &io::Error) -> String {
    error.to_string().replace('\n', " ")
}
