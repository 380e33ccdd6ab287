//! Programs that tests and measurements load beside the agent's: what nothing costs, what a bare record
//! costs, and packets that go on by themselves. The agent's object has none of them.
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
mod trials {
    use aya_ebpf::{
        macros::{cgroup_skb, classifier, map},
        maps::{ProgramArray, RingBuf},
        programs::{SkBuffContext, TcContext},
    };
    use tracer_ebpf::event::Event;

    /// Goes on (`TC_ACT_UNSPEC`).
    const NEXT: i32 = -1;
    /// The packet passes.
    const PASS: i32 = 1;

    /// The program that a measurement goes on with.
    #[map]
    static TRIAL: ProgramArray = ProgramArray::with_max_entries(1, 0);

    /// Records that say nothing.
    #[map]
    static RECORDS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

    /// Does nothing, at an interface: what calling a program costs.
    #[classifier]
    pub fn tds_empty(_ctx: TcContext) -> i32 {
        NEXT
    }

    /// Moves a packet's sequence number on by its payload, then goes on with the program at hand: so a
    /// repeated packet is a new one each time. Ethernet and IPv4 without options.
    #[classifier]
    pub fn tds_advance(ctx: TcContext) -> i32 {
        let (data, end) = (ctx.data(), ctx.data_end());
        if data + 54 <= end {
            // SAFETY: just checked against the end of the packet.
            unsafe {
                let len = u16::from_be(*((data + 16) as *const u16));
                let seq = (data + 38) as *mut u32;
                let next = u32::from_be(*seq).wrapping_add(u32::from(len).wrapping_sub(40));
                *seq = next.to_be();
            }
        }
        // SAFETY: returns only where no program is there.
        unsafe { TRIAL.tail_call(&ctx, 0) };
        NEXT
    }

    /// Does nothing, at a socket.
    #[cgroup_skb]
    pub fn tds_socket_empty(_ctx: SkBuffContext) -> i32 {
        PASS
    }

    /// Lets a record out that is as long as an event: what no telling costs less than.
    #[cgroup_skb]
    pub fn tds_socket_bare(_ctx: SkBuffContext) -> i32 {
        if let Some(mut record) = RECORDS.reserve::<Event>(0) {
            record.write(Event::default());
            record.submit(0);
        }
        PASS
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
