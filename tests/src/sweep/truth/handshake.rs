//! The TLS handshake: whose message is due, and when it is over.

use super::super::packet::{Side, be16};

const CHANGE: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
const FATAL: u8 = 2;

/// A `HelloRetryRequest` is a `ServerHello` with this random value's beginning (RFC 8446 §4.1.3).
const RETRY: [u8; 4] = [0xCF, 0x21, 0xAD, 0x74];
/// An alert of TLS 1.3 as data, bare and as Java pads it.
pub(super) const ALERTS: [usize; 2] = [19, 35];

/// What a record of the handshake changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// This side's message is due.
    Due(Side),
    /// The server's flight goes on, nobody sees how far.
    Hidden,
    /// The handshake is over.
    Done,
    /// A fatal alert.
    Failed,
}

#[derive(Debug, Default)]
struct Hand {
    messages: Vec<u8>,
    changed: bool,
    finished: bool,
}

/// Both sides' handshake.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    client: Hand,
    server: Hand,
    pub(super) is_13: bool,
}

impl Handshake {
    /// A record of the handshake.
    pub(super) fn record(&mut self, side: Side, kind: u8, body: &[u8]) -> Turn {
        let hand = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        match kind {
            HANDSHAKE if !hand.changed || self.is_13 => {
                hand.messages.extend(body);
                self.messages(side)
            }
            HANDSHAKE => self.finished(side),
            CHANGE => {
                hand.changed = true;
                Turn::None
            }
            // A sealed alert, or one that only says goodbye, decides nothing.
            ALERT if body.len() == 2 && body[0] == FATAL => Turn::Failed,
            DATA if side == Side::Server => Turn::Hidden,
            DATA if self.is_13 && !ALERTS.contains(&body.len()) => Turn::Done,
            _ => Turn::None,
        }
    }

    fn messages(&mut self, side: Side) -> Turn {
        let mut turn = Turn::None;
        loop {
            let hand = match side {
                Side::Client => &mut self.client,
                Side::Server => &mut self.server,
            };
            let Some(length) = be16(&hand.messages, 2).map(|low| usize::from(low) + 4) else {
                return turn;
            };
            if hand.messages.len() < length {
                return turn;
            }
            let message: Vec<u8> = hand.messages.drain(..length).collect();
            turn = match (side, message[0]) {
                (Side::Client, 1) => Turn::Due(Side::Server),
                (Side::Server, 2) if message.get(6..10) == Some(&RETRY) => Turn::Due(Side::Client),
                (Side::Server, 2) => {
                    self.is_13 = chooses_13(&message);
                    if self.is_13 { Turn::Hidden } else { turn }
                }
                (Side::Server, 14) => Turn::Due(Side::Client),
                _ => turn,
            };
        }
    }

    /// The first message after a change of keys: the side's last.
    fn finished(&mut self, side: Side) -> Turn {
        match side {
            Side::Client => self.client.finished = true,
            Side::Server => self.server.finished = true,
        }
        if self.client.finished && self.server.finished {
            Turn::Done
        } else {
            Turn::Due(side.other())
        }
    }
}

/// Whether a `ServerHello` has the extension that names version 1.3.
fn chooses_13(hello: &[u8]) -> bool {
    hello
        .windows(6)
        .any(|window| window == [0, 0x2B, 0, 2, 3, 4])
}
