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
const RECORD_HEADER_LEN: usize = 5;
const END_OF_MESSAGE: u8 = 0x01;

/// How the login is encrypted, hence where its phases end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No TLS.
    Clear,
    /// TLS up to 1.2 inside TDS, for the login or for everything.
    Wrapped,
    /// TLS 1.3 inside TDS.
    WrappedTls13,
    /// TLS 1.3 before TDS, and this many session tickets after the handshake.
    Strict {
        /// A record each, sent when the client has finished.
        tickets: usize,
    },
    /// TLS 1.2 before TDS.
    StrictTls12,
}

impl Shape {
    /// The phases after the handshake, in their order.
    fn steps(self) -> &'static [&'static str] {
        match self {
            Self::Clear => &["prelogin", "login"],
            Self::Wrapped | Self::WrappedTls13 => &["prelogin", "tls", "login"],
            Self::Strict { .. } | Self::StrictTls12 => &["tls", "prelogin", "login"],
        }
    }

    /// Up to the end of a phase that starts where `rest` does.
    fn take(self, step: &str, rest: &mut &[Flight]) -> Result<u64> {
        match (step, self) {
            ("tls", Self::Strict { .. }) => take_strict_tls(rest),
            ("tls", Self::StrictTls12) => take_bare_tls(rest),
            ("tls", Self::WrappedTls13) => take_wrapped_tls13(rest),
            ("tls", _) => take_wrapped_tls(rest),
            _ => take_reply(rest),
        }
        .with_context(|| format!("no end of {step}"))
    }
}

/// A phase of a login: its name and when it ended.
pub type End = (&'static str, u64);

/// Several segments of one side in a row.
#[derive(Clone)]
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
    Ok(walk(segments, shape, shape.steps())?.0)
}

/// The same of a login that ends in the phase `last`, by the first FIN or RST of either side.
pub fn cut_phases(segments: &[Segment], shape: Shape, last: &'static str) -> Result<Vec<End>> {
    let steps = shape.steps();
    // Authentication comes after all of them.
    let complete = steps.iter().position(|step| *step == last);
    let complete = complete.unwrap_or(steps.len());
    let (mut ends, _) = walk(segments, shape, &steps[..complete])?;
    ends.push((last, leaving(segments)?.0));
    Ok(ends)
}

/// When the first FIN or RST and the last segment were sent, in nanoseconds from the first SYN.
pub fn leaving(segments: &[Segment]) -> Result<(u64, u64)> {
    let leaves = |segment: &&Segment| segment.fin() || segment.rst();
    let first = segments.iter().find(leaves).context("nobody leaves")?;
    let start = opening(segments)?;
    let last = segments.last().map_or(first.at_ns, |last| last.at_ns);
    Ok((first.at_ns - start, last - start))
}

/// When the first SYN was sent.
fn opening(segments: &[Segment]) -> Result<u64> {
    let start = segments.first().context("an empty capture")?;
    if !start.syn() || start.ack() {
        bail!("the capture does not start with a SYN");
    }
    Ok(start.at_ns)
}

/// The ends of the handshake and of `steps`, and the flights after them.
fn walk(
    segments: &[Segment],
    shape: Shape,
    steps: &[&'static str],
) -> Result<(Vec<End>, Vec<Flight>)> {
    let start = opening(segments)?;
    let handshake = segments
        .iter()
        .find(|segment| segment.from_client && segment.ack() && !segment.syn())
        .context("the handshake is not completed")?;
    let mut ends = vec![("handshake", handshake.at_ns - start)];
    let flights = match shape {
        Shape::Strict { tickets } => flights(&without_tickets(segments, tickets)),
        _ => flights(segments),
    };
    let mut rest = flights.as_slice();
    for step in steps {
        ends.push((step, shape.take(step, &mut rest)? - start));
    }
    Ok((ends, rest.to_vec()))
}

/// The end of the last of so many replies that follow the one to the login packet: one for each
/// round of authentication, or the answer to the first command.
pub fn last_reply(segments: &[Segment], rounds: usize, shape: Shape) -> Result<u64> {
    let (ends, rest) = walk(segments, shape, shape.steps())?;
    let mut end = ends.last().context("no phase")?.1;
    let mut rest = rest.as_slice();
    for _ in 0..rounds {
        end = take_reply(&mut rest)? - opening(segments)?;
    }
    Ok(end)
}

/// The segments without the server's first `count` records after the client finished TLS 1.3,
/// which are its session tickets.
fn without_tickets(segments: &[Segment], mut count: usize) -> Vec<Segment> {
    let mut hello = false;
    let mut finished = false;
    // What is left of the ticket at hand.
    let mut rest = 0;
    let mut kept = segments.to_vec();
    for segment in &mut kept {
        if segment.payload.is_empty() {
            continue;
        }
        finished |= hello && segment.from_client;
        hello |= !segment.from_client;
        while finished && !segment.from_client && !segment.payload.is_empty() {
            if rest == 0 {
                let [APPLICATION_DATA, _, _, high, low, ..] = segment.payload[..] else {
                    break;
                };
                if count == 0 {
                    break;
                }
                count -= 1;
                rest = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([high, low]));
            }
            let taken = rest.min(segment.payload.len());
            segment.payload.drain(..taken);
            rest -= taken;
        }
    }
    kept
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

/// Up to the client's answer to the server's hello. Where it is not wrapped it goes out before the
/// login does, in the first segment of the same flight.
fn take_wrapped_tls13(rest: &mut &[Flight]) -> Result<u64> {
    let handshake = *rest;
    let end = take_wrapped_tls(rest)?;
    let last = &handshake[handshake.len() - rest.len() - 1];
    if last.from_client {
        return Ok(end);
    }
    let finished = rest.first().context("no client finished")?;
    Ok(finished.first_ns)
}

/// Up to the last record that is no data, which in TLS 1.2 is the server's.
fn take_bare_tls(rest: &mut &[Flight]) -> Result<u64> {
    let is_data =
        |flight: &Flight| !TLS_RECORDS.contains(&flight.first) || flight.first == APPLICATION_DATA;
    let count = rest.iter().take_while(|flight| !is_data(flight)).count();
    let last = count.checked_sub(1).context("no TLS handshake")?;
    let end = rest[last].last_ns;
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
mod tests;
