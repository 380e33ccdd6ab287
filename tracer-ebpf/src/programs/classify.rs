//! The classifiers: every packet of every watched interface passes here.

use aya_ebpf::{helpers::bpf_ktime_get_boot_ns, macros::classifier, programs::TcContext};
use tracer_ebpf::{
    bytes::Bytes,
    flow::{Flow, Point},
    loss::LossReason,
    observe::{self, Fate, Scene, Sighting},
    packet::{self, Link, Segment, Skip},
};

use super::{
    maps::{self, STAGES, Scratch},
    ring::Ring,
    skb::{Linear, Skb},
};

/// The packet goes on to the next program (`TC_ACT_UNSPEC`, which is also `TCX_NEXT`).
const NEXT: i32 = -1;
/// [`STAGES`]: tells what was found.
const TELL: u32 = 0;

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

/// Tells what the classifier found worth telling.
#[classifier]
pub fn tds_tell(ctx: TcContext) -> i32 {
    if let Some(scratch) = maps::scratch() {
        tell(&ctx, scratch);
    }
    NEXT
}

#[inline(always)]
fn network(ctx: &TcContext) -> Link {
    Link::Network(u16::from_be(ctx.skb.protocol() as u16))
}

#[inline(always)]
fn classify(ctx: &TcContext, link: Link, ingress: bool) -> Option<()> {
    let linear = Linear::of(ctx);
    let segment = walk(&linear, link)?;
    let scratch = maps::scratch()?;
    // SAFETY: the scratch memory is this processor's, and no other program uses it meanwhile.
    unsafe { (*scratch).segment = segment };
    // From here on the verifier knows nothing of the ways that led here, and walks on once.
    let scratch = core::hint::black_box(scratch);
    // SAFETY: as above; `find` writes to another part.
    let (segment, scratch) = unsafe { (&(*scratch).segment, &mut *scratch) };
    // SAFETY: reads the context.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let seen = Sighting {
        // SAFETY: takes no arguments.
        now: unsafe { bpf_ktime_get_boot_ns() },
        point: Point::new(ifindex, ingress),
    };
    let flow = find(segment, scratch, seen)?;
    let born = flow.born;
    let step = observe::account(flow, segment, seen, &maps::config(), || {
        maps::is_decided(&segment.key, born)
    });
    if !step.is_quiet() {
        scratch.seen = seen;
        scratch.step = step;
        // SAFETY: returns only where the other program is not there.
        unsafe { STAGES.tail_call(ctx, TELL) };
    }
    Some(())
}

/// The segment of a watched packet.
#[inline(always)]
fn walk<B: Bytes>(packet: &B, link: Link) -> Option<Segment> {
    match packet::walk(packet, link) {
        Ok(segment)
            if maps::is_watched(segment.source_port())
                || maps::is_watched(segment.destination_port()) =>
        {
            Some(segment)
        }
        Err(Skip::Fragment) => {
            maps::lose(LossReason::Fragment);
            None
        }
        _ => None,
    }
}

/// The connection of a segment; a new one where the segment opens it.
#[inline(always)]
fn find<'a>(segment: &Segment, scratch: &'a mut Scratch, seen: Sighting) -> Option<&'a mut Flow> {
    if let Some(flow) = maps::flow(&segment.key) {
        // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
        let flow = unsafe { &mut *flow };
        if !flow.is_reopened_by(segment) {
            return Some(flow);
        }
    }
    if !observe::opens_flow(segment) {
        return None;
    }
    scratch.flow = Flow::new(
        segment,
        maps::is_watched(segment.destination_port()),
        seen.now,
    );
    let flow = maps::remember(&segment.key, &scratch.flow)?;
    // SAFETY: as above.
    Some(unsafe { &mut *flow })
}

#[inline(always)]
fn tell(ctx: &TcContext, scratch: *mut Scratch) -> Option<()> {
    // SAFETY: the scratch memory is this processor's; the record is only written through `Ring`.
    let (segment, seen, step) = unsafe { (&(*scratch).segment, (*scratch).seen, (*scratch).step) };
    let flow = maps::flow(&segment.key)?;
    let mut scene = Scene {
        // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
        flow: unsafe { &mut *flow },
        segment,
        packet: &Skb::of(ctx),
        seen,
        step,
        // SAFETY: as above.
        runs: unsafe { &mut (*scratch).runs },
        config: &maps::config(),
        sink: &mut Ring {
            // SAFETY: as above.
            record: unsafe { &raw mut (*scratch).record },
        },
    };
    if observe::tell(&mut scene) == Fate::Forget {
        maps::forget(&segment.key);
    }
    Some(())
}
