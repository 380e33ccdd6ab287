//! What TLS showed.

use super::{Symptoms, Who};
use crate::record::{Certificate, Outcome, PhaseName, Side, TlsHello};

impl<'a> Symptoms<'a> {
    pub(in crate::session::diagnosis) fn hello(&self) -> Option<&'a TlsHello> {
        self.tls?.hello.as_ref()
    }

    pub(in crate::session::diagnosis) fn certificate(&self) -> Option<&'a Certificate> {
        self.tls?.certificate.as_ref()
    }

    /// The server has answered the client's hello.
    pub(in crate::session::diagnosis) fn hello_was_answered(&self) -> bool {
        self.tls.is_some_and(|tls| tls.version.is_some())
    }

    /// Whether it ended inside TLS, by that side.
    pub(in crate::session::diagnosis) fn tls_left_by(&self, side: Side) -> bool {
        let left = self.ended.is_some_and(|ended| ended.by == side);
        self.ended_as(&[Outcome::TlsFailed]) && (left || self.alert_from(side).is_some())
    }

    /// The alert of a side: its name, empty where it is sealed.
    pub(in crate::session::diagnosis) fn alert_from(&self, side: Side) -> Option<&'a str> {
        let alert = self
            .tls?
            .alert
            .as_ref()
            .filter(|alert| alert.from == side)?;
        Some(alert.description.as_deref().unwrap_or(""))
    }

    /// Whether the client left over the server's certificate: it was shown, and the client ended what
    /// was agreed upon so far, or, having looked at it after the handshake only, said nothing more.
    pub(in crate::session::diagnosis) fn left_over_certificate(&self) -> bool {
        let shown = self.certificate().is_some() || self.hello_was_answered();
        shown && (self.tls_left_by(Side::Client) || self.left_before_login())
    }

    /// Whether the client left right after the handshake of TLS, without a word of its login.
    fn left_before_login(&self) -> bool {
        let left = self.ended.is_some_and(|ended| ended.by == Side::Client);
        let silent = self.auth.is_none() && self.waited(PhaseName::Login, Who::Server) == 0;
        let at_login = self.stopped_at(PhaseName::Login) && silent;
        left && at_login && self.ended_as(&[Outcome::Aborted]) && self.stall().is_none()
    }

    /// Whether the client left before its hello had an answer, without an alert.
    pub(in crate::session::diagnosis) fn left_at_hello(&self) -> bool {
        let said = self.alert_from(Side::Client).is_some();
        self.tls_left_by(Side::Client) && !said && !self.hello_was_answered()
    }
}
