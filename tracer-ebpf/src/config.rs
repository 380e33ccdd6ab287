//! What the agent sets before the programs are loaded.

/// Options of one load. They are constants to the kernel's verifier, which drops the branches
/// they rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Bytes of a login copied per direction before only headers are.
    pub login_bytes: u32,
    /// What becomes of requests and responses once the login is decided: see [`requests`].
    pub requests: u32,
    /// 1: never copy a client's bytes before the header that says what they are (the kernel).
    /// 0: they stay in this process anyway (replay).
    pub withhold_unframed: u32,
}

/// What becomes of requests and responses.
pub mod requests {
    /// Nothing: only bytes and packets are counted.
    pub const IGNORED: u32 = 0;
    /// They are counted, but for the first and those of MARS.
    pub const COUNTED: u32 = 1;
    /// Each is told.
    pub const TOLD: u32 = 2;
}

impl Config {
    /// The login budget when none is asked for: 16 KiB per direction.
    pub const LOGIN_BYTES: u32 = 16 * 1024;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            login_bytes: Self::LOGIN_BYTES,
            requests: requests::COUNTED,
            withhold_unframed: 1,
        }
    }
}
