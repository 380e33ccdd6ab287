//! Arbitrary bytes as a packet: the segment that is found lies within it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer_ebpf::{
    bytes::Snapped,
    packet::{Link, ethertype, walk},
};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (link, cut, kept) = input;
    let link = match link % 4 {
        0 => Link::Ethernet,
        1 => Link::Network(ethertype::IPV4),
        2 => Link::Network(ethertype::IPV6),
        _ => Link::Network(cut),
    };
    let bytes = Snapped {
        kept,
        wire_len: kept.len() as u32 + u32::from(cut),
    };
    if let Ok(segment) = walk(&bytes, link) {
        // The IP header's own length may promise more than there is; never more than it can say.
        let most = u32::from(u16::MAX).max(bytes.wire_len);
        assert!(segment.payload_len <= most, "{segment:?}");
        assert!(
            segment.payload_at as usize <= kept.len() + 40,
            "{segment:?}"
        );
    }
});
