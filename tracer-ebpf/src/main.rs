//! The kernel programs: classifiers on the interfaces, and hooks on the sockets. What they decide
//! is decided by the library; here is only where its bytes and its memory are.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// For the one instruction that adds and cannot be interrupted: `core` offers none for this machine.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    expect(unreachable_pub, reason = "the kernel finds programs by their symbols"),
    expect(
        clippy::inline_always,
        reason = "the verifier follows packet pointers only within one function"
    ),
    expect(
        clippy::needless_pass_by_value,
        reason = "the kernel calls a program with its context, which is a pointer"
    )
)]

#[cfg(target_arch = "bpf")]
mod programs;

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
