//! Something on this host passes on what the client says.

use crate::{
    record::Whom,
    session::{
        attempts::Role,
        diagnosis::{Cause, Found, Page, whole::Whole},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "proxy_in_path",
    whom: Some(Whom::Network),
    meaning: "a proxy stands between the client and SQL Server, and the time is its own",
    seen: "the client went through {proxy} to {server}: the login took {with_it_ns}, and {behind_it_ns} of that \
           behind the proxy",
    fits: |_| None,
    page: Page {
        means: "The client connects to a proxy, such as a service mesh's sidecar, a port forwarder or a load \
            balancer's agent, and that opens a connection of its own to SQL Server. What the client sees is the \
            proxy's doing as well.",
        signs: "Of an attempt: two connections whose clients name them alike in PRELOGIN (`connection_guid`), \
            the second opened while the first one waited. It is likely where the login took longer than the half \
            behind the proxy (`behind_it_ns`) by most of its time, or where it is the proxy that was slow behind it; else it is a hint. Told in `attempt` lines only.",
        against: "A half behind the proxy that took as long: then its own cause is the reason. A driver that does \
            not name its connections (FreeTDS, python-tds): its halves stay two attempts.",
        confirm: "The proxy's access log, which has the time of both halves; log in past it.",
        mend: "Exclude SQL Server's ports from the mesh, or give the proxy processors and a shorter way; let it \
            connect before it accepts.",
        reports: &[
            "istio/istio#57749",
            "istio/istio#33119",
            "gravitational/teleport#53575",
        ],
    },
};

/// What is told of a client that takes its time.
const SLOW_CLIENT: [&str; 2] = ["client_slow", "client_starved"];

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let behind = whole.steps.iter().find(|step| step.role == Role::Proxied)?;
    // The half that was open when the other one was opened.
    let before = whole.connections().filter(|step| {
        let around = step.start <= behind.start && step.start + step.took >= behind.start;
        step.role != Role::Proxied && around
    });
    let client = before.last()?;
    let own = client.took.saturating_sub(behind.took);
    let address = |step: &super::super::whole::Step<'_>| {
        step.server
            .map(|(address, port)| std::net::SocketAddr::new(address, port).to_string())
    };
    // Who is slow towards the server is the proxy.
    let first = behind.causes.first().map(|cause| cause.cause.as_str());
    let is_slow = first.is_some_and(|first| SLOW_CLIENT.contains(&first));
    Some(
        Found::at(if whole.is_felt(own) || is_slow {
            0.85
        } else {
            0.4
        })
        .with("proxy", address(client))
        .with("server", address(behind))
        .took("with_it_ns", client.took)
        .took("behind_it_ns", behind.took),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Diagnosis, Outcome},
        session::diagnosis::whole::{
            Step,
            samples::{connection, sure, whole},
        },
    };

    #[test]
    fn a_proxy_that_keeps_the_server_waiting_is_slow() {
        let slow = [Diagnosis {
            cause: "client_slow".into(),
            ..Diagnosis::default()
        }];
        let client = connection(2, Outcome::Success, (0, 6));
        let steps = vec![
            client,
            Step {
                role: Role::Proxied,
                causes: &slow,
                ..connection(3, Outcome::Success, (0, 6))
            },
        ];
        let both = Whole {
            steps,
            ..whole([client])
        };
        assert!(sure(fits, &both) > 0.8);
    }

    #[test]
    fn time_that_passes_in_front_of_a_proxys_own_connection_is_the_proxys() {
        let client = connection(2, Outcome::Success, (0, 6));
        assert!(sure(fits, &whole([client])) < 0.1);
        let behind = |from, to| Step {
            role: Role::Proxied,
            ..connection(3, Outcome::Success, (from, to))
        };
        assert!(sure(fits, &whole([client, behind(5, 6)])) > 0.8);
        assert!(
            sure(fits, &whole([client, behind(0, 6)])) < 0.5,
            "the server is slow"
        );
    }
}
