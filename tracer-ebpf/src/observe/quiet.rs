//! Most packets of a decided connection bring what was expected next, and nothing of it is told: a few
//! comparisons say so, before a packet is walked.

use crate::{
    flow::{Flow, Point, claim, decided},
    packet::{
        Plain,
        tcp_flag::{ACK, FIN, RST, SYN},
    },
    seq::Seq,
};

/// Counts a segment of side `a` of the key, or of side `b`, as [`super::account()`] does, if it is a quiet
/// one; whether it is. It is not if anything is to be told of it, or if it is out of the ordinary in any way:
/// then nothing was counted.
#[inline(always)]
pub fn is_quiet(
    flow: &mut Flow,
    from_a: bool,
    segment: &Plain,
    point: Point,
    now: impl FnOnce() -> u64,
) -> bool {
    let direction = flow.direction_from(from_a);
    let peer = flow.half(direction.reversed());
    let peer_waits = peer.sent.keep_alives | u32::from(peer.sent.repeats) != 0;
    let peer_ends = peer.fin;
    if segment.flags & (SYN | FIN | RST | ACK) != ACK
        || segment.window == 0
        || flow.decided == decided::NO
        || flow.established == 0
        || flow.reset | peer_ends != 0
        || peer_waits
        || flow.rival.claim != claim::NONE
        || flow.answer.time != 0
    {
        return false;
    }
    let half = flow.half(direction);
    if half.point != point
        || half.synced == 0
        || half.fin != 0
        || half.sent.acked_at == 0
        || segment.seq.0 != half.next_seq.0
        || !half.holes.are_none()
    {
        return false;
    }
    let end = segment.seq.add(segment.payload_len);
    let goes_on = half.framed != 0 && half.end_open == 0 && half.next_header.after(end);
    if segment.payload_len != 0 && !goes_on {
        return false;
    }
    half.sent.packets = half.sent.packets.wrapping_add(1);
    half.window = segment.window;
    half.sent.shut = 0;
    let is_news = segment.ack.after(half.acked);
    if segment.payload_len == 0 && !is_news {
        return true;
    }
    let now = now();
    if is_news {
        half.acked = Seq(segment.ack.0);
        half.sent.acked_at = now;
    }
    if segment.payload_len != 0 {
        half.next_seq = end;
        half.sent.bytes = half.sent.bytes.wrapping_add(u64::from(segment.payload_len));
        half.sent.last_data = now;
    }
    true
}
