//! Where one message header ends and the next begins.
//!
//! Three framings share a connection to SQL Server: TDS packets (MS-TDS §2.2.3), TLS records laid
//! straight on TCP (RFC 8446 §5.1), and SMP packets (MC-SMP §2.2.1). At a message boundary the
//! first byte tells which; anywhere else a byte tells nothing.

/// TDS packet types (MS-TDS §2.2.3.1.1).
pub mod packet_type {
    /// SQL batch.
    pub const SQL_BATCH: u8 = 0x01;
    /// Login of TDS 4.2 and 5.0.
    pub const PRE_TDS7_LOGIN: u8 = 0x02;
    /// Remote procedure call.
    pub const RPC: u8 = 0x03;
    /// Every reply of the server.
    pub const TABULAR_RESULT: u8 = 0x04;
    /// Attention: cancel what is running.
    pub const ATTENTION: u8 = 0x06;
    /// Bulk load data.
    pub const BULK_LOAD: u8 = 0x07;
    /// Federated authentication token.
    pub const FEDERATED_TOKEN: u8 = 0x08;
    /// Transaction manager request.
    pub const TRANSACTION_MANAGER: u8 = 0x0E;
    /// LOGIN7.
    pub const LOGIN7: u8 = 0x10;
    /// SSPI message.
    pub const SSPI: u8 = 0x11;
    /// PRELOGIN, and TLS handshake records in TDS 7.x.
    pub const PRELOGIN: u8 = 0x12;
}

/// TLS record content types (RFC 8446 §5.1).
pub mod content_type {
    /// Change cipher spec.
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    /// Alert.
    pub const ALERT: u8 = 21;
    /// Handshake.
    pub const HANDSHAKE: u8 = 22;
    /// Application data.
    pub const APPLICATION_DATA: u8 = 23;
}

/// SMP control flags (MC-SMP §2.2.1); exactly one is set.
pub mod smp_flag {
    /// Opens a session.
    pub const SYN: u8 = 0x01;
    /// Moves the window.
    pub const ACK: u8 = 0x02;
    /// Ends a session.
    pub const FIN: u8 = 0x04;
    /// Carries TDS packets.
    pub const DATA: u8 = 0x08;
}

/// Status bits of a TDS packet (MS-TDS §2.2.3.1.2).
pub mod status {
    /// End of message.
    pub const EOM: u8 = 0x01;
    /// The message is to be ignored.
    pub const IGNORE: u8 = 0x02;
    /// In no specification; drivers of SQL Server 2000's time set it on all packets of a message
    /// but the last.
    pub const OLD_MORE: u8 = 0x04;
    /// The connection was reset before this request (a pool handed it on).
    pub const RESET_CONNECTION: u8 = 0x08;
    /// The same, keeping the transaction.
    pub const RESET_CONNECTION_SKIP_TRAN: u8 = 0x10;
}

/// The size of a TDS packet header.
pub const TDS_HEADER: u32 = 8;
/// The size of a TLS record header.
pub const TLS_HEADER: u32 = 5;
/// The size of an SMP packet header.
pub const SMP_HEADER: u32 = 16;
/// As much of a header as says what it is and how long: SMP needs the most.
pub const HEADER_PREFIX: u32 = 8;

/// The framing of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Framing {
    /// A TDS packet.
    Tds = 1,
    /// A TLS record straight on TCP.
    Tls = 2,
    /// An SMP packet.
    Smp = 3,
}

impl Framing {
    /// From the value in a record.
    #[inline(always)]
    pub const fn of(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Tds),
            2 => Some(Self::Tls),
            3 => Some(Self::Smp),
            _ => None,
        }
    }
}

/// A message header, as far as framing needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose header it is.
    pub framing: Framing,
    /// TDS packet type, TLS content type or SMP flag.
    pub kind: u8,
    /// TDS status; 0 for the others.
    pub status: u8,
    /// Bytes from the start of this header to the start of the next.
    pub len: u32,
}

impl Header {
    /// Whether this packet ends its TDS message. TLS records and SMP packets stand alone.
    #[inline(always)]
    pub const fn ends_message(self) -> bool {
        !matches!(self.framing, Framing::Tds) || self.status & status::EOM != 0
    }
}

/// What the bytes at a message boundary are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// A header.
    Header(Header),
    /// The start of a header: at least this many bytes of it are needed.
    Incomplete {
        /// Bytes of the header that must be known.
        need: u32,
    },
    /// No header of any framing.
    Unknown,
}

/// Reads the header at a message boundary from its first `known` bytes.
#[inline(always)]
pub const fn read(prefix: &[u8; 8], known: u32) -> Boundary {
    if known == 0 {
        return Boundary::Incomplete { need: 1 };
    }
    match prefix[0] {
        0x01..=0x12 => read_tds(prefix, known),
        20..=24 => read_tls(prefix, known),
        0x53 => read_smp(prefix, known),
        _ => Boundary::Unknown,
    }
}

#[inline(always)]
const fn read_tds(prefix: &[u8; 8], known: u32) -> Boundary {
    if known < 4 {
        return Boundary::Incomplete { need: 4 };
    }
    let len = u16::from_be_bytes([prefix[2], prefix[3]]) as u32;
    if len < TDS_HEADER {
        return Boundary::Unknown;
    }
    Boundary::Header(Header {
        framing: Framing::Tds,
        kind: prefix[0],
        status: prefix[1],
        len,
    })
}

#[inline(always)]
const fn read_tls(prefix: &[u8; 8], known: u32) -> Boundary {
    if known >= 2 && prefix[1] != 3 {
        return Boundary::Unknown;
    }
    if known < TLS_HEADER {
        return Boundary::Incomplete { need: TLS_HEADER };
    }
    let len = u16::from_be_bytes([prefix[3], prefix[4]]) as u32;
    // RFC 8446 §5.2: a record's fragment is at most 2^14 + 256 bytes; RFC 5246 allows 2^14 + 2048.
    if prefix[2] > 4 || len == 0 || len > 16384 + 2048 {
        return Boundary::Unknown;
    }
    Boundary::Header(Header {
        framing: Framing::Tls,
        kind: prefix[0],
        status: 0,
        len: len + TLS_HEADER,
    })
}

#[inline(always)]
const fn read_smp(prefix: &[u8; 8], known: u32) -> Boundary {
    if known < HEADER_PREFIX {
        return Boundary::Incomplete {
            need: HEADER_PREFIX,
        };
    }
    let len = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    let lone_flag = matches!(prefix[1], 1 | 2 | 4 | 8);
    if !lone_flag || len < SMP_HEADER || len > 1 << 20 {
        return Boundary::Unknown;
    }
    Boundary::Header(Header {
        framing: Framing::Smp,
        kind: prefix[1],
        status: 0,
        len,
    })
}

/// Whether bytes that may or may not stand at a boundary look enough like a header to start over
/// from: stricter than [`read`], since here nothing else vouches for them.
#[inline(always)]
pub const fn plausible(prefix: &[u8; 8], from_server: bool) -> Option<Header> {
    let Boundary::Header(header) = read(prefix, HEADER_PREFIX) else {
        return None;
    };
    match header.framing {
        Framing::Tds => {
            let side = if from_server {
                matches!(
                    header.kind,
                    packet_type::TABULAR_RESULT | packet_type::PRELOGIN
                )
            } else {
                // Nobody is in the middle of a connection when the login of TDS 4.2 comes (type 2).
                matches!(header.kind, 1 | 3 | 6..=8 | 0x0E | 0x10..=0x12)
            };
            let bits = status::EOM
                | status::IGNORE
                | status::OLD_MORE
                | status::RESET_CONNECTION
                | status::RESET_CONNECTION_SKIP_TRAN;
            // The window byte is always 0, packets are at most 32,767 bytes (MS-TDS §2.2.3.1).
            // Only the last packet of a message is less than full; full ones are of 512 bytes or
            // more, and of round sizes. Only a last packet may be ignored (MS-TDS §2.2.3.1.2).
            let ends = header.status & status::EOM != 0;
            let round = header.len >= 512 && (header.len % 16 == 0 || header.len == 32_767);
            let partial = !ends && (!round || header.status & status::IGNORE != 0);
            let old_last = ends && header.status & status::OLD_MORE != 0;
            // An attention is a header alone (MS-TDS §2.2.1.7).
            let lone = header.kind == packet_type::ATTENTION && header.len != TDS_HEADER;
            // Only the server's packets name its process: every client leaves the SPID at 0.
            let names_process = !from_server && (prefix[4] | prefix[5]) != 0;
            if !side
                || partial
                || old_last
                || lone
                || names_process
                || header.status & !bits != 0
                || prefix[7] != 0
                || header.len > 32_767
            {
                return None;
            }
        }
        Framing::Tls => {
            if prefix[2] == 0 {
                return None;
            }
        }
        Framing::Smp => {}
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(bytes: &[u8]) -> ([u8; 8], u32) {
        let mut out = [0; 8];
        let len = bytes.len().min(8);
        out[..len].copy_from_slice(&bytes[..len]);
        (out, len as u32)
    }

    fn read_slice(bytes: &[u8]) -> Boundary {
        let (prefix, known) = prefix(bytes);
        read(&prefix, known)
    }

    #[test]
    fn a_boundary_byte_tells_tds_tls_and_smp_apart() {
        let tds = read_slice(&[0x12, 0x01, 0x00, 0x2F, 0, 0, 1, 0]);
        assert!(matches!(
            tds,
            Boundary::Header(Header {
                framing: Framing::Tds,
                kind: 0x12,
                len: 47,
                ..
            })
        ));
        let tls = read_slice(&[0x17, 3, 3, 0x01, 0x00]);
        assert!(matches!(
            tls,
            Boundary::Header(Header {
                framing: Framing::Tls,
                len: 261,
                ..
            })
        ));
        let smp = read_slice(&[0x53, 8, 0, 0, 0x20, 0, 0, 0]);
        assert!(matches!(
            smp,
            Boundary::Header(Header {
                framing: Framing::Smp,
                kind: 8,
                len: 32,
                ..
            })
        ));
    }

    #[test]
    fn a_short_prefix_asks_for_what_its_own_framing_needs() {
        assert_eq!(read_slice(&[]), Boundary::Incomplete { need: 1 });
        assert_eq!(read_slice(&[0x12, 1, 0]), Boundary::Incomplete { need: 4 });
        assert_eq!(read_slice(&[0x16, 3, 1]), Boundary::Incomplete { need: 5 });
        assert_eq!(
            read_slice(&[0x53, 1, 0, 0, 16]),
            Boundary::Incomplete { need: 8 }
        );
    }

    #[test]
    fn what_no_peer_would_send_is_unknown() {
        assert_eq!(read_slice(b"GET / HTTP/1.1"), Boundary::Unknown);
        assert_eq!(read_slice(&[0x12, 1, 0, 7, 0, 0, 0, 0]), Boundary::Unknown);
        assert_eq!(read_slice(&[0x17, 2, 3, 0, 1]), Boundary::Unknown);
        assert_eq!(read_slice(&[0x53, 3, 0, 0, 16, 0, 0, 0]), Boundary::Unknown);
        assert_eq!(read_slice(&[0x53, 1, 0, 0, 15, 0, 0, 0]), Boundary::Unknown);
    }

    #[test]
    fn starting_over_is_stricter_than_going_on() {
        let window_set = [0x01, 1, 0, 40, 0, 0, 1, 9];
        assert!(matches!(read(&window_set, 8), Boundary::Header(_)));
        assert_eq!(plausible(&window_set, false), None);
        let batch = [0x01, 1, 0, 40, 0, 0, 1, 0];
        assert!(plausible(&batch, false).is_some());
        assert_eq!(plausible(&batch, true), None);
    }

    #[test]
    fn an_old_drivers_mark_of_more_packets_is_no_obstacle_to_starting_over() {
        // Of nDPI's capture mssql_tds.pcap.
        let more = [0x03, 0x04, 0x1F, 0x40, 0, 0, 1, 0];
        assert!(plausible(&more, false).is_some());
        let last = [0x03, 0x05, 0x1F, 0x40, 0, 0, 1, 0];
        assert_eq!(plausible(&last, false), None);
    }

    #[test]
    fn what_names_a_process_is_no_header_of_a_client() {
        // Out of a ClientHello's list of groups, at the start of a segment that came too early.
        let groups = [0x08, 0, 0x06, 0, 0x1D, 0, 0x17, 0];
        assert!(matches!(read(&groups, 8), Boundary::Header(_)));
        assert_eq!(plausible(&groups, false), None);
        let reply = [0x04, 1, 0, 40, 0, 51, 1, 0];
        assert!(plausible(&reply, true).is_some());
    }
}
