//! The four login sequences the database's vendor published, as captures.
//!
//! `fixtures/sequences/login-sequences.json` holds what was published: every frame's time,
//! addresses, and what of its headers was printed. Payloads were not, nor were segments that carry
//! none of the story; they are made up here after MS-TDS, MC-SMP and RFC 5246, and every printed
//! sequence and acknowledgement number is checked against what the made-up payloads add up to.

mod frames;
mod payload;
mod tls;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, Result};

use self::{
    frames::{Frame, Scenario},
    payload::{Conversation, Message},
    wire::{Segment, Trace},
};

/// The published sequences by name.
pub const NAMES: [&str; 4] = ["sql-auth", "kerberos", "ntlm", "mars"];

/// When the traces' clock starts: 2020-01-01T00:00:00Z. Only offsets were published.
pub const EPOCH_S: u64 = 1_577_836_800;

/// Where the generated captures and what they are generated from are kept.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/sequences")
}

/// The capture of one published sequence: pcap, nanoseconds, Ethernet.
pub fn capture(name: &str) -> Result<Vec<u8>> {
    let scenario = frames::load(&folder().join("login-sequences.json"), name)?;
    let mut conversation = Conversation::new(&scenario).context("no such sequence")?;
    let mut trace = Trace::new(&scenario);
    for (index, frame) in scenario.frames.iter().enumerate() {
        for segment in segments(&scenario, index, &mut conversation) {
            trace.push(&segment);
        }
        let segment = Segment {
            time_ns: frame.time_ns,
            from_client: scenario.is_from_client(frame),
            flags: frame.flags,
            payload: conversation.payload(frame, &scenario),
            window: frame.window,
        };
        trace
            .push_published(&segment, frame)
            .with_context(|| format!("{name}, frame {}", frame.number))?;
    }
    Ok(trace.into_pcap())
}

/// The unpublished segments in front of a published frame.
fn segments(scenario: &Scenario, index: usize, conversation: &mut Conversation) -> Vec<Segment> {
    let frame = &scenario.frames[index];
    match frame.kind.as_str() {
        // Published is the segment that completed the packet; those before it went out with it.
        "tds_data_reassembled" => conversation
            .login_segments_before_last()
            .into_iter()
            .map(|payload| Segment::data(frame.time_ns, true, payload))
            .collect(),
        "tds_response" if frame.phase == "mars_ack" => {
            let begins_ns = scenario.frames[index - 1].time_ns;
            rounds(begins_ns, frame, conversation)
        }
        "tds_response_continued" if frame.number == published::FIRST_CONTINUED => {
            let begins_ns = scenario.frames[index - 1].time_ns;
            let halfway_ns = begins_ns + (frame.time_ns - begins_ns) / 200 * 100;
            let payload = conversation.message(Message::Continued);
            vec![Segment::data(halfway_ns, false, payload)]
        }
        _ => Vec::new(),
    }
}

/// The requests and responses between the second request and the last response, evenly spread: the
/// published acknowledgement counts 34 requests and 36 packets of response.
fn rounds(begins_ns: u64, last: &Frame, conversation: &mut Conversation) -> Vec<Segment> {
    let unpublished = published::ROUNDS * 2;
    let step_ns = (last.time_ns - begins_ns) / (unpublished + 1) / 100 * 100;
    (0..unpublished)
        .map(|turn| {
            let from_client = turn % 2 == 1;
            let message = if from_client {
                Message::Request
            } else {
                Message::Response
            };
            let payload = conversation.message(message);
            Segment::data(begins_ns + (turn + 1) * step_ns, from_client, payload)
        })
        .collect()
}

/// What the published MARS session's acknowledgement tells about what was not published.
mod published {
    /// Requests 3 to 34.
    pub(super) const ROUNDS: u64 = 32;
    /// Frame 40876; the packet between it and 40874 makes 36.
    pub(super) const FIRST_CONTINUED: u64 = 40_876;
}
