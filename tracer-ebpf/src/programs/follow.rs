//! A packet of a connection that is known by now: what every hook does with it.

use tracer_ebpf::{
    flow::{Flow, Point},
    loss::LossReason,
    observe::{self, Next, Sighting, command, found},
    packet::tcp_flag,
};

use super::{flood, hook::Hook, maps, scratch::Scratch, skb::Linear, tell};

/// Counts the packet that is in the scratch memory, and goes on where there is something to tell. It
/// `opened` the connection then, if it did.
#[inline(always)]
pub(super) fn follow<H: Hook>(
    hook: &H,
    flow: &mut Flow,
    opened: Option<u64>,
    point: Point,
    ingress: bool,
    scratch: &mut Scratch,
) {
    let segment = &scratch.segment;
    let now = match opened {
        Some(now) => now,
        None if observe::is_timely(flow, segment) => scratch.clock.read(),
        None => scratch.clock.glance(),
    };
    let seen = Sighting { now, point };
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
    if step.is(found::RELEASED) {
        maps::find_again(LossReason::SynHeld);
    }
    let is_own_syn = !ingress && !H::FLOODS_OUT && !segment.has(tcp_flag::ACK);
    if !is_own_syn
        && observe::is_of_flood(flow, segment)
        && !flood::may_tell_syn(now)
        && observe::hold(flow, segment, seen, step)
    {
        maps::lose(LossReason::SynHeld);
    }
    if matches!(step.next, Next::Command) {
        // What is behind the linear part is left to the program that reads through the kernel.
        command::skim(flow, segment, &Linear::of(hook.skb()), step);
    }
    if step.is(found::STRANGE) {
        maps::lose(LossReason::OutOfWindow);
    }
    if !step.is_quiet() && !hook.is_told_elsewhere(flow, segment, now) {
        scratch.seen = seen;
        scratch.born = born;
        scratch.record.ingress = u32::from(ingress);
        match observe::lone(flow, &scratch.step) {
            Some(kind) => tell::lone(hook, flow, scratch, kind),
            None => tell::first(hook, &scratch.step),
        }
    }
}
