//! A receiver that takes what comes by TLS from those it knows, and sinks of which one knows it and is known.

use std::fs;

use harness::agent::{Agent, of};
use harness::server::tls::{Certificate, Wanted};

use super::place::Folder;
use crate::life::wait_until;

/// Those that are not taken from, or do not give.
const STRANGERS: [&str; 3] = ["nameless", "stranger", "mistrustful"];

/// The files, in the folder of a test: `server`, `server.key`, and `clients`, the authority of those that are taken
/// from.
pub(super) struct Identities<'a>(&'a Folder);

impl<'a> Identities<'a> {
    pub(super) fn new(folder: &'a Folder) -> Self {
        for (name, authority) in [
            ("server", "servers"),
            ("client", "clients"),
            ("other", "others"),
        ] {
            let wanted = Wanted {
                name: name.to_owned(),
                days: 30,
                long_certificate: false,
                issued: true,
                negative_serial: false,
                certificate_out: None,
            };
            let made = Certificate::make(&wanted).unwrap();
            for (file, content) in [
                (name.to_owned(), made.certificate_pem()),
                (format!("{name}.key"), made.key_pem()),
                (authority.to_owned(), made.authority_pem()),
            ] {
                fs::write(folder.path(&file), content.unwrap()).unwrap();
            }
        }
        Self(folder)
    }

    /// Sinks like this one: with the right certificate and the right authority; with no certificate; with one that
    /// another authority has issued; and with an authority that has not issued the receiver's.
    pub(super) fn sinks(&self, sink: &str) -> Vec<String> {
        let file = |name: &str| self.0.path(name);
        let shows =
            |name: &str| format!("cert={},key={}", file(name), file(&format!("{name}.key")));
        let trusts = |name: &str| format!("ca={}", file(name));
        vec![
            format!(
                "{sink},name=known,{},{}",
                trusts("servers"),
                shows("client")
            ),
            format!("{sink},name=nameless,{}", trusts("servers")),
            format!(
                "{sink},name=stranger,{},{}",
                trusts("servers"),
                shows("other")
            ),
            format!(
                "{sink},name=mistrustful,{},{}",
                trusts("others"),
                shows("client")
            ),
        ]
    }
}

/// Waits until the agent has told of each of those why it does not go on, and sees that nothing of theirs is counted as
/// handed over.
pub(super) fn assert_refused(agent: &mut Agent) {
    for name in STRANGERS {
        let begin = format!("{name}: ");
        let told = |agent: &mut Agent| {
            let events = agent.events().unwrap();
            let mut details = of(&events, "agent").into_iter().filter_map(|line| {
                let detail = line["agent"]["detail"].as_str()?;
                detail.starts_with(&begin).then(|| detail.to_owned())
            });
            details.next()
        };
        wait_until("its word of that", || told(agent).is_some());
        let detail = told(agent).unwrap_or_default().to_lowercase();
        let reasons = ["certificate", "alert"];
        assert!(
            reasons.iter().any(|reason| detail.contains(reason)),
            "{detail}"
        );
    }
}
