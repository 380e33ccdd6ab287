//! The programs that see which packets of watched connections the kernel throws away, and which it resets, and why: an
//! object of its own, since a kernel may lack what they need. The first is called for every packet that anybody drops: all
//! but those of reasons that are asked for, and of watched ports, are left after a look or two.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    expect(unreachable_pub, reason = "the kernel finds programs by their symbols"),
    expect(
        clippy::needless_pass_by_value,
        reason = "the kernel calls a program with its context, which is a pointer"
    )
)]

#[cfg(target_arch = "bpf")]
mod drops {
    #![expect(
        clippy::needless_borrows_for_generic_args,
        reason = "a map's key and value are passed by where they lie, as the kernel takes them"
    )]

    mod resets;

    use aya_ebpf::{
        Global,
        helpers::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel},
        macros::{map, raw_tracepoint},
        maps::{Array, LruHashMap},
        programs::RawTracePointContext,
    };
    use tracer_ebpf::{
        dropped::{Direction, Dropped, Layout, MOST, REASONS},
        key::mapped,
    };

    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86DD;
    const TCP: u8 = 6;
    /// Bits of the fragment field that are set where a packet has no ports: all but those that say what may be.
    const LATER_FRAGMENT: u16 = 0x1FFF;

    /// Where this kernel has what is read.
    #[unsafe(no_mangle)]
    static LAYOUT: Global<Layout> = Global::new(Layout {
        head: 0,
        network_header: 0,
        protocol: 0,
    });

    /// The reasons that are told, one bit each.
    #[unsafe(no_mangle)]
    static WANTED: Global<[u64; (REASONS / 64) as usize]> =
        Global::new([0; (REASONS / 64) as usize]);

    /// The watched ports, one bit each.
    #[map]
    static DROP_PORTS: Array<[u64; 1024]> = Array::with_max_entries(1, 0);

    /// What was dropped: the agent looks a connection up when it asks why that was slow.
    #[map]
    static DROPS: LruHashMap<Direction, Dropped> = LruHashMap::with_max_entries(MOST, 0);

    /// A packet is thrown away (`skb:kfree_skb`): the packet, where that happens, and why.
    #[raw_tracepoint(tracepoint = "kfree_skb")]
    pub fn tds_dropped(ctx: RawTracePointContext) -> i32 {
        let reason: u32 = ctx.arg(2);
        if is_told(reason) {
            let packet: *const u8 = ctx.arg(0);
            if let Some(direction) = direction(packet)
                && is_of_watched(&direction)
            {
                count(&DROPS, &direction, reason);
            }
        }
        0
    }

    fn is_told(reason: u32) -> bool {
        let wanted = WANTED.load();
        let bits = match reason / 64 {
            0 => wanted[0],
            1 => wanted[1],
            2 => wanted[2],
            3 => wanted[3],
            _ => 0,
        };
        bits >> (reason & 63) & 1 == 1
    }

    fn is_of_watched(direction: &Direction) -> bool {
        is_watched(direction.source_port) || is_watched(direction.destination_port)
    }

    fn is_watched(port: u16) -> bool {
        let Some(ports) = DROP_PORTS.get(0) else {
            return false;
        };
        ports[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }

    /// A value of the kernel's memory; the kernel itself checks that there is one.
    fn read<T>(at: u64) -> Option<T> {
        // SAFETY: the helper reads whatever address safely, and fails where nothing is.
        unsafe { bpf_probe_read_kernel(at as *const T) }.ok()
    }

    /// Whose packet it is; nothing where it is no whole one of TCP.
    #[inline(never)]
    fn direction(packet: *const u8) -> Option<Direction> {
        let (packet, layout) = (packet as u64, LAYOUT.load());
        let kind: u16 = read(packet + u64::from(layout.protocol))?;
        let head: u64 = read(packet + u64::from(layout.head))?;
        let offset: u16 = read(packet + u64::from(layout.network_header))?;
        let header = head + u64::from(offset);
        let (source, destination, ports) = match u16::from_be(kind) {
            IPV4 => {
                let first: [u8; 12] = read(header)?;
                let fragment = u16::from_be_bytes([first[6], first[7]]);
                if first[9] != TCP || fragment & LATER_FRAGMENT != 0 {
                    return None;
                }
                let [source, destination]: [u32; 2] = read(header + 12)?;
                let length = u64::from(first[0] & 15) * 4;
                (mapped(source), mapped(destination), header + length)
            }
            IPV6 => {
                let next: u8 = read(header + 6)?;
                if next != TCP {
                    return None;
                }
                let [source, destination]: [[u32; 4]; 2] = read(header + 8)?;
                (source, destination, header + 40)
            }
            _ => return None,
        };
        let [source_port, destination_port]: [u16; 2] = read(ports)?;
        Some(Direction {
            source,
            destination,
            source_port: u16::from_be(source_port),
            destination_port: u16::from_be(destination_port),
        })
    }

    #[inline]
    fn count(seen: &LruHashMap<Direction, Dropped>, direction: &Direction, reason: u32) {
        // SAFETY: takes no arguments.
        let now = unsafe { bpf_ktime_get_boot_ns() };
        // SAFETY: two that count at a time may lose one of them: it is the number that suffers.
        let before = unsafe { seen.get(direction) };
        let dropped = Dropped {
            first: before.map_or(now, |before| before.first),
            last: now,
            count: before.map_or(1, |before| before.count.saturating_add(1)),
            reason,
        };
        let _ = seen.insert(direction, &dropped, 0);
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The kernel offers some helpers to programs under the GPL only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
