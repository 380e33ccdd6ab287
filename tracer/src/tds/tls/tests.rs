use super::*;

const CLIENT_1: &[u8] = include_bytes!("../samples/tls12_client_1.bin");
const CLIENT_2: &[u8] = include_bytes!("../samples/tls12_client_2.bin");
const SERVER_1: &[u8] = include_bytes!("../samples/tls12_server_1.bin");
const SERVER_2: &[u8] = include_bytes!("../samples/tls12_server_2.bin");
const RESUMED_CLIENT: &[u8] = include_bytes!("../samples/tls12_resumed_client.bin");
const RESUMED_SERVER: &[u8] = include_bytes!("../samples/tls12_resumed_server.bin");
const STRICT_CLIENT: &[u8] = include_bytes!("../samples/tls13_client.bin");
const STRICT_SERVER: &[u8] = include_bytes!("../samples/tls13_server.bin");
const RESUMED_13_CLIENT: &[u8] = include_bytes!("../samples/tls13_resumed_client.bin");
const RESUMED_13_SERVER: &[u8] = include_bytes!("../samples/tls13_resumed_server.bin");
const RETRY_CLIENT: &[u8] = include_bytes!("../samples/tls13_retry_client.bin");
const RETRY_SERVER: &[u8] = include_bytes!("../samples/tls13_retry_server.bin");
const ALERT_SERVER: &[u8] = include_bytes!("../samples/tls_alert_server.bin");

fn side(flights: &[&[u8]]) -> TlsSide {
    let mut side = TlsSide::default();
    for flight in flights {
        side.extend(flight, &mut Fingerprints::default());
    }
    side
}

/// A record of handshake messages: as much of its content as was copied of `len`.
fn push(side: &mut TlsSide, content: &[u8], len: usize) {
    let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
    let fingerprints = &mut Fingerprints::default();
    side.extend(&[content_type::HANDSHAKE, 3, 3, high, low], fingerprints);
    side.extend(content, fingerprints);
}

fn version(server: &TlsSide) -> Option<&'static str> {
    version_name(server.server_hello.as_ref()?.version)
}

#[test]
fn a_full_tls_1_2_handshake_tells_both_sides_facts() {
    let client = side(&[CLIENT_1, CLIENT_2]);
    let server = side(&[SERVER_1, SERVER_2]);
    let hello = client.client_hello.as_ref().unwrap();
    assert_eq!(hello.sni.as_deref(), Some("sql1.lab.test"));
    assert_eq!(hello.alpn, ["tds/8.0"]);
    assert!(client.client_key_exchange && client.change_cipher_spec && client.finished);
    assert_eq!(version(&server), Some("1.2"));
    assert!(
        server
            .server_hello
            .as_ref()
            .unwrap()
            .cipher_name()
            .is_some()
    );
    assert!(server.certificate.is_some() && server.server_hello_done);
    assert_eq!(server.chain_length, Some(1));
    assert!(server.new_session_ticket && server.finished);
    assert_eq!(resumed(&client, &server), Some(false));
    assert!(!client.truncated && !server.truncated);
}

#[test]
fn a_resumed_tls_1_2_handshake_has_no_certificate() {
    let (client, server) = (side(&[RESUMED_CLIENT]), side(&[RESUMED_SERVER]));
    assert!(!server.certificate_seen && server.finished && client.finished);
    assert_eq!(resumed(&client, &server), Some(true));
}

#[test]
fn tls_1_3_hides_the_certificate_and_names_its_version_in_an_extension() {
    let (client, server) = (side(&[STRICT_CLIENT]), side(&[STRICT_SERVER]));
    let hello = client.client_hello.as_ref().unwrap();
    assert_eq!(hello.versions.first(), Some(&0x0304));
    assert_eq!(version(&server), Some("1.3"));
    assert!(!server.certificate_seen && !server.finished);
    assert_eq!(server.application_records, 4);
    assert_eq!(resumed(&client, &server), Some(false));
}

#[test]
fn a_chosen_pre_shared_key_is_a_resumption_in_tls_1_3() {
    let (client, server) = (side(&[RESUMED_13_CLIENT]), side(&[RESUMED_13_SERVER]));
    assert_eq!(resumed(&client, &server), Some(true));
}

#[test]
fn a_client_hello_says_what_it_offers() {
    let client = side(&[STRICT_CLIENT]);
    let hello = client.client_hello.unwrap();
    let names = |ids: &[u16], name: fn(u16) -> Option<&'static str>| -> Vec<_> {
        ids.iter().filter_map(|id| name(*id)).collect()
    };
    assert_eq!(
        names(&hello.versions, version_name),
        ["1.3", "1.2", "1.1", "1.0"]
    );
    let groups = names(&hello.groups, group_name);
    assert_eq!(groups[..3], ["x25519", "secp256r1", "x448"]);
    assert_eq!(groups.last(), Some(&"ffdhe8192"));
    let algorithms = names(&hello.signature_algorithms, signature_algorithm_name);
    assert_eq!(
        algorithms[..2],
        ["ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384"]
    );
    assert_eq!(
        algorithms.len(),
        hello.signature_algorithms.len(),
        "each has a name"
    );
    assert_eq!(&*hello.ja4, "t13d3111t0_e8f1e7e78f70_1f22a2ca17c4");
    let record = u16::from_be_bytes([STRICT_CLIENT[3], STRICT_CLIENT[4]]);
    assert_eq!(hello.bytes, u32::from(record) + 5);
}

#[test]
fn an_extension_that_makes_no_sense_does_not_hide_those_after_it() {
    let mut bytes = CLIENT_1.to_vec();
    let named = side(&[&bytes]).client_hello.unwrap();
    // The list of point formats claims to be longer than its extension.
    let at = bytes.windows(4).position(|w| w == [0, 11, 0, 4]).unwrap();
    bytes[at + 4] = 0xFF;
    let hello = side(&[&bytes]).client_hello.unwrap();
    assert_eq!(hello, named);
}

#[test]
fn the_second_hello_after_a_retry_is_in_clear() {
    let (client, server) = (side(&[RETRY_CLIENT]), side(&[RETRY_SERVER]));
    assert!(server.hello_retry && !server.finished && !client.finished);
    assert_eq!(version(&server), Some("1.3"));
    assert!(!client.truncated && !server.truncated);
}

#[test]
fn an_alert_in_clear_has_its_registered_name() {
    let server = side(&[ALERT_SERVER]);
    let alert = server.alert.unwrap();
    assert_eq!(alert.level_name(), Some("fatal"));
    assert_eq!(alert.description_name(), Some("protocol_version"));
}

#[test]
fn records_may_arrive_byte_by_byte() {
    let whole = side(&[SERVER_1, SERVER_2]);
    let mut pieces = TlsSide::default();
    for byte in SERVER_1.iter().chain(SERVER_2) {
        pieces.extend(std::slice::from_ref(byte), &mut Fingerprints::default());
    }
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
}

#[test]
fn a_certificate_survives_a_chain_cut_after_it() {
    let leaf = include_bytes!("../samples/certificate_rsa_issued.bin");
    let u24 = |len: usize| u32::try_from(len).unwrap().to_be_bytes()[1..].to_vec();
    let chain = leaf.len() + 3 + 2000;
    let message = [
        &[CERTIFICATE][..],
        &u24(chain + 3),
        &u24(chain),
        &u24(leaf.len()),
        leaf,
    ]
    .concat();
    let mut server = TlsSide::default();
    push(&mut server, &message, 4 + 3 + chain);
    server.gap();
    assert!(server.truncated && server.certificate_seen);
    assert_eq!(server.certificate.as_deref(), Some(&leaf[..]));
    assert_eq!(server.chain_length, None);
}

/// RFC 5246 section 7.4.6: what a client without a certificate sends when it is asked for one.
#[test]
fn an_empty_certificate_message_shows_no_certificate() {
    let mut client = TlsSide::default();
    let empty = b"\x16\x03\x03\0\x07\x0b\0\0\x03\0\0\0";
    client.extend(empty, &mut Fingerprints::default());
    assert!(!client.certificate_seen && !client.truncated);
    assert!(client.certificate.is_none());
}

#[test]
fn what_is_no_tls_is_not_read_further() {
    let server = side(&[b"\x04\x01\x00\x10\x00\x00\x01\x00", SERVER_1]);
    assert!(server.truncated && server.server_hello.is_none());
    assert_eq!(server.records, 0);
}

#[test]
fn an_endless_handshake_message_does_not_grow_the_buffer_for_ever() {
    let mut server = TlsSide::default();
    push(&mut server, b"\x0b\xff\xff\xff", 4);
    for _ in 0..100 {
        push(&mut server, &[0; 16_384], 16_384);
    }
    assert!(server.truncated && server.handshake.capacity() <= 2 * MAX_HANDSHAKE);
}
