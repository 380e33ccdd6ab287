//! What every program answers: that the packet goes on, whatever was seen of it.

/// At a socket. Anything else would drop the packet, or tell its sender that the way is crowded.
pub(super) const PASS: i32 = 1;
/// At an interface: on to the next program (`TC_ACT_UNSPEC`, which is also `TCX_NEXT`).
pub(super) const NEXT: i32 = -1;
