//! One question to a service, or one connection to it, and what came back. Times are nanoseconds.

use std::net::IpAddr;

use tracer_ebpf::beside::port;

use crate::{
    kerberos::{self, Message, Refusal, code},
    record::{PartKind, ServiceOutcome, Text},
    session::{
        attempts::Handle,
        input::{Beside, Piece, Sign, Transport},
    },
    tds::tls,
};

/// Where Azure gives a machine its tokens.
const IMDS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));
/// The same question sooner than this is a copy of the packet, seen elsewhere.
const COPY: u64 = 100_000_000;

/// For whose sake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Owner {
    /// Nobody's so far: perhaps the next connection's.
    Nobody,
    /// The attempt's that this connection is part of.
    One(Handle),
    /// One of several.
    Doubtful,
}

/// A question to a service and its answer, or all of a connection to it.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) client_port: u16,
    pub(super) service: (IpAddr, u16),
    pub(super) transport: Transport,
    pub(super) begun: u64,
    /// When the client was heard last before anything was answered.
    pub(super) asked_last: u64,
    accepted: Option<u64>,
    asked: Option<u64>,
    answered: Option<u64>,
    /// When the service said something last.
    said_last: u64,
    refused: Option<u64>,
    pub(super) ended: Option<u64>,
    /// The host's name: asked for in TLS, or by which its address was found.
    pub(super) name: Option<Text>,
    refusal: Option<Refusal>,
    /// It is one of those that a certificate names.
    pub(super) is_certified: bool,
    pub(super) owner: Owner,
}

impl Talk {
    pub(super) fn new(beside: &Beside<'_>, owner: Owner, name: Option<Text>) -> Self {
        let begun = beside.opened.unwrap_or(beside.time);
        Self {
            client_port: beside.client.1,
            service: beside.service,
            transport: beside.transport,
            begun,
            asked_last: begun,
            accepted: None,
            asked: None,
            answered: None,
            said_last: 0,
            refused: None,
            ended: None,
            name,
            refusal: None,
            is_certified: false,
            owner,
        }
    }

    /// Whether a packet is of it.
    pub(super) fn is_of(&self, beside: &Beside<'_>) -> bool {
        (self.client_port, self.service, self.transport)
            == (beside.client.1, beside.service, beside.transport)
    }

    /// Whether a packet that is of it begins another one in its place.
    pub(super) fn is_followed(&self, beside: &Beside<'_>) -> bool {
        match (beside.transport, beside.sign) {
            (Transport::Tcp, Sign::Opens) => {
                self.ended.is_some() || self.refused.is_some() || self.answered.is_some()
            }
            (Transport::Udp, Sign::Asks(_)) => self.answered.is_some() || self.refused.is_some(),
            _ => false,
        }
    }

    /// Takes a packet in; whether it may still be one that matters.
    pub(super) fn take(&mut self, beside: &Beside<'_>) -> bool {
        let time = beside.time;
        if let Some(accepted) = beside.accepted {
            self.accepted.get_or_insert(accepted);
            if matches!(beside.sign, Sign::Answers(_)) {
                // Of some only a late answer is told.
                self.asked.get_or_insert(accepted);
            }
        }
        match beside.sign {
            Sign::Opens => self.asked_last = self.asked_last.max(time),
            Sign::Accepts => {
                self.accepted.get_or_insert(time);
            }
            Sign::Asks(piece) => return self.asks(&piece, time),
            Sign::Answers(piece) => self.answers(&piece, time),
            Sign::Refuses if self.accepted.is_none() && self.answered.is_none() => {
                self.refused.get_or_insert(time);
            }
            Sign::Refuses | Sign::Ends => {
                self.ended.get_or_insert(time);
            }
        }
        true
    }

    fn asks(&mut self, piece: &Piece<'_>, time: u64) -> bool {
        if self.answered.is_none() && time.saturating_sub(self.asked_last) >= COPY {
            self.asked_last = time;
        }
        if self.asked.replace(self.asked.unwrap_or(time)).is_some() {
            return true;
        }
        if self.service.1 == port::HTTPS {
            // What it says itself is surer than what was asked of a name server.
            self.name = tls::server_name(piece.kept)
                .map(Text::from)
                .or(self.name.take());
            return self.kind().is_some();
        }
        true
    }

    fn answers(&mut self, piece: &Piece<'_>, time: u64) {
        if self.asked.is_none() {
            return;
        }
        self.said_last = self.said_last.max(time);
        if self
            .answered
            .replace(self.answered.unwrap_or(time))
            .is_some()
            && self.refusal.is_some()
        {
            return;
        }
        if self.service.1 != port::KERBEROS {
            return;
        }
        let read = match self.transport {
            Transport::Udp => kerberos::datagram(piece.kept),
            Transport::Tcp => kerberos::stream(piece.kept).or(kerberos::datagram(piece.kept)),
        };
        if let Some(Message::Error(Some(refusal))) = read
            && refusal.code != code::PROOF_NEEDED
            && refusal.code != code::TOO_LONG
        {
            self.refusal = Some(refusal);
        }
    }

    /// What part of an attempt it is; `None` where it is none, as far as is known.
    pub(super) fn kind(&self) -> Option<PartKind> {
        let name = self.name.as_ref().map(Text::as_str);
        match self.service.1 {
            port::KERBEROS => Some(PartKind::Kdc),
            port::LDAP | port::LDAPS | port::CATALOG | port::CATALOG_TLS => Some(PartKind::Ldap),
            _ if self.is_imds() => Some(PartKind::Token),
            port::HTTPS => name.is_some_and(gives_tokens).then_some(PartKind::Token),
            port::HTTP => {
                let is_one = self.is_certified || name.is_some_and(knows_revoked);
                is_one.then_some(PartKind::Revocation)
            }
            _ => None,
        }
    }

    /// Whether it is the endpoint that gives a machine its tokens.
    pub(super) fn is_imds(&self) -> bool {
        let (address, at) = self.service;
        address == IMDS && at == port::HTTP || address.is_loopback() && at == port::ARC
    }

    /// Whether somebody of a domain is asked.
    pub(super) fn is_controller(&self) -> bool {
        matches!(self.service.1, port::RPC | port::SMB)
            || matches!(self.kind(), Some(PartKind::Kdc | PartKind::Ldap))
    }

    /// What came of it.
    pub(super) fn outcome(&self) -> ServiceOutcome {
        match (self.answered, self.refused) {
            _ if self.refusal.is_some() => ServiceOutcome::Error,
            (Some(_), _) => ServiceOutcome::Answered,
            (None, Some(_)) => ServiceOutcome::Refused,
            (None, None) => ServiceOutcome::Unanswered,
        }
    }

    /// What Kerberos said instead of a ticket.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Whether nothing has come of it yet.
    pub(super) fn is_open(&self) -> bool {
        self.answered.is_none() && self.refused.is_none() && self.ended.is_none()
    }

    /// Whether it was accepted, or something was said.
    pub(super) fn is_reached(&self) -> bool {
        self.accepted.is_some() || self.answered.is_some() || self.refused.is_some()
    }

    /// When it was over, the client having gone on at `at` at the latest.
    pub(super) fn over(&self, at: u64) -> u64 {
        let over = match (self.answered, self.refused, self.ended) {
            (Some(_), _, _) => self.said_last,
            (None, Some(at), _) | (None, None, Some(at)) => at,
            (None, None, None) => at,
        };
        over.min(at).max(self.begun)
    }

    /// When anything was heard of it last.
    pub(super) fn last(&self) -> u64 {
        let times = [
            self.accepted,
            self.asked,
            self.answered,
            self.refused,
            self.ended,
        ];
        let last = times.into_iter().flatten().max().unwrap_or_default();
        last.max(self.said_last).max(self.asked_last)
    }

    /// How long after it the client may still wait for it: until a SYN would be sent again, of one that nobody
    /// answers.
    pub(super) fn patience(&self) -> u64 {
        if self.is_open() {
            2 * self.asked_last.saturating_sub(self.begun)
        } else {
            0
        }
    }
}

/// Whether a host gives federated tokens: Entra's, in each of its clouds, and what is called a security token
/// service.
fn gives_tokens(name: &str) -> bool {
    const HOSTS: [&str; 9] = [
        "login.microsoftonline.com",
        "login.microsoft.com",
        "login.windows.net",
        "login.windows-ppe.net",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.microsoftonline.us",
        "login.microsoftonline.de",
        "login-us.microsoftonline.com",
    ];
    let name = name.to_ascii_lowercase();
    let is_region = name.ends_with(".login.microsoft.com");
    HOSTS.contains(&name.as_str())
        || is_region
        || name.starts_with("sts.")
        || name.starts_with("adfs.")
}

/// Whether a host is called as those are that know which certificates are revoked.
fn knows_revoked(name: &str) -> bool {
    let mut labels = name.split('.');
    labels.any(|label| label.starts_with("crl") || label.starts_with("ocsp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_by_their_names() {
        for name in [
            "login.microsoftonline.com",
            "LOGIN.windows.net",
            "sts.corp.test",
            "westus2.login.microsoft.com",
        ] {
            assert!(gives_tokens(name), "{name}");
        }
        for name in ["login.example.test", "notlogin.windows.net", "www.sts.test"] {
            assert!(!gives_tokens(name), "{name}");
        }
        assert!(knows_revoked("crl3.digicert.com") && knows_revoked("ocsp.lab.test"));
        assert!(!knows_revoked("www.lab.test"));
    }
}
