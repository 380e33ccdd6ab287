//! SMP frames, which carry the sessions of MARS (MC-SMP 2.2).

use super::{Malformed, reader::Reader};

/// First byte of every SMP frame.
pub const SMID: u8 = 0x53;

/// Length of the header, which is all of a SYN, ACK or FIN.
pub const HEADER_LEN: usize = 16;

/// What a frame is for. MC-SMP never combines these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// Opens a session.
    Syn,
    /// Grants window.
    Ack,
    /// Closes a session's direction.
    Fin,
    /// Carries TDS bytes.
    Data,
}

/// The header of an SMP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smp {
    /// What the frame is for.
    pub control: Control,
    /// Session identifier.
    pub sid: u16,
    /// Length of the whole frame, header included, in bytes.
    pub length: u32,
    /// Sequence number; counts DATA frames from 1.
    pub seqnum: u32,
    /// The highest sequence number the sender is ready to receive.
    pub window: u32,
}

impl Smp {
    /// Decodes the first [`HEADER_LEN`] bytes of a frame.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(frame);
        if reader.u8() != Some(SMID) {
            return Err(malformed(0, "not an SMP frame"));
        }
        let control = match reader.u8() {
            Some(1) => Control::Syn,
            Some(2) => Control::Ack,
            Some(4) => Control::Fin,
            Some(8) => Control::Data,
            Some(_) => return Err(malformed(1, "unknown SMP control flag")),
            None => return Err(malformed(1, "SMP header cut short")),
        };
        let smp = decode_rest(&mut reader, control)
            .ok_or_else(|| malformed(frame.len(), "SMP header cut short"))?;
        let fits = match control {
            Control::Data => smp.length as usize >= HEADER_LEN,
            Control::Syn | Control::Ack | Control::Fin => smp.length as usize == HEADER_LEN,
        };
        if fits {
            Ok(smp)
        } else {
            Err(malformed(4, "SMP length does not fit its control flag"))
        }
    }
}

fn decode_rest(reader: &mut Reader<'_>, control: Control) -> Option<Smp> {
    Some(Smp {
        control,
        sid: reader.u16()?,
        length: reader.u32()?,
        seqnum: reader.u32()?,
        window: reader.u32()?,
    })
}

fn malformed(at: usize, what: &'static str) -> Malformed {
    Malformed { at, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ODBC Driver 18 with MARS: the SYN of session 0, its first request, the answer, a FIN.
    const SYN: &[u8] = b"\x53\x01\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00";
    const DATA: &[u8] = b"\x53\x08\x01\x00\x3e\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01";
    const ACK: &[u8] = b"\x53\x02\x00\x00\x10\x00\x00\x00\x01\x00\x00\x00\x06\x00\x00\x00";

    #[test]
    fn a_syn_opens_a_session_with_a_window_of_four() {
        let smp = Smp::decode(SYN).unwrap();
        assert_eq!(smp.control, Control::Syn);
        assert_eq!((smp.sid, smp.length, smp.seqnum, smp.window), (0, 16, 0, 4));
    }

    #[test]
    fn data_counts_its_header_in_the_length() {
        let smp = Smp::decode(DATA).unwrap();
        assert_eq!(smp.control, Control::Data);
        assert_eq!((smp.sid, smp.length, smp.seqnum, smp.window), (1, 62, 1, 4));
    }

    #[test]
    fn an_ack_moves_the_window() {
        let smp = Smp::decode(ACK).unwrap();
        assert_eq!((smp.control, smp.seqnum, smp.window), (Control::Ack, 1, 6));
    }

    #[test]
    fn combined_flags_short_headers_and_other_lengths_are_refused() {
        let mut combined = SYN.to_vec();
        combined[1] = 3;
        assert_eq!(Smp::decode(&combined).unwrap_err().at, 1);
        let mut long_syn = SYN.to_vec();
        long_syn[4] = 17;
        assert_eq!(Smp::decode(&long_syn).unwrap_err().at, 4);
        for len in 0..HEADER_LEN {
            assert!(Smp::decode(&SYN[..len]).is_err());
        }
    }
}
