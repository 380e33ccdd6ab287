//! What the agent sets before the programs are loaded.

/// Options of one load. They are constants to the kernel's verifier, which drops the branches
/// they rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Bytes of a login copied per direction before only headers are.
    pub login_bytes: u32,
    /// 1: tell request and response boundaries once the login is decided. 0: counters only.
    pub requests: u32,
    /// 1: never copy a client's bytes before the header that says what they are (the kernel).
    /// 0: they stay in this process anyway (replay).
    pub withhold_unframed: u32,
}

impl Config {
    /// The login budget when none is asked for: 16 KiB per direction.
    pub const LOGIN_BYTES: u32 = 16 * 1024;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            login_bytes: Self::LOGIN_BYTES,
            requests: 1,
            withhold_unframed: 1,
        }
    }
}
