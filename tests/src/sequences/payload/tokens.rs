//! Token streams (MS-TDS 2.2.7) and the NTLM messages within them (MS-NLMP 2.2.1).

use crate::sequences::tls::noise;

const LOGINACK: u8 = 0xAD;
const INFO: u8 = 0xAB;
const ENVCHANGE: u8 = 0xE3;
const SSPI: u8 = 0xED;
const DONE: u8 = 0xFD;

/// Whether tokens have the shorter fields of TDS 7.0 and 7.1.
pub(super) fn is_before_7_2(version: u32) -> bool {
    matches!(version, 0x7100_0001 | 0x0701_0000 | 0x0700_0000)
}

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What a server answers to a login it accepts.
pub(super) fn login_reply(version: u32, server: &str) -> Vec<u8> {
    [
        env_change(1, &b_varchar("master"), &b_varchar("master")),
        info(
            version,
            5701,
            "Changed database context to 'master'.",
            server,
        ),
        env_change(7, &[5, 9, 4, 0xD0, 0, 0x34], &[0]),
        env_change(2, &b_varchar("us_english"), &b_varchar("")),
        info(
            version,
            5703,
            "Changed language setting to us_english.",
            server,
        ),
        login_ack(version),
        env_change(4, &b_varchar("4096"), &b_varchar("4096")),
        done(version, 0),
    ]
    .concat()
}

/// One column of integers and `rows` rows.
pub(super) fn result(version: u32, rows: u32) -> Vec<u8> {
    let user_type = if is_before_7_2(version) { 2 } else { 4 };
    let mut tokens = vec![0x81, 1, 0];
    tokens.extend(vec![0; user_type]);
    // No flags, INT4, no name.
    tokens.extend([0, 0, 0x38, 0]);
    for row in 1..=rows {
        tokens.push(0xD1);
        tokens.extend(row.to_le_bytes());
    }
    tokens.extend(done(version, rows));
    tokens
}

pub(super) fn sspi(blob: &[u8]) -> Vec<u8> {
    token(SSPI, blob)
}

/// MS-NLMP 2.2.1.2.
pub(super) fn ntlm_challenge(domain: &str) -> Vec<u8> {
    const HEADER: usize = 56;

    let name = utf16(domain);
    let info = [
        &[2, 0],
        &(name.len() as u16).to_le_bytes()[..],
        &name,
        &[0; 4],
    ]
    .concat();
    let mut message = b"NTLMSSP\0\x02\0\0\0".to_vec();
    message.extend(field(name.len(), HEADER));
    message.extend([0x15, 0x82, 0x89, 0xE2]);
    message.extend(noise(14, 8));
    message.extend([0; 8]);
    message.extend(field(info.len(), HEADER + name.len()));
    // Windows 6.3.9600, NTLM revision 15.
    message.extend([6, 3, 0x80, 0x25, 0, 0, 0, 15]);
    message.extend(name);
    message.extend(info);
    message
}

/// MS-NLMP 2.2.1.3, with an NT response longer than version 1's.
pub(super) fn ntlm_authenticate(names: &[String; 3]) -> Vec<u8> {
    const HEADER: usize = 72;

    let [domain, user, workstation] = names.each_ref().map(|name| utf16(name));
    let parts = [
        vec![0; 24],
        noise(15, 170),
        domain,
        user,
        workstation,
        noise(16, 16),
    ];
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut at = HEADER;
    for part in &parts {
        message.extend(field(part.len(), at));
        at += part.len();
    }
    message.extend([0x15, 0x82, 0x88, 0xE2, 6, 3, 0x80, 0x25, 0, 0, 0, 15]);
    message.extend(parts.concat());
    message
}

/// Length, allocated length, offset.
fn field(length: usize, offset: usize) -> Vec<u8> {
    let length = (length as u16).to_le_bytes();
    [&length[..], &length, &(offset as u32).to_le_bytes()].concat()
}

fn login_ack(version: u32) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(version.to_be_bytes());
    body.extend(b_varchar("Microsoft SQL Server\0\0"));
    body.extend([12, 0, 16, 0]);
    token(LOGINACK, &body)
}

fn info(version: u32, number: u32, text: &str, server: &str) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    // State and class.
    body.extend([2, 0]);
    body.extend((text.encode_utf16().count() as u16).to_le_bytes());
    body.extend(utf16(text));
    body.extend(b_varchar(server));
    body.extend(b_varchar(""));
    let line = 1u32.to_le_bytes();
    body.extend(if is_before_7_2(version) {
        &line[..2]
    } else {
        &line
    });
    token(INFO, &body)
}

fn env_change(kind: u8, new: &[u8], old: &[u8]) -> Vec<u8> {
    token(ENVCHANGE, &[&[kind], new, old].concat())
}

fn done(version: u32, rows: u32) -> Vec<u8> {
    const COUNT: u16 = 0x10;
    const SELECT: u16 = 0xC1;

    let status = if rows == 0 { 0 } else { COUNT };
    let mut done = vec![DONE];
    done.extend(status.to_le_bytes());
    done.extend(SELECT.to_le_bytes());
    done.extend(rows.to_le_bytes());
    if !is_before_7_2(version) {
        done.extend([0; 4]);
    }
    done
}

fn token(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u16).to_le_bytes()[..], body].concat()
}

fn b_varchar(text: &str) -> Vec<u8> {
    [vec![text.encode_utf16().count() as u8], utf16(text)].concat()
}
