//! What a packet is found to be, and what is to be told of it.

use crate::event::{Direction, Kind};

/// What to do with the packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same packet was counted elsewhere.
    Copy,
    /// Nothing.
    Nothing,
    /// Tell it as part of a login.
    Login,
    /// Look for message boundaries.
    Command,
}

/// What the accounting found.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What to do with the payload.
    pub next: Next,
    /// Which way the packet goes.
    pub direction: Direction,
    /// For [`crate::event::Event::marks`].
    pub marks: u8,
    /// See [`found`].
    found: u16,
    /// Payload bytes at its start that had passed before.
    pub known: u32,
    /// What it is to the handshake; told before the payload.
    pub handshake: Option<Kind>,
    /// Turns that the walk along the payload's headers has taken.
    pub turns: u8,
}

/// What a packet may be, one bit each.
pub mod found {
    /// Part of the handshake.
    pub const HANDSHAKE: u16 = 0x01;
    /// It repeats payload of an undecided login.
    pub const REPEAT: u16 = 0x02;
    /// The SYN that this answers is still to be told.
    pub const LATE_SYN: u16 = 0x04;
    /// The first FIN of its side.
    pub const FIN: u16 = 0x08;
    /// A RST.
    pub const RST: u16 = 0x10;
    /// It may be the connection's last: it acknowledges the peer's FIN for the first time, or comes
    /// after a RST.
    pub const LAST: u16 = 0x20;
    /// It, or the SYN before it, has no place in the connection.
    pub const STRANGE: u16 = 0x40;
    /// It fills a hole of which it is not known any more what is secret.
    pub const BLIND: u16 = 0x80;
    /// The SYN-ACK before it was held back, and is told now.
    pub const LATE_ANSWER: u16 = 0x100;
    /// The SYN before it was held back, and is told now.
    pub const RELEASED: u16 = 0x200;
    /// What is told before the payload, and what after it.
    pub(super) const OPENS: u16 = HANDSHAKE | REPEAT | LATE_SYN | LATE_ANSWER;
    pub(super) const ENDS: u16 = FIN | RST | LAST;
    /// A FIN that acknowledges the peer's.
    pub(super) const LAST_FIN: u16 = FIN | LAST;
}

impl Step {
    /// Of a packet that goes this way, nothing of which is told so far.
    #[inline(always)]
    pub const fn of(direction: Direction) -> Self {
        Self {
            next: Next::Nothing,
            direction,
            marks: 0,
            found: 0,
            known: 0,
            handshake: None,
            turns: 0,
        }
    }

    /// Whether it is one of these: see [`found`].
    #[inline(always)]
    pub const fn is(&self, any: u16) -> bool {
        self.found & any != 0
    }

    /// It is this too.
    #[inline(always)]
    pub(super) const fn find(&mut self, what: u16) {
        self.found |= what;
    }

    /// Nothing is told of the packet.
    #[inline(always)]
    pub(super) const fn hush(&mut self) {
        self.next = Next::Nothing;
        self.handshake = None;
        self.found = 0;
    }

    #[inline(always)]
    pub(super) const fn shakes_hands(&mut self, as_what: Kind) {
        self.handshake = Some(as_what);
        self.find(found::HANDSHAKE);
    }

    /// Whether something is told before the payload.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.is(found::OPENS)
    }

    /// Whether something is told after the payload.
    #[inline(always)]
    pub const fn ends(&self) -> bool {
        self.is(found::ENDS)
    }

    /// The one event that is all there is to tell, and has no bytes.
    #[inline(always)]
    pub(super) const fn lone(&self) -> Option<Kind> {
        if !matches!(self.next, Next::Copy | Next::Nothing) {
            return None;
        }
        match self.found & (found::OPENS | found::ENDS) {
            found::HANDSHAKE => self.handshake,
            found::FIN | found::LAST_FIN => Some(Kind::Fin),
            found::RST => Some(Kind::Rst),
            found::LAST => Some(Kind::Ack),
            _ => None,
        }
    }

    /// Whether there is nothing to tell.
    #[inline(always)]
    pub const fn is_quiet(&self) -> bool {
        matches!(self.next, Next::Copy | Next::Nothing) && !self.is(found::OPENS | found::ENDS)
    }
}
