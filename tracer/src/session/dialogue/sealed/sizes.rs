//! Which lengths of sealed records mean what: the table of docs/accuracy.md, as data.
//!
//! All are lengths of records without their headers, sealing included.

use std::ops::RangeInclusive;

/// TLS 1.3's Finished: 32 or 48 bytes of hash, 4 of header, 9 to 17 of sealing, and the 16 of padding
/// that Java adds to every record of a socket.
pub(super) const FINISHED: RangeInclusive<u32> = 45..=85;
/// TLS 1.3's alert, without and with Java's padding. No TDS message is as short as the first, and
/// none of either side has the length of the second.
const ALERTS: [u32; 2] = [19, 35];
/// TLS 1.3's `KeyUpdate`. With Java's padding it would have the length of a DONE.
const KEY_UPDATE: u32 = 22;
/// No shorter session ticket is told from a message by its length.
pub(super) const SHORTEST_TICKET: u32 = 60;
/// A single record of the server of such a length is rather a ticket than a refusal, where neither
/// side leaves after it: a refusal's number and text take more than the first, and less than the other.
pub(super) const LIKELY_TICKET: [RangeInclusive<u64>; 2] =
    [SHORTEST_TICKET as u64..=100, 200..=SHORT_REPLY];
/// No sealed answer to a PRELOGIN is longer; TLS 1.3's session tickets are.
pub(super) const PRELOGIN_REPLY: u32 = 150;
/// No answer to a PRELOGIN is longer in all its records.
pub(super) const LONGEST_PRELOGIN_REPLY: u64 = 400;
/// A PRELOGIN with every option there is, and its answer.
pub(super) const WHOLE_PRELOGIN: u64 = 220;
/// LOGIN7 without any name.
pub(super) const SHORTEST_LOGIN: u64 = 119;
/// Client records looked at for Finished: a client certificate comes before it.
pub(super) const MAX_BEFORE_FINISHED: usize = 4;

/// SQL Server's acknowledgement of a login is longer than this, however short its name is; a plain
/// refusal and FEDAUTHINFO are not.
pub(super) const SHORT_REPLY: u64 = 350;
/// No NTLM challenge, SPNEGO's wrapping included, is shorter than this ...
pub(super) const SHORTEST_CHALLENGE: u64 = 150;
/// ... or longer than this: target name, and five names of a domain with a long one.
pub(super) const LONGEST_CHALLENGE: u64 = 1300;
/// A reply up to this long is a DONE: the answer to a request, to no login.
pub(super) const BARE_DONE: u64 = 90;
/// No SSPI token that answers a challenge is shorter than this, but those that negotiate.
pub(super) const SHORTEST_TOKEN: u64 = 200;
/// No NTLM response to a challenge that might be an acknowledgement is longer.
pub(super) const LONGEST_RESPONSE: u64 = 1600;
/// A login with a Kerberos ticket is longer than this, and one without hardly ever. Only such a
/// client negotiates further in shorter tokens.
pub(super) const WITH_TICKET: u64 = 900;
/// A federated token is never shorter than this: header, claims and a signature of 342 characters,
/// two bytes each. tedious' first request has 780.
pub(super) const FEDERATED_TOKEN: u64 = 1600;
/// No SSPI exchange has more of the client's messages after its login: Kerberos that falls back to
/// NTLM has two, and one more may follow where the two sides have no mechanism in common at first.
pub(super) const MAX_ROUNDS: usize = 3;

/// Before a login the largest TDS packet (MS-TDS section 2.2.3.1.3): a message goes on after one.
const FULL_PACKET: u32 = 4096;

/// Whether a sealed record of TLS 1.3 is an alert.
pub(in crate::session) fn is_alert(len: u32) -> bool {
    ALERTS.contains(&len)
}

/// Whether a sealed record of TLS 1.3 is a `KeyUpdate`.
pub(super) fn is_key_update(len: u32) -> bool {
    len == KEY_UPDATE
}

/// Whether a record holds a TDS packet of the full size, `overhead` being what sealing adds.
pub(super) fn is_full_packet(len: u32, overhead: u32) -> bool {
    (FULL_PACKET..=FULL_PACKET + overhead).contains(&len)
}
