//! Resets that the kernel sends, and why (Linux 6.10).

use aya_ebpf::{
    Global,
    macros::{map, raw_tracepoint},
    maps::LruHashMap,
    programs::RawTracePointContext,
};
use tracer_ebpf::{
    dropped::{Direction, Dropped, MOST, SocketLayout},
    key::mapped,
};

use super::{count, direction, is_of_watched, read};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Where this kernel has what is read.
#[unsafe(no_mangle)]
static SOCKET: Global<SocketLayout> = Global::new(SocketLayout {
    family: 0,
    here4: 0,
    there4: 0,
    here6: 0,
    there6: 0,
    local_port: 0,
    remote_port: 0,
});

/// What was reset, by the way that the reset goes.
#[map]
static RESETS: LruHashMap<Direction, Dropped> = LruHashMap::with_max_entries(MOST, 0);

/// A reset is sent (`tcp:tcp_send_reset`): by which socket, in answer to which packet, if to one, and why.
#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn tds_reset(ctx: RawTracePointContext) -> i32 {
    let socket: *const u8 = ctx.arg(0);
    let packet: *const u8 = ctx.arg(1);
    let reason: u32 = ctx.arg(2);
    let sent = if packet.is_null() {
        of_socket(socket)
    } else {
        direction(packet).map(Direction::reversed)
    };
    if let Some(sent) = sent
        && is_of_watched(&sent)
    {
        count(&RESETS, &sent, reason);
    }
    0
}

/// From a socket to its peer.
#[inline(never)]
fn of_socket(socket: *const u8) -> Option<Direction> {
    let (socket, layout) = (socket as u64, SOCKET.load());
    let at = |place: u32| socket + u64::from(place);
    let (source, destination) = match read::<u16>(at(layout.family))? {
        AF_INET => (
            mapped(read(at(layout.here4))?),
            mapped(read(at(layout.there4))?),
        ),
        AF_INET6 => (read(at(layout.here6))?, read(at(layout.there6))?),
        _ => return None,
    };
    Some(Direction {
        source,
        destination,
        source_port: u16::from_be(read(at(layout.local_port))?),
        destination_port: u16::from_be(read(at(layout.remote_port))?),
    })
}
