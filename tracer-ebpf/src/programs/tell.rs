//! What follows where a classifier found something to tell: one program for each part, so that the
//! kernel's verifier walks each part once and the parts share no stack.

use aya_ebpf::{macros::classifier, programs::TcContext};
use tracer_ebpf::observe::{
    self, Fate, Next, Scene, Step, command,
    login::{self, Turn},
};

use super::{
    NEXT,
    maps::{self, STAGES, Scratch},
    ring::Ring,
    skb::Skb,
};

/// The parts, by their place in [`STAGES`].
#[derive(Clone, Copy)]
#[repr(u32)]
enum Stage {
    Opening = 0,
    Login = 1,
    Command = 2,
    Ending = 3,
    Runs = 4,
}

/// Goes on with the first part that a step needs. Returns where there is none.
#[inline(always)]
pub(super) fn first(ctx: &TcContext, step: &Step) {
    if step.opens() {
        go(ctx, Stage::Opening);
    } else {
        payload(ctx, step);
    }
}

#[inline(always)]
fn payload(ctx: &TcContext, step: &Step) {
    match step.next {
        Next::Login => go(ctx, Stage::Login),
        Next::Command => go(ctx, Stage::Command),
        Next::Copy | Next::Nothing => ending(ctx, step),
    }
}

#[inline(always)]
fn ending(ctx: &TcContext, step: &Step) {
    if step.ends() {
        go(ctx, Stage::Ending);
    }
}

#[inline(always)]
fn go(ctx: &TcContext, stage: Stage) {
    // SAFETY: returns only where the other program is not there; then there is nothing to undo.
    unsafe { STAGES.tail_call(ctx, stage as u32) };
}

/// The handshake, and repetitions.
#[classifier]
pub fn tds_opening(ctx: TcContext) -> i32 {
    stage(&ctx, |scene| {
        observe::opening(scene);
        payload(&ctx, scene.step);
    });
    NEXT
}

/// A login's segment.
#[classifier]
pub fn tds_login(ctx: TcContext) -> i32 {
    stage(&ctx, |scene| {
        // A login's segment may need several turns, the walk of which the scratch memory keeps.
        match login::tell(scene) {
            Turn::Walk => go(&ctx, Stage::Login),
            turn => after(&ctx, scene.step, turn),
        }
    });
    NEXT
}

/// What a login's segment still has to tell.
#[classifier]
pub fn tds_runs(ctx: TcContext) -> i32 {
    stage(&ctx, |scene| {
        let turn = login::tell_runs(scene, login::RECORDS_A_TURN);
        after(&ctx, scene.step, turn);
    });
    NEXT
}

#[inline(always)]
fn after(ctx: &TcContext, step: &Step, turn: Turn) {
    match turn {
        Turn::Walk => {}
        Turn::Runs => go(ctx, Stage::Runs),
        Turn::Command => go(ctx, Stage::Command),
        Turn::Nothing => ending(ctx, step),
    }
}

/// A decided connection's message boundaries.
#[classifier]
pub fn tds_command(ctx: TcContext) -> i32 {
    stage(&ctx, |scene| {
        if command::tell(scene) {
            go(&ctx, Stage::Command);
        }
        ending(&ctx, scene.step);
    });
    NEXT
}

/// The connection's end.
#[classifier]
pub fn tds_ending(ctx: TcContext) -> i32 {
    stage(&ctx, |scene| {
        if observe::ending(scene) == Fate::Forget {
            maps::forget(&scene.segment.key);
        }
    });
    NEXT
}

/// Sets the scene that the classifier left in the scratch memory.
#[inline(always)]
fn stage<'a>(ctx: &'a TcContext, part: impl FnOnce(&mut Scene<'_, Skb<'a>, Ring>)) -> Option<()> {
    let scratch: *mut Scratch = maps::scratch()?;
    // SAFETY: the scratch memory is this processor's, and each part of it is borrowed once.
    let scratch = unsafe { &mut *scratch };
    let flow = maps::flow(&scratch.segment.key)?;
    let mut scene = Scene {
        // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
        flow: unsafe { &mut *flow },
        segment: &scratch.segment,
        packet: &Skb::of(ctx),
        seen: scratch.seen,
        step: &mut scratch.step,
        runs: &mut scratch.runs,
        config: &maps::config(),
        sink: &mut Ring {
            record: &raw mut scratch.record,
        },
    };
    part(&mut scene);
    Some(())
}
