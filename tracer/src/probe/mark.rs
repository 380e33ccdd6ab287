//! The mark that filters bear, by which an agent finds what a killed one left and leaves alone what
//! a running one holds.
//!
//! Each agent has a number in its network namespace, and holds an abstract socket of that name: the
//! kernel keeps such names per namespace, and frees them whatever ends the process.

use std::{
    io::{self, ErrorKind},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// The upper half of a filter's handle.
const OURS: u32 = 0x7464;
/// Set in a handle where the qdisc was added for it too.
const ADDED: u32 = 0x8000;
const NUMBERS: u32 = 0x8000;

/// What a handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    number: u32,
    /// Whether an agent added the qdisc.
    pub(super) added_qdisc: bool,
}

impl Sign {
    /// Reads a handle; `None` where it is somebody else's.
    pub(super) fn of(handle: u32) -> Option<Self> {
        (handle >> 16 == OURS).then_some(Self {
            number: handle & (NUMBERS - 1),
            added_qdisc: handle & ADDED != 0,
        })
    }

    /// Whether its agent is gone; not where that is unknown.
    pub(super) fn is_left(self) -> bool {
        matches!(hold(self.number), Ok(Some(_)))
    }
}

/// An agent's number, held while this lives.
pub(super) struct Mark {
    number: u32,
    _name: UnixDatagram,
}

impl Mark {
    /// Takes a number that no running agent has.
    pub(super) fn take() -> io::Result<Self> {
        // Not always the first: `doctor`, which cleans nothing up, must not meet a killed agent's.
        let first = std::process::id();
        for offset in 0..NUMBERS {
            let number = first.wrapping_add(offset) % NUMBERS;
            if let Some(name) = hold(number)? {
                return Ok(Self {
                    number,
                    _name: name,
                });
            }
        }
        Err(io::Error::other("every agent's number is taken"))
    }

    /// Whether a filter with that sign is this agent's.
    pub(super) fn is_of(&self, sign: Sign) -> bool {
        sign.number == self.number
    }

    /// The handle of this agent's filters.
    pub(super) fn handle(&self, added_qdisc: bool) -> u32 {
        let added = if added_qdisc { ADDED } else { 0 };
        OURS << 16 | added | self.number
    }
}

/// Binds a number's name; `None` where it is taken.
fn hold(number: u32) -> io::Result<Option<UnixDatagram>> {
    let name = SocketAddr::from_abstract_name(format!("tds-tracer/{number}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Sign};

    #[test]
    fn a_handle_says_whose_it_is() {
        let mark = Mark::take().expect("a number");
        for added_qdisc in [false, true] {
            let sign = Sign::of(mark.handle(added_qdisc)).expect("our handle");
            assert_eq!(sign.number, mark.number);
            assert_eq!(sign.added_qdisc, added_qdisc);
            assert!(mark.is_of(sign));
        }
        for handle in [0, 1, 0x8000_0800, 0x7465_0001] {
            assert_eq!(Sign::of(handle), None, "{handle:#x}");
        }
    }

    #[test]
    fn only_what_nobody_holds_is_left() {
        let (one, other) = (
            Mark::take().expect("a number"),
            Mark::take().expect("another"),
        );
        assert_ne!(one.number, other.number);
        let sign = Sign::of(one.handle(true)).expect("our handle");
        assert!(!sign.is_left());
        drop(one);
        assert!(sign.is_left());
    }
}
