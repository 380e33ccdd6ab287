//! Which mechanism an SSPI message speaks: SPNEGO (RFC 4178), or NTLM and Kerberos without it.
//!
//! Mechanism names stand at the front, so a beginning is enough; tokens are never kept.

use std::ops::Range;

use x509_parser::asn1_rs::{FromBer, Header, Tag};

use super::{Malformed, ntlm};

/// A security mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Kerberos 5 (1.2.840.113554.1.2.2).
    Kerberos,
    /// Kerberos 5 under the object identifier early Windows gave it (1.2.840.48018.1.2.2).
    MsKerberos,
    /// NTLM (1.3.6.1.4.1.311.2.2.10).
    Ntlm,
    /// Any other.
    Other,
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// SPNEGO's first message, of the client.
    NegTokenInit,
    /// SPNEGO's later messages, of both sides.
    NegTokenResp,
    /// NTLM without SPNEGO.
    RawNtlm,
    /// Kerberos without SPNEGO.
    RawKerberos,
}

/// `negState` of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NegState {
    /// Authentication succeeded.
    AcceptCompleted,
    /// More messages are needed.
    AcceptIncomplete,
    /// Refused.
    Reject,
    /// The mechanism list must be protected.
    RequestMic,
}

/// What an SSPI message says of its mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spnego {
    /// What kind of message it is.
    pub form: Form,
    /// Mechanisms the client offers, the preferred one first.
    pub offered: Vec<Mechanism>,
    /// The mechanism chosen: by a reply, or by what the token inside turns out to be.
    pub chosen: Option<Mechanism>,
    /// State of the negotiation, in a reply.
    pub state: Option<NegState>,
    /// Where the mechanism's own token lies in the message, as far as it was copied.
    pub token: Option<Range<usize>>,
    /// The message was cut short.
    pub truncated: bool,
}

impl Spnego {
    /// Decodes the beginning of an SSPI message.
    ///
    /// Fails when it is none of the known forms: withheld bytes, which are zeros, included.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        if message.starts_with(ntlm::SIGNATURE) {
            return Ok(Self::raw(Form::RawNtlm, Mechanism::Ntlm, 0..message.len()));
        }
        match message.first() {
            Some(0x60) => Self::initial(message),
            Some(0xA1) => Ok(Self::reply(message)),
            // An AP-REQ or AP-REP without the GSS-API frame around it.
            Some(0x6E | 0x6F) => Ok(Self::raw(
                Form::RawKerberos,
                Mechanism::Kerberos,
                0..message.len(),
            )),
            _ => Err(Malformed {
                at: 0,
                what: "no known security mechanism",
            }),
        }
    }

    fn raw(form: Form, mechanism: Mechanism, token: Range<usize>) -> Self {
        Self {
            form,
            offered: Vec::new(),
            chosen: Some(mechanism),
            state: None,
            token: Some(token),
            truncated: false,
        }
    }

    fn empty(form: Form, truncated: bool) -> Self {
        Self {
            form,
            offered: Vec::new(),
            chosen: None,
            state: None,
            token: None,
            truncated,
        }
    }

    // GSS-API's frame (RFC 2743 section 3.1): a mechanism, then what it makes of the rest.
    fn initial(message: &[u8]) -> Result<Self, Malformed> {
        let no_mechanism = |at| Malformed {
            at,
            what: "GSS-API token without a mechanism",
        };
        let frame = Element::read(message, 0, message.len()).ok_or(no_mechanism(0))?;
        let oid = frame
            .children(message)
            .next()
            .filter(|oid| oid.header.tag() == Tag::Oid)
            .ok_or(no_mechanism(frame.content.start))?;
        let rest = oid.content.end..frame.content.end;
        if &message[oid.content.clone()] != SPNEGO {
            let mut raw = Self::raw(Form::RawKerberos, mechanism(&message[oid.content]), rest);
            raw.truncated = frame.truncated;
            return match raw.chosen {
                Some(Mechanism::Kerberos | Mechanism::MsKerberos) => Ok(raw),
                _ => Err(no_mechanism(frame.content.start)),
            };
        }
        let mut spnego = Self::empty(Form::NegTokenInit, frame.truncated);
        if let Some(choice) = Element::read(message, rest.start, rest.end) {
            for field in choice.sequence(message) {
                match field.header.tag().0 {
                    0 => spnego.offered = mechanisms(message, &field),
                    2 => spnego.set_token(message, &field),
                    _ => {}
                }
            }
        }
        Ok(spnego)
    }

    fn reply(message: &[u8]) -> Self {
        let mut spnego = Self::empty(Form::NegTokenResp, true);
        let Some(choice) = Element::read(message, 0, message.len()) else {
            return spnego;
        };
        spnego.truncated = choice.truncated;
        for field in choice.sequence(message) {
            let Some(value) = field.children(message).next() else {
                continue;
            };
            let content = &message[value.content];
            match field.header.tag().0 {
                0 => spnego.state = content.first().copied().and_then(neg_state),
                1 if !content.is_empty() => spnego.chosen = Some(mechanism(content)),
                2 => spnego.set_token(message, &field),
                _ => {}
            }
        }
        spnego
    }

    fn set_token(&mut self, message: &[u8], field: &Element<'_>) {
        let Some(octets) = field.children(message).next() else {
            return;
        };
        let token = &message[octets.content.clone()];
        // A client may send a token of its preferred mechanism along, or of another one.
        if self.chosen.is_none() {
            self.chosen = if token.starts_with(ntlm::SIGNATURE) {
                Some(Mechanism::Ntlm)
            } else {
                token_mechanism(token)
            };
        }
        self.token = (!octets.content.is_empty()).then_some(octets.content);
    }
}

fn token_mechanism(token: &[u8]) -> Option<Mechanism> {
    if let Some(0x6E | 0x6F) = token.first() {
        return Some(Mechanism::Kerberos);
    }
    let frame = Element::read(token, 0, token.len()).filter(|_| token[0] == 0x60)?;
    let oid = frame.children(token).next()?;
    (oid.header.tag() == Tag::Oid && !oid.truncated).then(|| mechanism(&token[oid.content]))
}

fn mechanisms(message: &[u8], field: &Element<'_>) -> Vec<Mechanism> {
    field
        .sequence(message)
        .filter(|oid| oid.header.tag() == Tag::Oid && !oid.truncated)
        .take(MAX_MECHANISMS)
        .map(|oid| mechanism(&message[oid.content]))
        .collect()
}

fn mechanism(oid: &[u8]) -> Mechanism {
    match oid {
        KERBEROS => Mechanism::Kerberos,
        MS_KERBEROS => Mechanism::MsKerberos,
        NTLMSSP => Mechanism::Ntlm,
        _ => Mechanism::Other,
    }
}

fn neg_state(value: u8) -> Option<NegState> {
    Some(match value {
        0 => NegState::AcceptCompleted,
        1 => NegState::AcceptIncomplete,
        2 => NegState::Reject,
        3 => NegState::RequestMic,
        _ => return None,
    })
}

/// A DER element whose content is clipped to what arrived, which a strict parser would refuse.
struct Element<'a> {
    header: Header<'a>,
    content: Range<usize>,
    truncated: bool,
}

impl<'a> Element<'a> {
    fn read(message: &'a [u8], at: usize, end: usize) -> Option<Self> {
        let bytes = message.get(at..end)?;
        let (content, header) = Header::from_ber(bytes).ok()?;
        let start = end - content.len();
        let len = header.length().definite().ok()?;
        Some(Self {
            header,
            content: start..start.saturating_add(len).min(end),
            truncated: len > content.len(),
        })
    }

    fn children(&self, message: &'a [u8]) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let Range { mut start, end } = self.content.clone();
        std::iter::from_fn(move || {
            let child = Element::read(message, start, end)?;
            start = child.content.end;
            Some(child)
        })
    }

    /// The fields of the SEQUENCE inside.
    fn sequence(&self, message: &'a [u8]) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let sequence = self.children(message).next();
        sequence
            .map(|sequence| sequence.children(message))
            .into_iter()
            .flatten()
    }
}

const MAX_MECHANISMS: usize = 16;
// Contents of the object identifiers' encodings.
const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
const MS_KERBEROS: &[u8] = b"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02";
const NTLMSSP: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";

#[cfg(test)]
mod tests {
    use super::*;

    const KERBEROS_INIT: &[u8] = include_bytes!("samples/spnego_kerberos_odbc18.bin");
    const KERBEROS_REPLY: &[u8] = include_bytes!("samples/reply_kerberos.bin");
    // Windows' usual offer, without a token.
    const OFFER: &[u8] =
        b"\x60\x3e\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x34\x30\x32\xa0\x30\x30\x2e\
        \x06\x09\x2a\x86\x48\x82\xf7\x12\x01\x02\x02\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\
        \x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x1e\
        \x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
    const REPLY: &[u8] =
        b"\xa1\x15\x30\x13\xa0\x03\x0a\x01\x01\xa1\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";

    #[test]
    fn kerberos_shows_in_its_first_bytes() {
        let message = Spnego::decode(&KERBEROS_INIT[..64]).unwrap();
        assert_eq!(message.chosen, Some(Mechanism::Kerberos));
        assert!(message.truncated);
    }

    #[test]
    fn the_servers_kerberos_answer_is_kerberos() {
        let message = Spnego::decode(&KERBEROS_REPLY[3..]).unwrap();
        assert_eq!(message.chosen, Some(Mechanism::Kerberos));
        assert_eq!(message.form, Form::RawKerberos);
    }

    #[test]
    fn an_offer_lists_mechanisms_in_order() {
        let message = Spnego::decode(OFFER).unwrap();
        assert_eq!(message.form, Form::NegTokenInit);
        assert_eq!(
            message.offered,
            [
                Mechanism::MsKerberos,
                Mechanism::Kerberos,
                Mechanism::Other,
                Mechanism::Ntlm
            ]
        );
        assert_eq!((message.chosen, message.token), (None, None));
    }

    #[test]
    fn an_offer_cut_short_keeps_the_mechanisms_seen() {
        let message = Spnego::decode(&OFFER[..32]).unwrap();
        assert_eq!(message.offered, [Mechanism::MsKerberos]);
        assert!(message.truncated);
    }

    #[test]
    fn a_reply_chooses_and_says_how_far_it_is() {
        let message = Spnego::decode(REPLY).unwrap();
        assert_eq!(message.state, Some(NegState::AcceptIncomplete));
        assert_eq!(message.chosen, Some(Mechanism::Ntlm));
    }

    #[test]
    fn ntlm_needs_no_spnego() {
        let message = Spnego::decode(b"NTLMSSP\0\x01\0\0\0").unwrap();
        assert_eq!(message.form, Form::RawNtlm);
        assert_eq!(message.chosen, Some(Mechanism::Ntlm));
    }

    #[test]
    fn withheld_bytes_name_no_mechanism() {
        assert!(Spnego::decode(&[0; 32]).is_err());
        assert!(Spnego::decode(&[]).is_err());
    }
}
