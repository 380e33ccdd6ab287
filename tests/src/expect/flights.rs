//! What a packet capture says of a login, worked out on its own: by the rules
//! of the event stream's definition, from whole flights, without any code of
//! the agent.

use anyhow::{Context, Result, bail};

use crate::capture::Segment;

const WRAP: u8 = 0x12;
const REPLY: u8 = 0x04;
const TLS_RECORDS: std::ops::RangeInclusive<u8> = 0x14..=0x17;
const APPLICATION_DATA: u8 = 0x17;
const HEADER_LEN: usize = 8;
const END_OF_MESSAGE: u8 = 0x01;

/// How the login is encrypted, hence where its phases end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No TLS.
    Clear,
    /// TLS inside TDS, for the login or for everything.
    Wrapped,
    /// TLS 1.3 before TDS.
    Strict,
}

/// A phase of a login: its name and when it ended.
pub type End = (&'static str, u64);

/// Several segments of one side in a row.
struct Flight {
    from_client: bool,
    /// Type of what it starts with.
    first: u8,
    /// Whether it is a wrapped TLS handshake.
    wrapped: bool,
    /// Whether it ends with a reply's last byte.
    replied: bool,
    first_ns: u64,
    last_ns: u64,
}

/// The phases of the login of one connection, in nanoseconds from its first
/// SYN to each one's end.
pub fn phases(segments: &[Segment], shape: Shape) -> Result<Vec<End>> {
    let start = segments.first().context("an empty capture")?;
    if !start.syn() || start.ack() {
        bail!("the capture does not start with a SYN");
    }
    let since = |at: u64| at - start.at_ns;
    let handshake = segments
        .iter()
        .find(|segment| segment.from_client && segment.ack() && !segment.syn())
        .context("the handshake is not completed")?;
    let mut ends = vec![("handshake", since(handshake.at_ns))];
    let flights = flights(segments);
    let mut rest = flights.as_slice();
    if shape == Shape::Strict {
        ends.push(("tls", since(take_strict_tls(&mut rest)?)));
    }
    ends.push((
        "prelogin",
        since(take_reply(&mut rest).context("no prelogin reply")?),
    ));
    if shape == Shape::Wrapped {
        ends.push(("tls", since(take_wrapped_tls(&mut rest)?)));
    }
    ends.push((
        "login",
        since(take_reply(&mut rest).context("no login reply")?),
    ));
    Ok(ends)
}

/// The next reply after a phase ended, as of an authentication round.
pub fn last_reply(segments: &[Segment], rounds: usize, shape: Shape) -> Result<u64> {
    let flights = flights(segments);
    let start = segments.first().context("an empty capture")?.at_ns;
    let mut rest = flights.as_slice();
    take_reply(&mut rest)?;
    if shape == Shape::Wrapped {
        take_wrapped_tls(&mut rest)?;
    }
    for _ in 0..rounds {
        take_reply(&mut rest)?;
    }
    Ok(take_reply(&mut rest)? - start)
}

/// Flights, where a change of side or of type starts a new one, and so does a second reply: to a
/// Kerberos ticket a server answers first, and then lets the client in.
fn flights(segments: &[Segment]) -> Vec<Flight> {
    let mut flights: Vec<Flight> = Vec::new();
    for segment in segments
        .iter()
        .filter(|segment| !segment.payload.is_empty())
    {
        let first = segment.payload[0];
        let inner = segment.payload.get(HEADER_LEN).copied().unwrap_or_default();
        let wrapped = matches!(first, WRAP | REPLY) && TLS_RECORDS.contains(&inner);
        let replied = !segment.from_client && !wrapped && is_whole_reply(&segment.payload);
        let goes_on = |last: &&mut Flight| {
            last.from_client == segment.from_client && last.wrapped == wrapped && !last.replied
        };
        match flights.last_mut().filter(goes_on) {
            Some(last) => {
                last.last_ns = segment.at_ns;
                last.replied = replied;
            }
            None => flights.push(Flight {
                from_client: segment.from_client,
                first,
                wrapped,
                replied,
                first_ns: segment.at_ns,
                last_ns: segment.at_ns,
            }),
        }
    }
    flights
}

/// Whether these are the packets of one reply, from its first byte to its last.
fn is_whole_reply(mut bytes: &[u8]) -> bool {
    while let [REPLY, status, high, low, ..] = *bytes {
        let len = usize::from(u16::from_be_bytes([high, low]));
        if bytes.len() == len {
            return status & END_OF_MESSAGE != 0;
        }
        bytes = bytes.get(len.max(HEADER_LEN)..).unwrap_or_default();
    }
    false
}

/// Up to the end of the server's next flight.
fn take_reply(rest: &mut &[Flight]) -> Result<u64> {
    let index = rest
        .iter()
        .position(|flight| !flight.from_client)
        .context("no reply")?;
    let end = rest[index].last_ns;
    *rest = &rest[index + 1..];
    Ok(end)
}

/// Up to the last wrapped handshake message of either side.
fn take_wrapped_tls(rest: &mut &[Flight]) -> Result<u64> {
    let count = rest.iter().take_while(|flight| flight.wrapped).count();
    let end = rest
        .get(count.wrapping_sub(1))
        .context("no TLS handshake")?
        .last_ns;
    *rest = &rest[count..];
    Ok(end)
}

/// Up to the client's answer to the server's hello, which ends TLS 1.3. It goes out before
/// PRELOGIN does, in the first segment of the same flight.
fn take_strict_tls(rest: &mut &[Flight]) -> Result<u64> {
    let hello = rest
        .iter()
        .position(|flight| !flight.from_client)
        .context("no server hello")?;
    let finished = rest.get(hello + 1).context("no client finished")?;
    if finished.first != APPLICATION_DATA && !TLS_RECORDS.contains(&finished.first) {
        bail!("no TLS record after the server's hello");
    }
    *rest = &rest[hello + 1..];
    Ok(finished.first_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    fn segment(at_ns: u64, from_client: bool, payload: &[u8]) -> Segment {
        Segment {
            at_ns,
            stream: 0,
            from_client,
            flags: ACK,
            payload: payload.to_vec(),
        }
    }

    fn opening() -> Vec<Segment> {
        vec![
            Segment {
                flags: SYN,
                ..segment(100, true, &[])
            },
            Segment {
                flags: SYN | ACK,
                ..segment(110, false, &[])
            },
            segment(120, true, &[]),
        ]
    }

    #[test]
    fn a_clear_login_has_a_prelogin_and_a_login() {
        let mut segments = opening();
        segments.extend([
            segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(150, true, &[0x10]),
            segment(170, false, &[REPLY, 0, 0, 9, 0, 0, 0, 0, 0xE3]),
            segment(180, false, &[REPLY]),
        ]);
        let ends = phases(&segments, Shape::Clear).unwrap();
        assert_eq!(ends, [("handshake", 20), ("prelogin", 40), ("login", 80)]);
    }

    #[test]
    fn a_ticket_is_answered_before_the_client_is_let_in() {
        let reply = [REPLY, 1, 0, 9, 0, 0, 0, 0, 0xED];
        let mut segments = opening();
        segments.extend([
            segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(150, true, &[0x10]),
            segment(170, false, &reply),
            segment(180, false, &reply),
        ]);
        let ends = phases(&segments, Shape::Clear).unwrap();
        assert_eq!(ends, [("handshake", 20), ("prelogin", 40), ("login", 70)]);
        assert_eq!(last_reply(&segments, 1, Shape::Clear).unwrap(), 80);
    }

    #[test]
    fn the_wrapped_handshake_ends_with_its_last_flight() {
        let wrapped = [WRAP, 1, 0, 20, 0, 0, 0, 0, 0x16];
        let mut segments = opening();
        segments.extend([
            segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(150, true, &wrapped),
            segment(160, false, &wrapped),
            segment(170, true, &wrapped),
            segment(180, false, &wrapped),
            segment(190, true, &[APPLICATION_DATA]),
            segment(200, false, &[REPLY, 0, 0, 9, 0, 0, 0, 0, 0xE3]),
        ]);
        let ends = phases(&segments, Shape::Wrapped).unwrap();
        assert_eq!(
            ends,
            [
                ("handshake", 20),
                ("prelogin", 40),
                ("tls", 80),
                ("login", 100)
            ]
        );
    }
}
