//! The classifiers: every packet of every watched interface passes here.

use aya_ebpf::{EbpfContext as _, bindings::__sk_buff, macros::classifier, programs::TcContext};
use tracer_ebpf::{
    flow::{Flow, Point},
    loss::LossReason,
    packet::{self, Link, Segment, Skip},
};

use super::{
    clock::Clock,
    follow,
    hook::Hook,
    maps::{self, STAGES},
    passing,
    scratch::{self, Scratch},
    skb::Linear,
    stage::Stage,
    table::{self, Which},
    tallies::{self, Kept},
    tell,
    verdict::NEXT,
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

#[inline(always)]
fn network(ctx: &TcContext) -> Link {
    Link::Network(u16::from_be(ctx.skb.protocol() as u16))
}

#[inline(always)]
fn classify(ctx: &TcContext, link: Link, ingress: bool) -> Option<()> {
    // What most packets are: before anything that has to be laid on the stack.
    if packet::is_plainly_unwanted(&Linear::of(ctx.skb.skb), link, maps::is_either_watched) {
        return None;
    }
    let segment = walk(ctx, link)?;
    let scratch = scratch::take_classifiers()?;
    // SAFETY: the scratch memory is this packet's.
    unsafe { (*scratch).segment = segment };
    count(ctx, ingress, scratch);
    scratch::give_back_classifiers();
    Some(())
}

/// Counts and tells the packet that is in the scratch memory.
#[inline(always)]
fn count(ctx: &TcContext, ingress: bool, scratch: *mut Scratch) -> Option<()> {
    // From here on the verifier knows nothing of the ways that led here, and walks on once.
    let scratch = core::hint::black_box(scratch);
    // SAFETY: as above; `find` writes to another part.
    let (segment, scratch) = unsafe { (&(*scratch).segment, &mut *scratch) };
    // SAFETY: reads the context.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let may_open = |clock: &mut Clock| {
        maps::is_whole(ifindex) && (!passing::is_beside() || passing::opens(segment, clock))
    };
    let (flow, opened) = table::find(segment, scratch, which(), may_open)?;
    let mut point = Point::new(ifindex, ingress);
    if passing::is_beside() {
        point = point.beside_sockets();
    }
    follow::follow(&Packets(ctx), flow, opened, point, ingress, scratch);
    Some(())
}

/// Where the connections are.
#[inline(always)]
fn which() -> Which {
    if passing::is_beside() {
        Which::Passing
    } else {
        Which::Own
    }
}

/// The segment of a watched packet.
#[inline(always)]
fn walk(ctx: &TcContext, link: Link) -> Option<Segment> {
    for again in [false, true] {
        let linear = Linear::of(ctx.skb.skb);
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

/// A classifier at work.
struct Packets<'a>(&'a TcContext);

impl Hook for Packets<'_> {
    const FLOODS_OUT: bool = true;

    #[inline(always)]
    fn skb(&self) -> *mut __sk_buff {
        self.0.as_ptr().cast()
    }

    #[inline(always)]
    fn scratch(&self) -> Option<*mut Scratch> {
        scratch::of_classifiers()
    }

    #[inline(always)]
    fn flow(&self, scratch: &Scratch) -> Option<*mut Flow> {
        which().flow(&scratch.segment.key)
    }

    #[inline(always)]
    fn tally(&self, scratch: &Scratch, new: bool) -> *mut Kept {
        tallies::of_key(&scratch.segment.key, new)
    }

    #[inline(always)]
    fn forget(&self, scratch: &Scratch) {
        table::forget(which(), &scratch.segment.key);
    }

    #[inline(always)]
    fn is_told_elsewhere(&self, flow: &Flow, segment: &Segment, now: u64) -> bool {
        passing::is_beside() && passing::is_told(flow, segment, now)
    }

    #[inline(always)]
    fn go(&self, stage: Stage) {
        // SAFETY: returns only where the other program is not there.
        unsafe { STAGES.tail_call(self.0, stage as u32) };
        maps::lose(LossReason::Gone);
    }
}

/// The handshake, and repetitions.
#[classifier]
pub fn tds_opening(ctx: TcContext) -> i32 {
    tell::opening(&Packets(&ctx));
    scratch::give_back_classifiers();
    NEXT
}

/// A login's segment.
#[classifier]
pub fn tds_login(ctx: TcContext) -> i32 {
    tell::login(&Packets(&ctx));
    scratch::give_back_classifiers();
    NEXT
}

/// What a login's segment still has to tell.
#[classifier]
pub fn tds_runs(ctx: TcContext) -> i32 {
    tell::runs(&Packets(&ctx));
    scratch::give_back_classifiers();
    NEXT
}

/// A decided connection's message boundaries.
#[classifier]
pub fn tds_command(ctx: TcContext) -> i32 {
    tell::command(&Packets(&ctx));
    scratch::give_back_classifiers();
    NEXT
}

/// The connection's end.
#[classifier]
pub fn tds_ending(ctx: TcContext) -> i32 {
    tell::ending(&Packets(&ctx));
    scratch::give_back_classifiers();
    NEXT
}
