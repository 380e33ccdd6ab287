//! A client that sends what it is told and leaves as it is told.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// PRELOGIN with a version and encryption off, in one packet.
const PRELOGIN: [u8; 26] = [
    0x12, 1, 0, 26, 0, 0, 0, 0, // header
    0, 0, 11, 0, 6, // version
    1, 0, 17, 0, 1,    // encryption
    0xFF, // end
    16, 0, 0, 0, 0, 0, // 16.0
    0, // off
];

/// What it says where it stays.
const HERE: &str = "here";

/// Connects, sends, waits and leaves.
#[derive(Parser)]
#[command(about)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
struct Options {
    /// Where to connect to.
    address: SocketAddr,
    /// What to send.
    #[arg(long, value_enum, default_value = "nothing")]
    send: Send,
    /// Waits for an answer before the wait to leave.
    #[arg(long)]
    read: bool,
    /// Says when it has come so far, and stays until its standard input ends.
    #[arg(long)]
    stay: bool,
    /// Milliseconds to wait before it leaves.
    #[arg(long, default_value_t = 100)]
    wait: u64,
    /// Sends the same once more before it leaves.
    #[arg(long)]
    again: bool,
    /// How to leave.
    #[arg(long, value_enum, default_value = "fin")]
    end: End,
    /// Does it so many times, one after the other.
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// Port to connect from; with a count the first of as many.
    #[arg(long)]
    from_port: Option<u16>,
    /// Connects by MPTCP.
    #[arg(long)]
    mptcp: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Send {
    Nothing,
    Prelogin,
    Http,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum End {
    Fin,
    Rst,
}

fn main() -> Result<()> {
    let options = Options::parse();
    for turn in 0..options.count {
        converse(&options, turn)?;
    }
    Ok(())
}

fn converse(options: &Options, turn: u16) -> Result<()> {
    let from_port = options.from_port.map(|port| port + turn);
    let mut tcp = if options.mptcp {
        connect_by_mptcp(options.address)?
    } else {
        connect(options.address, from_port)?
    };
    let words: &[u8] = match options.send {
        Send::Nothing => &[],
        Send::Prelogin => &PRELOGIN,
        Send::Http => b"GET / HTTP/1.0\r\n\r\n",
    };
    tcp.write_all(words)?;
    if options.read && tcp.read(&mut [0; 4096]).is_err() {
        // The server was quicker to leave.
        return Ok(());
    }
    if options.stay {
        println!("{HERE}");
        io::copy(&mut io::stdin(), &mut io::sink())?;
    }
    if options.wait > 0 {
        std::thread::sleep(Duration::from_millis(options.wait));
    }
    if options.again {
        tcp.write_all(words)?;
    }
    if options.end == End::Rst {
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Connects by MPTCP, which a server that knows only TCP answers as such.
fn connect_by_mptcp(address: SocketAddr) -> Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::MPTCP))?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// Connects from a port if one is given: then without a limit, for which it would have to sleep.
fn connect(address: SocketAddr, from_port: Option<u16>) -> Result<TcpStream> {
    let Some(port) = from_port else {
        return Ok(TcpStream::connect_timeout(
            &address,
            Duration::from_secs(20),
        )?);
    };
    let here: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&here.into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}
