//! A client that sends what it is told and leaves as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use socket2::SockRef;

/// PRELOGIN with a version and encryption off, in one packet.
const PRELOGIN: [u8; 26] = [
    0x12, 1, 0, 26, 0, 0, 0, 0, // header
    0, 0, 11, 0, 6, // version
    1, 0, 17, 0, 1,    // encryption
    0xFF, // end
    16, 0, 0, 0, 0, 0, // 16.0
    0, // off
];

/// Connects, sends, waits and leaves.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// Where to connect to.
    address: SocketAddr,
    /// What to send.
    #[arg(long, value_enum, default_value = "nothing")]
    send: Send,
    /// Waits for an answer before the wait to leave.
    #[arg(long)]
    read: bool,
    /// Milliseconds to wait before it leaves.
    #[arg(long, default_value_t = 100)]
    wait: u64,
    /// Sends the same once more before it leaves.
    #[arg(long)]
    again: bool,
    /// How to leave.
    #[arg(long, value_enum, default_value = "fin")]
    end: End,
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
    let mut tcp = TcpStream::connect_timeout(&options.address, Duration::from_secs(20))?;
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
    std::thread::sleep(Duration::from_millis(options.wait));
    if options.again {
        tcp.write_all(words)?;
    }
    if options.end == End::Rst {
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}
