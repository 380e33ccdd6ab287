//! Name servers that are asked by TCP: each message comes after its length (RFC 1035 section 4.2.2).

use std::net::IpAddr;

use foldhash::HashMap;
use tracer_ebpf::seq::Seq;

use crate::{
    dns::{self, Message},
    session::{
        attempts::Who,
        input::{Beside, Piece, Sign},
    },
};

/// Connections known at once; the oldest gives way.
const MAX_STREAMS: usize = 256;
/// Bytes of a direction that are kept for a message to become whole; of a longer one the first are read.
const MAX_BYTES: usize = 4096;
/// Bytes of a message's length.
const LENGTH: usize = 2;

/// A client's port, and the name server.
type Ends = (Who, u16, IpAddr);

/// What is under way in one direction.
#[derive(Debug, Default)]
struct Half {
    next: Option<Seq>,
    bytes: Vec<u8>,
    /// Something of it is missing: where the next message begins is not known.
    lost: bool,
}

/// A connection.
#[derive(Debug, Default)]
struct Stream {
    last: u64,
    halves: [Half; 2],
}

/// The connections to name servers.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<Ends, Stream>,
}

impl Streams {
    /// Takes a packet in; the messages that are whole by it, or are known as far as they ever will be.
    pub(super) fn take(&mut self, who: Who, beside: &Beside<'_>) -> Vec<Message> {
        let ends = (who, beside.client.1, beside.service.0);
        let (place, piece) = match beside.sign {
            Sign::Asks(piece) => (0, piece),
            Sign::Answers(piece) => (1, piece),
            Sign::Opens => {
                self.begin(ends, beside.time);
                return Vec::new();
            }
            Sign::Refuses | Sign::Ends => {
                self.open.remove(&ends);
                return Vec::new();
            }
            Sign::Accepts => return Vec::new(),
        };
        if beside.opened.is_some() && !self.open.contains_key(&ends) {
            self.begin(ends, beside.time);
        }
        let Some(stream) = self.open.get_mut(&ends) else {
            return Vec::new();
        };
        stream.last = beside.time;
        stream.halves[place].extend(&piece)
    }

    fn begin(&mut self, ends: Ends, at: u64) {
        if self.open.len() >= MAX_STREAMS {
            let oldest = self.open.iter().min_by_key(|(_, stream)| stream.last);
            if let Some(oldest) = oldest.map(|(ends, _)| *ends) {
                self.open.remove(&oldest);
            }
        }
        let stream = Stream {
            last: at,
            ..Stream::default()
        };
        self.open.insert(ends, stream);
    }

    /// Forgets those of which nothing was heard since.
    pub(super) fn forget(&mut self, since: u64) {
        self.open.retain(|_, stream| stream.last > since);
    }
}

impl Half {
    fn extend(&mut self, piece: &Piece<'_>) -> Vec<Message> {
        let next = *self.next.get_or_insert(piece.seq);
        // A copy, or what lies behind a gap.
        if self.lost || piece.seq != next {
            self.lost |= piece.seq.after(next);
            return Vec::new();
        }
        self.next = Some(next.add(piece.len as u32));
        let room = MAX_BYTES - self.bytes.len();
        let taken = &piece.kept[..piece.kept.len().min(room)];
        self.bytes.extend_from_slice(taken);
        self.lost = taken.len() < piece.len;
        let mut messages = Vec::new();
        while let Some(message) = self.whole() {
            messages.extend(dns::decode(&message));
        }
        if self.lost {
            let rest = std::mem::take(&mut self.bytes);
            messages.extend(rest.get(LENGTH..).and_then(dns::decode));
        }
        messages
    }

    /// Takes the next message out, if it is whole.
    fn whole(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.bytes.split_first_chunk::<LENGTH>()?;
        let len = usize::from(u16::from_be_bytes(*length));
        let message = rest.get(..len)?.to_vec();
        self.bytes.drain(..LENGTH + len);
        Some(message)
    }
}
