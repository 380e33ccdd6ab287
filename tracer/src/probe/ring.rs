//! The ring buffer: from bytes to checked records.

use std::{
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, Map, MapData, RingBuf},
};
use tokio::io::unix::AsyncFd;
use tracer_ebpf::{
    datagram::Datagram,
    event::{Bound, Event, Kind, Opening, Owner, SocketEnd, Translated},
    short::{ShortHeader, ShortSyn},
};

use super::{StartError, figures::Positions, held::Held, load};

/// What the kernel said.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// Something happened to a connection; with the bytes of the stream that it carried.
    Event(Event, &'a [u8]),
    /// The same of a connection that is known, in short.
    Header(ShortHeader),
    /// Whose socket a connection is.
    Owner(Owner),
    /// What the kernel's TCP knew when a socket closed.
    SocketEnd(SocketEnd),
    /// A connection's packets have other addresses than its socket.
    Translated(Translated),
    /// What is asked or answered beside a login; with the packet's first bytes.
    Datagram(Datagram, &'a [u8]),
    /// How a connection opened that has proved to be SQL Server's.
    Opening(Opening),
    /// A process by the name of SQL Server's has bound a socket.
    Bound(Bound),
}

impl<'a> Record<'a> {
    /// Reads a record; `None` where the bytes are none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match Kind::of(*bytes.first()?)? {
            Kind::Owner => Owner::read(bytes).map(Self::Owner),
            Kind::SocketEnd => SocketEnd::read(bytes).map(Self::SocketEnd),
            Kind::Translated => Translated::read(bytes).map(Self::Translated),
            Kind::Datagram => {
                let datagram = Datagram::read(bytes)?;
                let kept = bytes.get(Datagram::SIZE..)?.get(..datagram.kept as usize)?;
                Some(Self::Datagram(datagram, kept))
            }
            Kind::Opening => Opening::read(bytes).map(Self::Opening),
            Kind::Bound => Bound::read(bytes).map(Self::Bound),
            Kind::ShortHeader => ShortHeader::read(bytes).map(Self::Header),
            Kind::ShortSyn => {
                let event = ShortSyn::read(bytes)?.event();
                Some(Self::Event(event, &[]))
            }
            _ => {
                let event = Event::read(bytes)?;
                let run = bytes.get(Event::SIZE..)?.get(..event.run_len as usize)?;
                Some(Self::Event(event, run))
            }
        }
    }
}

/// The ring buffer.
pub(super) struct Ring {
    buffer: AsyncFd<RingBuf<MapData>>,
    /// Where both halves are in it, where the kernel shows that.
    positions: Option<Positions>,
    /// Bytes.
    size: u32,
    /// 1: the programs wake the agent by their next record.
    sleeps: Array<MapData, u32>,
    /// What was taken out of the buffer, and is not told yet.
    held: Held,
    unreadable: u64,
    last_record: Instant,
    /// Nothing has come since it was said that the agent sleeps.
    asleep: bool,
}

/// How long the ring is looked at without being woken.
const AWAKE: Duration = Duration::from_millis(50);
/// How often, meanwhile; a timer may be a millisecond late, and a line is to be five late at most.
const LOOK: Duration = Duration::from_millis(3);
/// How often otherwise: for packets on their way out, which never wake.
const IDLE_LOOK: Duration = Duration::from_millis(100);

impl Ring {
    pub(super) fn of(ebpf: &mut Ebpf, size: u32) -> Result<Self, StartError> {
        let map = load::map(ebpf, "EVENTS")?;
        let positions = match &map {
            Map::RingBuf(data) => Positions::of(data.fd().as_fd()).ok(),
            _ => None,
        };
        let buffer = RingBuf::try_from(map).map_err(StartError::map)?;
        // SAFETY: the buffer owns its descriptor and gives the same one for as long as it lives.
        let buffer = unsafe { AsyncFd::register(buffer) }.map_err(StartError::map)?;
        Ok(Self {
            buffer,
            positions,
            size,
            sleeps: load::array(ebpf, "SLEEPS")?,
            held: Held::default(),
            unreadable: 0,
            last_record: Instant::now(),
            asleep: false,
        })
    }

    /// Waits until there may be a record. To be woken costs the programs an interrupt each time; so while
    /// records come the agent looks by itself, and asks to be woken only once none has come for a while.
    pub(super) async fn readable(&mut self) {
        if self.last_record.elapsed() < AWAKE {
            tokio::time::sleep(LOOK).await;
            return;
        }
        if !self.asleep {
            // What comes from here on wakes; what came just before is looked for once more.
            self.asleep = self.sleeps.set(0, 1, 0).is_ok();
            return;
        }
        tokio::select! {
            guard = self.buffer.readable_mut() => {
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                    self.last_record = Instant::now();
                    self.asleep = false;
                }
            }
            () = tokio::time::sleep(IDLE_LOOK) => {}
        }
    }

    pub(super) fn drain(&mut self, limit: usize, mut tell: impl FnMut(Record<'_>)) -> usize {
        let mut count = 0;
        let mut unreadable = 0;
        let mut hand_over = |bytes: &[u8]| match Record::read(bytes) {
            Some(record) => tell(record),
            None => unreadable += 1,
        };
        while count < limit
            && let Some(record) = self.held.next()
        {
            count += 1;
            hand_over(&record);
        }
        let buffer = self.buffer.get_mut();
        while count < limit
            && let Some(item) = buffer.next()
        {
            count += 1;
            hand_over(&item);
        }
        self.unreadable += unreadable;
        if count > 0 {
            self.last_record = Instant::now();
            self.asleep = false;
        }
        count
    }

    /// Bytes that wait to be read.
    pub(super) fn waiting(&self) -> Option<u64> {
        self.positions.as_ref().map(Positions::between)
    }

    /// Bytes that it has.
    pub(super) fn size(&self) -> u64 {
        self.size.into()
    }

    /// Takes out of the buffer what is there, and keeps it for [`Self::drain`].
    pub(super) fn hold(&mut self) {
        let buffer = self.buffer.get_mut();
        while self.held.has_room()
            && let Some(item) = buffer.next()
        {
            self.held.keep(&item);
        }
    }

    /// Whether any are kept so.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many records could not be read since the last call.
    pub(super) fn take_unreadable(&mut self) -> u64 {
        std::mem::take(&mut self.unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_promises_more_bytes_than_it_has_is_none() {
        let mut bytes = vec![0; Event::SIZE + 4];
        bytes[0] = Kind::Segment as u8;
        let run_len = std::mem::offset_of!(Event, run_len);
        bytes[run_len..run_len + 4].copy_from_slice(&4_u32.to_ne_bytes());
        assert!(matches!(Record::read(&bytes), Some(Record::Event(_, run)) if run.len() == 4));
        bytes[run_len..run_len + 4].copy_from_slice(&5_u32.to_ne_bytes());
        assert!(Record::read(&bytes).is_none());
    }

    #[test]
    fn what_no_program_writes_is_none() {
        assert!(Record::read(&[]).is_none());
        assert!(Record::read(&[0; 400]).is_none());
        assert!(Record::read(&[255; 400]).is_none());
    }
}
