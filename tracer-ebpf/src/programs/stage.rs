//! The parts that a hook goes on with, each a program of its own.

/// What follows where there is something to tell, by its place in the map of programs.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Stage {
    Opening = 0,
    Login = 1,
    Command = 2,
    Ending = 3,
    Runs = 4,
}

impl Stage {
    /// How many there are.
    pub(super) const COUNT: u32 = 5;
}

/// Where the programs of candidates are, behind the stages of sockets: for packets on their way in, then out.
pub(super) const ASK: u32 = 2 * Stage::COUNT;
/// Where those are again that all packets go through first.
pub(super) const LOOK: u32 = ASK + 2;
/// Where those of datagrams are: on their way in, then out, then of what SQL Browser announces.
pub(super) const DATAGRAMS: u32 = LOOK + 2;
/// Where those of connections to other services are: on their way in, then out.
pub(super) const BESIDE: u32 = DATAGRAMS + 3;
/// How many programs there are for the packets of sockets.
pub(super) const ALL: u32 = BESIDE + 2;
