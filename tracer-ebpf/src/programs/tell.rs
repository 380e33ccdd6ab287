//! What follows where a hook found something to tell: one program for each part, so that the kernel's
//! verifier walks each part once and the parts share no stack.

use core::ptr;

use aya_ebpf::bindings::__sk_buff;
use tracer_ebpf::{
    event::Kind,
    flow::Flow,
    loss::LossReason,
    observe::{
        self, Fate, Needs, Next, Scene, Step,
        login::{self, Turn},
    },
};

use super::{
    hook::Hook, maps, ring::Ring, scratch::Scratch, skb::Skb, stage::Stage, tallies::Kept,
};

/// The connection is over by a lone event.
const OVER: u32 = 1;
/// There was no room for it.
const FULL: u32 = 2;

/// Tells the event that is all there is to tell of the packet that is in the scratch memory.
#[inline(always)]
pub(super) fn lone<H: Hook>(hook: &H, flow: &mut Flow, scratch: &mut Scratch, kind: Kind) {
    // SAFETY: both are this packet's.
    let came_of = unsafe { lone_apart(hook.skb(), flow, scratch, kind) };
    if came_of & FULL != 0 {
        maps::lose(LossReason::RingFull);
    }
    if came_of & OVER != 0 {
        hook.forget(scratch);
    }
}

/// Apart, and calls nothing but the kernel's own: where packets are counted there is little room on the stack.
///
/// # Safety
/// The memory is this packet's, and the flow a map's value that is written nowhere else meanwhile.
#[inline(never)]
unsafe fn lone_apart(
    skb: *mut __sk_buff,
    flow: *mut Flow,
    scratch: *mut Scratch,
    kind: Kind,
) -> u32 {
    // SAFETY: by the caller; each part of the memory is borrowed once.
    let (flow, scratch) = unsafe { (&mut *flow, &mut *scratch) };
    let mut ring = Ring {
        record: &raw mut scratch.record,
        tally: ptr::null_mut(),
        is_full: false,
    };
    let mut scene = Scene {
        flow,
        segment: &scratch.segment,
        packet: &Skb::of(skb),
        seen: scratch.seen,
        step: &mut scratch.step,
        runs: &mut scratch.runs,
        config: &maps::config(),
        sink: &mut ring,
    };
    let over = match observe::tell_lone(&mut scene, kind) {
        Fate::Forget => OVER,
        Fate::Keep => 0,
    };
    let full = if ring.is_full { FULL } else { 0 };
    over | full
}

/// Goes on with the first part that a step needs. Returns where there is none.
#[inline(always)]
pub(super) fn first<H: Hook>(hook: &H, step: &Step) {
    if step.opens() {
        hook.go(Stage::Opening);
    } else {
        payload(hook, step);
    }
}

#[inline(always)]
fn payload<H: Hook>(hook: &H, step: &Step) {
    match step.next {
        Next::Login => hook.go(Stage::Login),
        Next::Command => hook.go(Stage::Command),
        Next::Copy | Next::Nothing => end(hook, step),
    }
}

#[inline(always)]
fn end<H: Hook>(hook: &H, step: &Step) {
    if step.ends() {
        hook.go(Stage::Ending);
    }
}

/// The handshake, and repetitions.
#[inline(always)]
pub(super) fn opening<H: Hook>(hook: &H) {
    stage(hook, |scene| {
        observe::opening(scene);
        payload(hook, scene.step);
    });
}

/// A login's segment.
#[inline(always)]
pub(super) fn login<H: Hook>(hook: &H) {
    stage(hook, |scene| {
        // A login's segment may need several turns, the walk of which the scratch memory keeps.
        match login::tell(scene) {
            Turn::Walk => hook.go(Stage::Login),
            turn => after(hook, scene.step, turn),
        }
    });
}

/// What a login's segment still has to tell.
#[inline(always)]
pub(super) fn runs<H: Hook>(hook: &H) {
    stage(hook, |scene| {
        let turn = login::tell_runs(scene, login::RECORDS_A_TURN);
        after(hook, scene.step, turn);
    });
}

#[inline(always)]
fn after<H: Hook>(hook: &H, step: &Step, turn: Turn) {
    match turn {
        Turn::Walk => {}
        Turn::Runs => hook.go(Stage::Runs),
        Turn::Command => hook.go(Stage::Command),
        Turn::Nothing => end(hook, step),
    }
}

/// A decided connection's message boundaries.
#[inline(always)]
pub(super) fn command<H: Hook>(hook: &H) {
    counting_stage(hook, |scene| {
        if observe::command::tell(scene) {
            hook.go(Stage::Command);
        }
        end(hook, scene.step);
    });
}

/// The connection's end.
#[inline(always)]
pub(super) fn ending<H: Hook>(hook: &H) {
    let over = counting_stage(hook, |scene| observe::ending(scene) == Fate::Forget);
    if over == Some(true)
        && let Some(scratch) = hook.scratch()
    {
        // SAFETY: the scratch memory is this packet's.
        hook.forget(unsafe { &*scratch });
    }
}

/// Sets the scene that the hook left in the scratch memory.
#[inline(always)]
fn stage<T, H: Hook>(hook: &H, part: impl FnOnce(&mut Scene<'_, Skb, Ring>) -> T) -> Option<T> {
    set(hook, |_, _| ptr::null_mut(), part)
}

/// The same for a part that may count requests.
#[inline(always)]
fn counting_stage<T, H: Hook>(
    hook: &H,
    part: impl FnOnce(&mut Scene<'_, Skb, Ring>) -> T,
) -> Option<T> {
    let tally = |flow: &Flow, scratch: &Scratch| match observe::needs_tally(
        flow,
        &scratch.step,
        &maps::config(),
    ) {
        Needs::Nothing => ptr::null_mut(),
        Needs::New => hook.tally(scratch, true),
        Needs::Own => hook.tally(scratch, false),
    };
    set(hook, tally, part)
}

#[inline(always)]
fn set<T, H: Hook>(
    hook: &H,
    tally: impl FnOnce(&Flow, &Scratch) -> *mut Kept,
    part: impl FnOnce(&mut Scene<'_, Skb, Ring>) -> T,
) -> Option<T> {
    let scratch = hook.scratch()?;
    // SAFETY: the scratch memory is this packet's, and each part of it is borrowed once.
    let scratch = unsafe { &mut *scratch };
    // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
    let flow = hook.flow(scratch).map(|flow| unsafe { &mut *flow });
    // Its place in the table may be another's by now.
    let Some(flow) = flow.filter(|flow| flow.born == scratch.born) else {
        maps::lose(LossReason::Gone);
        return None;
    };
    let tally = tally(flow, scratch);
    let mut scene = Scene {
        flow,
        segment: &scratch.segment,
        packet: &Skb::of(hook.skb()),
        seen: scratch.seen,
        step: &mut scratch.step,
        runs: &mut scratch.runs,
        config: &maps::config(),
        sink: &mut Ring {
            record: &raw mut scratch.record,
            tally,
            is_full: false,
        },
    };
    Some(part(&mut scene))
}
