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
