//! The classifiers: every packet of every watched interface passes here.

use aya_ebpf::{macros::classifier, programs::TcContext};
use tracer_ebpf::{
    flow::{Flow, Point, Rival, claim},
    loss::LossReason,
    observe::{self, Next, Opens, Sighting, command},
    packet::{self, Link, Segment, Skip},
};

use super::{
    NEXT, log,
    maps::{self, Scratch},
    skb::Linear,
    tell,
};

/// As much of a packet as holds its headers, but for rare extensions.
const HEADERS: u32 = 128;

/// Ethernet, on its way in.
#[classifier]
pub fn tds_ether_in(ctx: TcContext) -> i32 {
    classify(&ctx, Link::Ethernet, true);
    NEXT
}

/// Ethernet, on its way out.
#[classifier]
pub fn tds_ether_out(ctx: TcContext) -> i32 {
    classify(&ctx, Link::Ethernet, false);
    NEXT
}

/// No link header, on its way in.
#[classifier]
pub fn tds_ip_in(ctx: TcContext) -> i32 {
    classify(&ctx, network(&ctx), true);
    NEXT
}

/// No link header, on its way out.
#[classifier]
pub fn tds_ip_out(ctx: TcContext) -> i32 {
    classify(&ctx, network(&ctx), false);
    NEXT
}

/// Does nothing: what calling a program costs.
#[classifier]
pub fn tds_empty(_ctx: TcContext) -> i32 {
    NEXT
}

/// Moves a packet's sequence number on by its payload, then goes on with the program at hand: so a
/// repeated packet is a new one each time. For measurements; Ethernet and IPv4 without options.
#[classifier]
pub fn tds_advance(ctx: TcContext) -> i32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + 54 <= end {
        // SAFETY: just checked against the end of the packet.
        unsafe {
            let len = u16::from_be(*((data + 16) as *const u16));
            let seq = (data + 38) as *mut u32;
            let next = u32::from_be(*seq).wrapping_add(u32::from(len).wrapping_sub(40));
            *seq = next.to_be();
        }
    }
    // SAFETY: returns only where no program is there.
    unsafe { maps::TRIAL.tail_call(&ctx, 0) };
    NEXT
}

#[inline(always)]
fn network(ctx: &TcContext) -> Link {
    Link::Network(u16::from_be(ctx.skb.protocol() as u16))
}

#[inline(always)]
fn classify(ctx: &TcContext, link: Link, ingress: bool) -> Option<()> {
    // What most packets are: before anything that has to be laid on the stack.
    if packet::is_plainly_unwanted(&Linear::of(ctx), link, maps::is_either_watched) {
        return None;
    }
    let segment = walk(ctx, link)?;
    let scratch = maps::scratch()?;
    // SAFETY: the scratch memory is this processor's, and no other program uses it meanwhile.
    unsafe { (*scratch).segment = segment };
    // From here on the verifier knows nothing of the ways that led here, and walks on once.
    let scratch = core::hint::black_box(scratch);
    // SAFETY: as above; `find` writes to another part.
    let (segment, scratch) = unsafe { (&(*scratch).segment, &mut *scratch) };
    // SAFETY: reads the context.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let (flow, opened) = find(segment, ifindex, scratch)?;
    let seen = Sighting {
        now: match opened {
            Some(now) => now,
            None if observe::is_timely(flow, segment) => scratch.clock.read(),
            None => scratch.clock.glance(),
        },
        point: Point::new(ifindex, ingress),
    };
    let born = flow.born;
    let step = &mut scratch.step;
    observe::account(
        flow,
        segment,
        seen,
        &maps::config(),
        || maps::is_decided(&segment.key, born),
        step,
    );
    if matches!(step.next, Next::Command) {
        // What is behind the linear part is left to the program that reads through the kernel.
        command::skim(flow, segment, &Linear::of(ctx), step);
    }
    if step.is(observe::found::STRANGE) {
        maps::lose(LossReason::OutOfWindow);
    }
    if !step.is_quiet() {
        scratch.seen = seen;
        scratch.record.ingress = u32::from(ingress);
        tell::first(ctx, &scratch.step);
    }
    Some(())
}

/// The segment of a watched packet.
#[inline(always)]
fn walk(ctx: &TcContext, link: Link) -> Option<Segment> {
    for again in [false, true] {
        let linear = Linear::of(ctx);
        match packet::walk_if(&linear, link, maps::is_either_watched) {
            Ok(segment) => return Some(segment),
            Err(Skip::NotTcp) => return None,
            Err(Skip::Fragment) => maps::lose(LossReason::Fragment),
            Err(Skip::ChainTooLong) => maps::lose(LossReason::HeaderChainTooLong),
            Err(Skip::Unreadable) => {
                // Headers that are not linear are made so, once.
                if !again
                    && linear.is_partial()
                    && ctx.skb.pull_data(HEADERS.min(ctx.len())).is_ok()
                {
                    continue;
                }
                if linear.is_partial() {
                    maps::lose(LossReason::HeaderUnreadable);
                }
            }
        }
        return None;
    }
    None
}

/// The connection of a segment, if it is to a watched port; a new one where the segment opens it, and
/// when: the clock is read once for both.
#[inline(always)]
fn find<'a>(
    segment: &Segment,
    ifindex: u32,
    scratch: &mut Scratch,
) -> Option<(&'a mut Flow, Option<u64>)> {
    let mut rival = Rival::default();
    if let Some(flow) = maps::flow(&segment.key) {
        // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
        let flow = unsafe { &mut *flow };
        if !flow.is_reopened_by(segment) {
            return (flow.foreign == 0).then_some((flow, None));
        }
        rival = flow.rival;
    }
    let from_watched = maps::is_watched(segment.source_port());
    let to_watched = maps::is_watched(segment.destination_port());
    let to_server = match observe::opens(segment, from_watched, to_watched) {
        Opens::Nothing => return None,
        Opens::Watched { to_server } => Some(to_server),
        Opens::Foreign => None,
    };
    if !maps::is_whole(ifindex) {
        return None;
    }
    let now = scratch.clock.read();
    scratch.flow = Flow::new(segment, to_server == Some(true), now);
    scratch.flow.foreign = u8::from(to_server.is_none());
    if segment.has(packet::tcp_flag::ACK) && rival.claim != claim::NONE {
        scratch.flow.follow(&rival);
    }
    let flow = maps::remember(&segment.key, &scratch.flow)?;
    to_server?;
    log::remembered(segment);
    // SAFETY: as above.
    Some((unsafe { &mut *flow }, Some(now)))
}
