//! Services that take their time: what is asked of them is answered, or passed on, when it is too late.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

/// What it does.
#[derive(Parser)]
#[command(about)]
pub struct Options {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Milliseconds until an answer goes back.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// Who is to answer; by itself it gives a machine's token, over HTTP.
    #[arg(long)]
    to: Option<SocketAddr>,
    /// The token.
    #[arg(long, default_value = "none")]
    token: String,
}

/// Answers for ever.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    println!("listening {}", listener.local_addr()?);
    let delay = Duration::from_millis(options.delay);
    for client in listener.incoming() {
        let (client, to, token) = (client?, options.to, options.token.clone());
        thread::spawn(move || match to {
            Some(to) => pass_on(&client, to, delay),
            None => give_token(&client, &token, delay),
        });
    }
    Ok(())
}

/// Answers one request, later than usual where that asks for it: `?late=MILLISECONDS`.
fn give_token(mut client: &TcpStream, token: &str, delay: Duration) -> Result<()> {
    let mut lines = BufReader::new(client).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    let late = asked.split_once("?late=").map(|(_, late)| late);
    let late = late.and_then(|late| late.split(' ').next()?.parse().ok());
    let delay = late.map_or(delay, Duration::from_millis);
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    thread::sleep(delay);
    let body = format!("{{\"access_token\":\"{token}\"}}");
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
    write!(client, "{head} {}\r\n\r\n{body}", body.len())?;
    Ok(())
}

/// Passes on what either side says, the answer late.
fn pass_on(client: &TcpStream, to: SocketAddr, delay: Duration) -> Result<()> {
    let server = TcpStream::connect(to)?;
    let (from, into) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || copy(&from, &into, Duration::ZERO));
    copy(&server, client, delay)
}

fn copy(mut from: &TcpStream, mut into: &TcpStream, delay: Duration) -> Result<()> {
    let mut buffer = [0; 16384];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            into.shutdown(Shutdown::Write)?;
            return Ok(());
        }
        thread::sleep(delay);
        into.write_all(&buffer[..len])?;
    }
}
