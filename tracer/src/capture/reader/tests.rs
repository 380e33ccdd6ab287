use proptest::prelude::*;

use super::*;
use crate::capture::test_files::{Owned, Pcap, PcapNg, in_trickles, packets};

const TIME_NS: u64 = 1_795_376_726_077_542_569;

fn read(bytes: &[u8]) -> (Vec<Owned>, Oddities) {
    packets(CaptureReader::new(bytes).unwrap())
}

fn error(bytes: &[u8]) -> ReadError {
    let mut reader = match CaptureReader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    loop {
        match reader.advance() {
            Ok(true) => {}
            Ok(false) => panic!("the capture was read to its end"),
            Err(error) => return error,
        }
    }
}

#[test]
fn pcap_is_read_in_either_byte_order_and_resolution() {
    for big_endian in [false, true] {
        for (fractions, expected) in [(1_000_000_000, TIME_NS), (1_000_000, TIME_NS / 1000 * 1000)]
        {
            let mut pcap = Pcap::new(big_endian, fractions, 276);
            pcap.cut_packet(TIME_NS, b"first", 1500);
            pcap.packet(TIME_NS + 1_000_000_000, b"second");
            let (packets, oddities) = read(&pcap.bytes);
            assert_eq!(packets.len(), 2);
            assert_eq!(packets[0].time_ns, expected);
            assert_eq!(packets[0].link, LinkType::LinuxSll2);
            assert_eq!(
                (packets[0].orig_len, &packets[0].data[..]),
                (1500, &b"first"[..])
            );
            assert_eq!(packets[1].time_ns, expected + 1_000_000_000);
            assert_eq!(packets[1].data, b"second");
            assert_eq!(oddities, Oddities::default());
        }
    }
}

#[test]
fn the_frame_check_sequence_bits_are_no_part_of_the_link_type() {
    let mut pcap = Pcap::new(false, 1_000_000, 0x4000_0001);
    pcap.packet(0, b"frame");
    assert_eq!(read(&pcap.bytes).0[0].link, LinkType::Ethernet);
}

#[test]
fn every_kind_of_pcapng_packet_is_read_in_either_byte_order() {
    for big_endian in [false, true] {
        let mut file = PcapNg::default();
        file.section(big_endian);
        file.block(0x0BAD, &[], b"a block nobody knows");
        file.interface(1, 0, &[(2, b"eth0")]);
        file.interface(113, 4, &[(9, &[9])]);
        file.enhanced(1, TIME_NS, b"enhanced");
        file.simple(b"simple", 6);
        file.obsolete(1, TIME_NS + 5, b"obsolete");
        file.enhanced(0, TIME_NS / 1000, b"in microseconds");
        let (packets, oddities) = read(&file.bytes);
        let seen: Vec<_> = packets
            .iter()
            .map(|packet| (packet.interface, packet.time_ns, &packet.data[..]))
            .collect();
        assert_eq!(
            seen,
            [
                (1, TIME_NS, &b"enhanced"[..]),
                (0, TIME_NS, b"simple"),
                (1, TIME_NS + 5, b"obsolete"),
                (0, TIME_NS / 1000 * 1000, b"in microseconds"),
            ]
        );
        assert_eq!(packets[3].name.as_deref(), Some("eth0"));
        assert_eq!(packets[0].name, None);
        assert_eq!(packets[0].link, LinkType::LinuxSll);
        let expected = Oddities {
            untimed: 1,
            ..Oddities::default()
        };
        assert_eq!(oddities, expected);
    }
}

#[test]
fn resolutions_and_offsets_are_the_interface_s_own() {
    let second = 1_000_000_000;
    for big_endian in [false, true] {
        let offset = |seconds: i64| {
            if big_endian {
                seconds.to_be_bytes()
            } else {
                seconds.to_le_bytes()
            }
        };
        for (resolution, seconds, units, expected) in [
            (9, 0, 1_000_000_007, second + 7),
            (6, 100, 1_000_001, 101 * second + 1000),
            (3, -1, 2_500, second + 500_000_000),
            (0, 0, 12, 12 * second),
            (12, 0, 1_000_000_007_999, second + 7),
            (0x8A, 0, 1024 + 512, second + 500_000_000),
            (0xA0, 1, 3 << 32, 4 * second),
            (6, -5, 1_000_000, 0),
        ] {
            let mut file = PcapNg::default();
            file.section(big_endian);
            file.interface(1, 0, &[(9, &[resolution]), (14, &offset(seconds))]);
            file.enhanced(0, units, b"packet");
            let (packets, _) = read(&file.bytes);
            assert_eq!(packets[0].time_ns, expected, "resolution {resolution:#x}");
        }
    }
}

#[test]
fn each_section_has_interfaces_and_a_byte_order_of_its_own() {
    let mut file = PcapNg::default();
    file.section(false);
    file.interface(1, 0, &[(2, b"first")]);
    file.interface(1, 0, &[(2, b"second")]);
    file.enhanced(1, 1, b"one");
    file.section(true);
    file.interface(101, 0, &[(2, b"third")]);
    file.enhanced(0, 2, b"two");
    let (packets, oddities) = read(&file.bytes);
    let seen: Vec<_> = packets
        .iter()
        .map(|packet| (packet.interface, packet.name.as_deref(), packet.link))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some("second"), LinkType::Ethernet),
            (2, Some("third"), LinkType::Raw)
        ]
    );
    assert_eq!(oddities, Oddities::default());
}

#[test]
fn a_simple_packet_is_as_long_as_the_snap_length_lets_it_be() {
    let mut file = PcapNg::default();
    file.section(false);
    file.interface(1, 5, &[]);
    file.simple(b"cut to five", 1500);
    let (packets, _) = read(&file.bytes);
    assert_eq!(
        (packets[0].orig_len, &packets[0].data[..]),
        (1500, &b"cut t"[..])
    );
}

#[test]
fn packets_of_an_undescribed_interface_are_counted_and_skipped() {
    let mut file = PcapNg::default();
    file.section(false);
    file.interface(1, 0, &[]);
    file.enhanced(3, 0, b"orphan");
    file.enhanced(0, 0, b"known");
    let (packets, oddities) = read(&file.bytes);
    assert_eq!(packets.len(), 1);
    assert_eq!(oddities.orphans, 1);
}

#[test]
fn a_block_nobody_needs_is_skipped_without_being_held() {
    let mut file = PcapNg::default();
    file.section(false);
    file.interface(1, 0, &[]);
    file.block(0x0BAD, &[], &vec![0; MAX_RECORD + 400]);
    file.enhanced(0, 0, b"behind it");
    assert_eq!(read(&file.bytes).0[0].data, b"behind it");
}

#[test]
fn a_file_that_ends_inside_a_packet_gives_the_whole_ones_and_says_so() {
    let mut pcap = Pcap::nanoseconds();
    pcap.packet(1, b"whole");
    let second_at = pcap.bytes.len() as u64;
    pcap.packet(2, b"broken");
    let mut file = PcapNg::default();
    file.section(false);
    file.interface(1, 0, &[]);
    file.enhanced(0, 1, b"whole");
    let block_at = file.bytes.len() as u64;
    file.enhanced(0, 2, b"broken");
    for (bytes, at) in [(pcap.bytes, second_at), (file.bytes, block_at)] {
        for missing in 1..(bytes.len() as u64 - at) {
            let cut = &bytes[..bytes.len() - missing as usize];
            let (packets, oddities) = read(cut);
            assert_eq!(packets.len(), 1);
            assert_eq!(oddities.truncated_at, Some(at));
        }
        let (packets, oddities) = read(&bytes[..at as usize]);
        assert_eq!((packets.len(), oddities.truncated_at), (1, None));
    }
}

#[test]
fn what_is_no_capture_is_told_from_what_is_cut_or_empty() {
    assert!(matches!(error(b""), ReadError::Empty));
    assert!(matches!(
        error(b"PK\x03\x04 an archive"),
        ReadError::NotACapture
    ));
    assert!(matches!(error(b"hi"), ReadError::NotACapture));
    let pcap = Pcap::nanoseconds().bytes;
    let mut file = PcapNg::default();
    file.section(true);
    for whole in [pcap, file.bytes] {
        for length in 1..whole.len() {
            let error = error(&whole[..length]);
            assert!(
                matches!(error, ReadError::TruncatedHeader),
                "{length}: {error}"
            );
        }
        assert!(read(&whole).0.is_empty());
    }
}

#[test]
fn a_record_that_contradicts_itself_is_damage_and_says_where() {
    let mut pcap = Pcap::nanoseconds();
    pcap.packet(1, b"good");
    let at = pcap.bytes.len() as u64;
    pcap.bytes.extend([0xFF; 64]);

    let mut short_block = PcapNg::default();
    short_block.section(false);
    let short_at = short_block.bytes.len() as u64;
    short_block
        .bytes
        .extend([1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);

    let mut two_lengths = PcapNg::default();
    two_lengths.section(false);
    two_lengths.interface(1, 0, &[]);
    let two_at = two_lengths.bytes.len() as u64;
    two_lengths.enhanced(0, 0, b"packet");
    *two_lengths.bytes.last_mut().unwrap() = 1;

    let mut long_packet = PcapNg::default();
    long_packet.section(false);
    long_packet.interface(1, 0, &[]);
    let long_at = long_packet.bytes.len() as u64;
    long_packet.block(6, &[0, 0, 0, 4096, 4096], b"short");

    for (bytes, expected) in [
        (pcap.bytes, at),
        (short_block.bytes, short_at),
        (two_lengths.bytes, two_at),
        (long_packet.bytes, long_at),
    ] {
        match error(&bytes) {
            ReadError::Damaged { offset, .. } => assert_eq!(offset, expected),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_source_in_trickles_reads_as_one_in_a_piece() {
    let mut pcap = Pcap::nanoseconds();
    for index in 0..200u8 {
        pcap.packet(u64::from(index), &[index; 77]);
    }
    let whole = read(&pcap.bytes);
    let trickled = packets(CaptureReader::new(in_trickles(pcap.bytes)).unwrap());
    assert_eq!(whole, trickled);
}

fn a_pcapng() -> Vec<u8> {
    let mut file = PcapNg::default();
    for big_endian in [false, true] {
        file.section(big_endian);
        file.interface(1, 96, &[(2, b"eth0"), (9, &[9]), (14, &[1; 8])]);
        file.enhanced(0, TIME_NS, b"enhanced");
        file.simple(b"simple", 6);
        file.obsolete(0, TIME_NS, b"obsolete");
        file.block(5, &[0, 0, 0], b"statistics");
    }
    file.bytes
}

/// Reads until the end or an error, and returns how many bytes of packets there were.
fn survey(bytes: &[u8]) -> usize {
    let Ok(mut reader) = CaptureReader::new(bytes) else {
        return 0;
    };
    let mut total = 0;
    while let Ok(Some(packet)) = reader.next() {
        total += packet.data.len();
    }
    total
}

proptest! {
    #[test]
    fn damage_anywhere_never_panics_and_never_invents_bytes(
        big_endian: bool,
        ng: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if ng {
            a_pcapng()
        } else {
            let mut pcap = Pcap::new(big_endian, 1_000_000, 1);
            pcap.packet(TIME_NS, b"first");
            pcap.packet(TIME_NS, b"second");
            pcap.bytes
        };
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        prop_assert!(survey(&bytes) <= bytes.len());
    }

    #[test]
    fn arbitrary_bytes_behind_a_magic_number_never_panic(
        magic in 0usize..6,
        tail in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let magic = PCAP_MAGICS.get(magic).unwrap_or(&SECTION_HEADER_BLOCK);
        let bytes = [&magic[..], &tail].concat();
        prop_assert!(survey(&bytes) <= bytes.len());
    }
}
