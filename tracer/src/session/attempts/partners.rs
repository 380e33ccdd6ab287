//! Failover partners that servers have told of.

use std::{collections::VecDeque, net::IpAddr};

use crate::{record::Text, session::wire::End};

/// Servers whose partner is remembered; the one that was told first gives way.
const MAX_PARTNERS: usize = 64;

/// Which servers have told of which partner, by name.
#[derive(Debug, Default)]
pub(super) struct Partners(VecDeque<(End, Text)>);

impl Partners {
    /// A server tells its partner's name, perhaps with an instance or a port (ENVCHANGE 13, MS-TDS section 2.2.7.9).
    pub(super) fn learn(&mut self, server: End, partner: &Text) {
        self.0.retain(|(known, _)| *known != server);
        if self.0.len() >= MAX_PARTNERS {
            self.0.pop_front();
        }
        self.0.push_back((server, partner.clone()));
    }

    /// The servers whose partner this one is, which is asked for by that name.
    pub(super) fn of(&self, server: &End, name: Option<&Text>) -> Vec<End> {
        let is_it = |partner: &Text| {
            let host = host(partner.as_str());
            let address = host.parse::<IpAddr>().ok();
            let named = name.is_some_and(|name| is_of(name.as_str(), host));
            named || address == Some(server.address)
        };
        let told = self.0.iter().filter(|(_, partner)| is_it(partner));
        told.map(|(by, _)| *by).collect()
    }
}

/// The host of `tcp:HOST\\INSTANCE,PORT`.
fn host(partner: &str) -> &str {
    let rest = partner.split_once(':').filter(|(kind, _)| *kind == "tcp");
    let rest = rest.map_or(partner, |(_, rest)| rest);
    rest.split(['\\', ',']).next().unwrap_or(rest).trim()
}

/// Whether a name is that host's, perhaps with its domain.
fn is_of(name: &str, host: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    !host.is_empty() && (name.eq_ignore_ascii_case(host) || first.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_is_known_by_its_name_or_its_address() {
        let server = |last: u8| End {
            address: IpAddr::from([10, 0, 0, last]),
            port: 1433,
        };
        let mut partners = Partners::default();
        partners.learn(server(1), &"SQL2\\PROD".into());
        partners.learn(server(3), &"tcp:10.0.0.4,1433".into());
        let of =
            |last, name: Option<&str>| partners.of(&server(last), name.map(Text::from).as_ref());
        assert_eq!(of(2, Some("sql2.lab.test")), [server(1)]);
        assert_eq!(of(2, Some("sql21.lab.test")), []);
        assert_eq!(of(2, None), []);
        assert_eq!(of(4, None), [server(3)]);
    }
}
