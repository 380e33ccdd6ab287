//! MARS: several sessions over one connection (MC-SMP).

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::time::Duration;

use super::packet::{self, Link, Message, invalid};
use super::stream::Stream;

const SMID: u8 = 0x53;
const HEADER_LEN: usize = 16;
const SYN: u8 = 0x01;
const ACK: u8 = 0x02;
const FIN: u8 = 0x04;
const DATA: u8 = 0x08;

#[derive(Default)]
struct Session {
    sent: u32,
    received: u32,
    acknowledged: u32,
    /// Highest sequence number the client takes.
    peer_window: u32,
    /// Packets that wait until the client takes them, while other sessions go on.
    outbox: VecDeque<Vec<u8>>,
    /// Bytes of packets that are not whole yet.
    buffer: Vec<u8>,
    /// Payloads of packets whose message is not whole yet.
    payload: Vec<u8>,
}

/// All sessions of one connection.
pub struct Mars {
    stream: Stream,
    window: u32,
    sessions: BTreeMap<u16, Session>,
    inbox: VecDeque<(u16, Message)>,
}

impl Mars {
    /// Takes over a connection whose login is done.
    pub fn new(stream: Stream, window: u32) -> Self {
        Self {
            stream,
            window,
            sessions: BTreeMap::new(),
            inbox: VecDeque::new(),
        }
    }

    /// The connection below.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Waits for the next message of any session.
    pub fn receive(&mut self) -> io::Result<(u16, Message)> {
        loop {
            if let Some(next) = self.inbox.pop_front() {
                return Ok(next);
            }
            self.pump()?;
        }
    }

    /// The carrier of one session's messages.
    pub fn link(&mut self, sid: u16) -> SessionLink<'_> {
        SessionLink { mars: self, sid }
    }

    fn session(&mut self, sid: u16) -> io::Result<&mut Session> {
        self.sessions
            .get_mut(&sid)
            .ok_or_else(|| invalid(format!("SMP session {sid} is not open")))
    }

    fn pump(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header)?;
        let [
            protocol,
            flag,
            sid_low,
            sid_high,
            l0,
            l1,
            l2,
            l3,
            s0,
            s1,
            s2,
            s3,
            w0,
            w1,
            w2,
            w3,
        ] = header;
        if protocol != SMID {
            return Err(invalid(format!("{protocol:#x} where SMP was expected")));
        }
        let sid = u16::from_le_bytes([sid_low, sid_high]);
        let length = (u32::from_le_bytes([l0, l1, l2, l3]) as usize)
            .checked_sub(HEADER_LEN)
            .ok_or_else(|| invalid("SMP packet shorter than its header"))?;
        let sequence = u32::from_le_bytes([s0, s1, s2, s3]);
        let window = u32::from_le_bytes([w0, w1, w2, w3]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        match flag {
            SYN => {
                self.sessions.insert(
                    sid,
                    Session {
                        peer_window: window,
                        ..Session::default()
                    },
                );
            }
            ACK => {
                self.session(sid)?.peer_window = window;
                self.flush(sid)?;
            }
            DATA => {
                self.data(sid, sequence, window, &payload)?;
                self.flush(sid)?;
            }
            FIN => {
                self.send_control(FIN, sid)?;
                self.sessions.remove(&sid);
            }
            other => return Err(invalid(format!("SMP flag {other:#x}"))),
        }
        Ok(())
    }

    fn data(&mut self, sid: u16, sequence: u32, window: u32, payload: &[u8]) -> io::Result<()> {
        let session = self.session(sid)?;
        session.received = sequence;
        session.peer_window = window;
        session.buffer.extend_from_slice(payload);
        let due = sequence - session.acknowledged >= 2;
        if due {
            session.acknowledged = sequence;
        }
        let mut messages = Vec::new();
        while let Some(packet) = take_packet(&mut session.buffer)? {
            session.payload.extend(packet.payload);
            if packet.last {
                let payload = std::mem::take(&mut session.payload);
                messages.push((
                    sid,
                    Message {
                        kind: packet.kind,
                        payload,
                    },
                ));
            }
        }
        self.inbox.extend(messages);
        if due {
            self.send_control(ACK, sid)
        } else {
            Ok(())
        }
    }

    /// Sends what the client takes.
    fn flush(&mut self, sid: u16) -> io::Result<()> {
        loop {
            let session = self.session(sid)?;
            if session.sent >= session.peer_window {
                return Ok(());
            }
            let Some(packet) = session.outbox.pop_front() else {
                return Ok(());
            };
            let bytes = self.packet(DATA, sid, &packet)?;
            self.stream.send_raw(&bytes)?;
        }
    }

    fn send_control(&mut self, flag: u8, sid: u16) -> io::Result<()> {
        let bytes = self.packet(flag, sid, &[])?;
        self.stream.send_raw(&bytes)
    }

    fn packet(&mut self, flag: u8, sid: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
        let window = self.window;
        let session = self.session(sid)?;
        session.sent += u32::from(flag == DATA);
        let mut bytes = vec![SMID, flag];
        bytes.extend(sid.to_le_bytes());
        bytes.extend(((HEADER_LEN + payload.len()) as u32).to_le_bytes());
        bytes.extend(session.sent.to_le_bytes());
        bytes.extend((session.received + window).to_le_bytes());
        bytes.extend(payload);
        Ok(bytes)
    }
}

fn take_packet(buffer: &mut Vec<u8>) -> io::Result<Option<packet::Packet>> {
    let Some(&[_, _, high, low]) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if buffer.len() < length {
        return Ok(None);
    }
    let bytes: Vec<u8> = buffer.drain(..length).collect();
    packet::read_packet(&mut bytes.as_slice()).map(Some)
}

/// One session of a connection.
pub struct SessionLink<'a> {
    mars: &'a mut Mars,
    sid: u16,
}

impl Link for SessionLink<'_> {
    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let spid = self.mars.stream.spid;
        let session = self.mars.session(self.sid)?;
        session.outbox.extend(packet::packets(kind, payload, spid));
        self.mars.flush(self.sid)
    }

    fn receive(&mut self) -> io::Result<Message> {
        loop {
            let found = self.mars.inbox.iter().position(|(sid, _)| *sid == self.sid);
            if let Some((_, message)) = found.and_then(|index| self.mars.inbox.remove(index)) {
                return Ok(message);
            }
            self.mars.pump()?;
        }
    }

    fn readable(&mut self, wait: Duration) -> io::Result<bool> {
        if self.mars.stream.readable(wait)? {
            self.mars.pump()?;
        }
        Ok(self.mars.inbox.iter().any(|(sid, _)| *sid == self.sid))
    }
}
