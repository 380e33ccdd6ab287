//! The exit status: 0 where everything was done, else one of these.

/// Part of what was asked for was done.
pub(crate) const PARTIAL: u8 = 1;

/// Nothing could be done: the request, or this host, does not allow it.
pub(crate) const UNUSABLE: u8 = 2;

/// Nothing could be done for now: what is in the way may be gone the next time (sysexits(3), `EX_TEMPFAIL`).
pub(crate) const FOR_NOW: u8 = 75;
