//! Names of users and hosts among what is told of a login: they are not written into a capture that is handed on.

use tracer_ebpf::{
    framing::TDS_HEADER,
    seq::{Seq, Span},
};

/// The type of LOGIN7's packets (MS-TDS §2.2.3.1.1).
const LOGIN7: u8 = 0x10;
/// The shortest fixed part of LOGIN7, with its header.
const LEAST: u32 = 86 + TDS_HEADER;
/// Where LOGIN7 describes the names of host and user, each by offset and characters (MS-TDS §2.2.6.4).
const DESCRIBED: [u32; 2] = [36, 40];
/// What an NTLM message begins with (MS-NLMP §2.2.1).
const NTLM: &[u8] = b"NTLMSSP\0";
const CHALLENGE: u8 = 2;
const AUTHENTICATE: u8 = 3;
/// Where a challenge describes the server's names (MS-NLMP §2.2.1.2).
const TARGET: u32 = 12;
/// The same of its target information, which is told in another part.
const TARGET_INFORMATION: u32 = 40;
/// Where an AUTHENTICATE message describes domain and workstation (MS-NLMP §2.2.1.3).
const CLIENTS: [u32; 2] = [28, 44];
/// The same of its user, and where it says how names are written.
const USER: u32 = 36;
const FLAGS: u32 = 60;
/// The names are in UTF-16 (MS-NLMP §2.2.2.5).
const UNICODE: u8 = 1;
/// Names that are remembered: those of a login and of some messages of NTLM.
const MOST: usize = 32;

/// Where the names lie in one direction's stream.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// LOGIN7's header has passed, and its names are not known.
    login: Option<Seq>,
    /// There is no other LOGIN7.
    logged_in: bool,
    /// A challenge whose target information is not known.
    challenge: Option<Seq>,
    hidden: Vec<Hidden>,
}

/// A name that is not shown.
#[derive(Clone, Copy, Debug)]
struct Hidden {
    span: Span,
    /// What of it is shown all the same: where a user's name has an `@`, its domain is in it.
    principal: Option<Encoding>,
}

/// How the characters of a name are written.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Oem,
    Utf16,
}

/// A part of the stream.
#[derive(Clone, Copy)]
struct Part<'a> {
    from: Seq,
    bytes: &'a [u8],
}

impl Part<'_> {
    /// So many bytes at a position, if they are in it.
    fn at<const N: usize>(&self, position: Seq) -> Option<[u8; N]> {
        let at = usize::try_from(position.since(self.from)).ok()?;
        self.bytes.get(at..)?.first_chunk().copied()
    }
}

impl Hidden {
    /// The `@` of a principal's name, in a part of the stream that ends where the name does, or before.
    fn at_sign<'a>(&self, from: Seq, bytes: &'a [u8]) -> Option<(Seq, &'a [u8])> {
        let sign: &[u8] = match self.principal? {
            Encoding::Oem => b"@",
            Encoding::Utf16 => b"@\0",
        };
        let skipped = self.span.from.since(from).max(0).cast_unsigned() as usize;
        let name = bytes.get(skipped..)?;
        let starts = from.add(skipped as u32);
        // A character of UTF-16 that was cut in two is none.
        let odd = (starts.since(self.span.from).cast_unsigned() as usize) % sign.len();
        let name = name.get(odd..)?;
        let place = name
            .chunks_exact(sign.len())
            .position(|character| character == sign)?
            * sign.len();
        Some((
            starts.add((odd + place) as u32),
            &name[place..place + sign.len()],
        ))
    }
}

impl Names {
    /// Looks for descriptions of names in a part that is told.
    pub(super) fn learn(&mut self, from: Seq, bytes: &[u8]) {
        let part = Part { from, bytes };
        if !self.logged_in
            && let Some([LOGIN7, _, high, low]) = part.at(from)
            && u32::from(u16::from_be_bytes([high, low])) >= LEAST
        {
            self.login = Some(from);
        }
        if let Some(header) = self.login {
            self.login7(part, header.add(TDS_HEADER));
        }
        if let Some(message) = self.challenge
            && self.field(part, message, TARGET_INFORMATION, None)
        {
            self.challenge = None;
        }
        let windows = bytes.windows(NTLM.len()).enumerate();
        for (at, _) in windows.filter(|(_, window)| *window == NTLM) {
            let message = from.add(at as u32);
            match part.at(message.add(NTLM.len() as u32)) {
                Some([CHALLENGE]) => {
                    self.field(part, message, TARGET, None);
                    self.challenge = Some(message);
                }
                Some([AUTHENTICATE]) => {
                    for described in CLIENTS {
                        self.field(part, message, described, None);
                    }
                    let encoding = match part.at(message.add(FLAGS)) {
                        Some([flags]) if flags & UNICODE == 0 => Encoding::Oem,
                        _ => Encoding::Utf16,
                    };
                    self.field(part, message, USER, Some(encoding));
                }
                _ => {}
            }
        }
    }

    fn login7(&mut self, part: Part<'_>, message: Seq) {
        let names = DESCRIBED.map(|described| part.at(message.add(described)));
        if let [Some(host), Some(user)] = names {
            for [at_low, at_high, low, high] in [host, user] {
                let at = u16::from_le_bytes([at_low, at_high]);
                let characters = u16::from_le_bytes([low, high]);
                self.hide(message.add(at.into()), 2 * u32::from(characters), None);
            }
            self.login = None;
            self.logged_in = true;
        }
    }

    /// Hides a field that a message of NTLM describes by its length, room and offset; whether that is at hand.
    fn field(
        &mut self,
        part: Part<'_>,
        message: Seq,
        described: u32,
        principal: Option<Encoding>,
    ) -> bool {
        let field = part.at::<8>(message.add(described));
        if let Some([low, high, _, _, offset @ ..]) = field {
            let at = u32::from_le_bytes(offset).min(u16::MAX.into());
            let len = u16::from_le_bytes([low, high]).into();
            self.hide(message.add(at), len, principal);
        }
        field.is_some()
    }

    fn hide(&mut self, from: Seq, len: u32, principal: Option<Encoding>) {
        if len > 0 && self.hidden.len() < MOST {
            let to = from.add(len);
            let span = Span { from, to };
            self.hidden.push(Hidden { span, principal });
        }
    }

    /// What of a part is no name.
    pub(super) fn without<'a>(&self, from: Seq, bytes: &'a [u8]) -> Vec<(Seq, &'a [u8])> {
        let to = from.add(bytes.len() as u32);
        let inside = Span { from, to };
        let mut names: Vec<_> = self
            .hidden
            .iter()
            .filter(|name| name.span.overlaps(inside))
            .collect();
        names.sort_by_key(|name| name.span.from.since(from));
        let mut rest = (from, bytes);
        let mut shown = Vec::with_capacity(1 + names.len());
        for name in names {
            let before = name.span.from.since(rest.0).max(0).cast_unsigned() as usize;
            let behind = name.span.to.since(rest.0).max(0).cast_unsigned() as usize;
            shown.push((rest.0, &rest.1[..before.min(rest.1.len())]));
            let behind = behind.min(rest.1.len());
            shown.extend(name.at_sign(rest.0, &rest.1[..behind]));
            rest = (rest.0.add(behind as u32), &rest.1[behind..]);
        }
        shown.push(rest);
        shown.retain(|(_, bytes)| !bytes.is_empty());
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A LOGIN7 of a host `me` and a user `sa`, with its header.
    fn login7() -> Vec<u8> {
        let mut packet = vec![0; 102];
        packet[..4].copy_from_slice(&[LOGIN7, 1, 0, 112]);
        packet[44..52].copy_from_slice(&[94, 0, 2, 0, 98, 0, 2, 0]);
        packet.extend(*b"m\0e\0s\0a\0");
        packet.extend(*b"ap");
        packet
    }

    #[test]
    fn a_logins_host_and_user_are_no_part_of_what_is_shown_however_it_is_told() {
        let packet = login7();
        let mut names = Names::default();
        let start = Seq(u32::MAX - 40);
        names.learn(start, &packet);
        let shown = names.without(start, &packet);
        assert_eq!(
            shown,
            [(start, &packet[..102]), (start.add(110), &b"ap"[..])]
        );
        // Header, fixed part and names each for itself.
        let mut names = Names::default();
        names.learn(start, &packet[..8]);
        names.learn(start.add(8), &packet[8..102]);
        assert_eq!(names.without(start.add(102), &packet[102..106]), []);
        assert_eq!(
            names.without(start.add(105), &packet[105..112]),
            [(start.add(110), &b"ap"[..])]
        );
    }

    #[test]
    fn names_of_ntlm_are_not_shown_either() {
        let mut message = NTLM.to_vec();
        message.extend([AUTHENTICATE, 0, 0, 0]);
        message.resize(64, 0);
        for (described, at) in [(28, 64), (36, 66), (44, 68)] {
            message[described..][..8].copy_from_slice(&[2, 0, 2, 0, at, 0, 0, 0]);
        }
        message.extend(*b"DDUUWWrest");
        let mut names = Names::default();
        let start = Seq(7);
        names.learn(start, &message);
        let shown = names.without(start, &message);
        assert_eq!(shown.last(), Some(&(start.add(70), &b"rest"[..])));
        assert_eq!(shown.len(), 2);

        // A challenge is told up to its secret, and behind it.
        let mut message = NTLM.to_vec();
        message.extend([CHALLENGE, 0, 0, 0, 2, 0, 2, 0, 48, 0, 0, 0, 0, 0, 0, 0]);
        names.learn(start, &message);
        let mut behind = vec![0; 16];
        behind[8..].copy_from_slice(&[3, 0, 3, 0, 50, 0, 0, 0]);
        names.learn(start.add(32), &behind);
        assert_eq!(
            names.without(start.add(48), b"TTIIIx"),
            [(start.add(53), &b"x"[..])]
        );
    }
    #[test]
    fn of_a_users_name_it_is_shown_that_its_domain_is_in_it_and_no_more() {
        let mut message = NTLM.to_vec();
        message.extend([AUTHENTICATE, 0, 0, 0]);
        message.resize(64, 0);
        message[36..44].copy_from_slice(&[8, 0, 8, 0, 64, 0, 0, 0]);
        message[60] = UNICODE;
        let start = Seq(u32::MAX - 66);
        // The second character's low byte is that of an at sign, and it is none.
        for (name, at) in [
            (&b"u\0@\0d\0e\0"[..], Some(2)),
            (b"u\0@\x01d\0@\0", Some(6)),
            (b"\0@\0@u\0d\0", None),
        ] {
            message.truncate(64);
            message.extend(name);
            let mut names = Names::default();
            names.learn(start, &message);
            let shown = names.without(start, &message);
            let sign = at.map(|at| (start.add(64 + at), &b"@\0"[..]));
            assert_eq!(shown.get(1).copied(), sign);
        }
        // In the server's own character set, and in two parts.
        message[60] = 0;
        message.truncate(64);
        message.extend(b"us@domai");
        let mut names = Names::default();
        names.learn(start, &message);
        assert_eq!(names.without(start.add(64), b"us"), []);
        assert_eq!(
            names.without(start.add(66), b"@domaiX"),
            [(start.add(66), &b"@"[..]), (start.add(72), &b"X"[..])]
        );
    }
}
