//! The shortest SQL Server login there is, both sides of it: PRELOGIN without encryption, LOGIN7,
//! LOGINACK. Enough for a kernel's checks, which are not about TDS; real drivers are tried elsewhere.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Parser;
use socket2::{Domain, Socket, Type};

/// Packet types of MS-TDS 2.2.3.1.1.
const REPLY: u8 = 0x04;
const LOGIN7: u8 = 0x10;
const PRELOGIN: u8 = 0x12;

/// `ENCRYPT_NOT_SUP` of MS-TDS 2.2.6.5.
const NOT_SUPPORTED: u8 = 0x02;
const TDS_7_4: u32 = 0x7400_0004;

/// The fixed part of LOGIN7, MS-TDS 2.2.6.4: 36 bytes of numbers, 58 of offsets and lengths.
const LOGIN7_FIXED: usize = 94;
/// Where the (offset, length) pairs of host, user, password, ..., database begin.
const LOGIN7_PAIRS: usize = 36;

/// One end of a login.
#[derive(Parser)]
pub(crate) struct End {
    /// The server's address
    address: SocketAddr,
    /// The device that its socket is bound to
    #[arg(long)]
    device: Option<String>,
}

impl End {
    fn socket(&self) -> Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        socket.bind_device(self.device.as_deref().map(str::as_bytes))?;
        Ok(socket)
    }
}

/// Serves one login after the other, for ever.
pub(crate) fn serve(end: &End) -> Result<()> {
    let socket = end.socket()?;
    socket.set_reuse_address(true)?;
    socket.bind(&end.address.into())?;
    socket.listen(128)?;
    let listener = TcpListener::from(socket);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        // A client that goes away early is the client's affair.
        if let Err(error) = answer(&mut stream) {
            eprintln!("server: {error:#}");
        }
    }
    Ok(())
}

/// Logs in once and leaves.
pub(crate) fn login(end: &End) -> Result<()> {
    let socket = end.socket()?;
    socket.connect_timeout(&end.address.into(), Duration::from_secs(10))?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    send(&mut stream, PRELOGIN, &prelogin())?;
    let (kind, _) = receive(&mut stream)?;
    ensure!(kind == REPLY, "prelogin was answered by type {kind:#x}");
    send(&mut stream, LOGIN7, &login7("guest", "sa", "vm"))?;
    let (kind, tokens) = receive(&mut stream)?;
    ensure!(
        kind == REPLY && tokens.first() == Some(&0xad),
        "no LOGINACK"
    );
    Ok(())
}

/// Opens as many connections to itself, begins a login in each, and goes on with none.
pub(crate) fn crowd(connections: u32) -> Result<()> {
    /// Each address has ports for so many.
    const EACH: u32 = 16_384;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 1434))?;
    let mut open = Vec::new();
    for number in 0..connections {
        let host = u8::try_from(2 + number / EACH)?;
        let mut client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, host), 1434))?;
        send(&mut client, PRELOGIN, &prelogin())?;
        open.push((client, listener.accept()?));
    }
    loop {
        thread::park();
    }
}

fn answer(stream: &mut TcpStream) -> Result<()> {
    let (kind, _) = receive(stream)?;
    ensure!(kind == PRELOGIN, "the client began with type {kind:#x}");
    send(stream, REPLY, &prelogin())?;
    let (kind, _) = receive(stream)?;
    ensure!(kind == LOGIN7, "PRELOGIN was followed by type {kind:#x}");
    send(stream, REPLY, &login_reply())?;
    // The client closes first.
    let _: usize = stream.read(&mut [0; 1])?;
    Ok(())
}

/// One packet of one message: type, status "end of message", length, SPID, packet id, window.
fn send(stream: &mut TcpStream, kind: u8, payload: &[u8]) -> Result<()> {
    let length = u16::try_from(payload.len() + 8)?.to_be_bytes();
    let mut packet = vec![kind, 0x01, length[0], length[1], 0, 0, 1, 0];
    packet.extend(payload);
    stream.write_all(&packet)?;
    Ok(())
}

fn receive(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    ensure!(length >= header.len(), "a packet of {length} bytes");
    let mut payload = vec![0; length - header.len()];
    stream.read_exact(&mut payload)?;
    Ok((header[0], payload))
}

/// VERSION and ENCRYPTION, MS-TDS 2.2.6.5: a table of (token, offset, length), then the data.
fn prelogin() -> Vec<u8> {
    let mut payload = vec![0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
    payload.extend([16, 0, 0x10, 0x00, 0, 0, NOT_SUPPORTED]);
    payload
}

fn login7(host: &str, user: &str, app: &str) -> Vec<u8> {
    let mut payload = vec![0; LOGIN7_FIXED];
    payload[4..8].copy_from_slice(&TDS_7_4.to_le_bytes());
    payload[8..12].copy_from_slice(&4096_u32.to_le_bytes());
    let fields = [host, user, "", app, "", "", "xtask", "", "master"];
    for (index, text) in fields.into_iter().enumerate() {
        let place = LOGIN7_PAIRS + 4 * index;
        let (offset, length) = (payload.len() as u16, text.len() as u16);
        payload[place..place + 2].copy_from_slice(&offset.to_le_bytes());
        payload[place + 2..place + 4].copy_from_slice(&length.to_le_bytes());
        payload.extend(utf16(text));
    }
    let length = payload.len() as u32;
    payload[..4].copy_from_slice(&length.to_le_bytes());
    payload
}

/// LOGINACK (MS-TDS 2.2.7.14) and DONE (2.2.7.6).
fn login_reply() -> Vec<u8> {
    let name = "guest";
    let length = (1 + 4 + 1 + 2 * name.len() + 4) as u16;
    let mut tokens = vec![0xad];
    tokens.extend(length.to_le_bytes());
    tokens.push(1);
    tokens.extend(TDS_7_4.to_be_bytes());
    tokens.push(name.len() as u8);
    tokens.extend(utf16(name));
    tokens.extend([16, 0, 0x10, 0]);
    tokens.push(0xfd);
    tokens.extend([0; 12]);
    tokens
}

fn utf16(text: &str) -> impl Iterator<Item = u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::{End, answer, login, login7};

    #[test]
    fn its_client_and_its_server_understand_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || answer(&mut listener.accept().unwrap().0));
        let device = None;
        login(&End { address, device }).unwrap();
        server.join().unwrap().unwrap();
    }

    #[test]
    fn the_login_packet_states_its_own_length_and_where_its_texts_are() {
        let packet = login7("guest", "sa", "vm");
        assert_eq!(&packet[..4], (packet.len() as u32).to_le_bytes());
        let user = usize::from(u16::from_le_bytes([packet[40], packet[41]]));
        assert_eq!(&packet[user..user + 4], b"s\0a\0");
    }
}
