//! The second segment of the client's hello is lost again and again.

use crate::{
    record::{PhaseName, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "client_hello_lost",
    whom: Some(Whom::Network),
    meaning: "a large hello of the client does not arrive",
    seen: "the client sent its hello[ of {hello_bytes} bytes] {copies} times more, and nothing came \
           back",
    fits,
    page: Page {
        means: "The client's hello is longer than one segment (post-quantum groups make it so), and \
            something on the way loses the full-size one: a tunnel with a smaller MTU whose ICMP is \
            blocked, a device that does not put segments together.",
        signs: "The client sent a segment of its hello again and again, and the server never answered.",
        against: "A hello that was acknowledged: then the server is silent or has refused it.",
        confirm: "`ping -M do -s 1472` towards the server, then smaller; `tracepath`. Captures on both \
            hosts: the segment leaves one and does not reach the other.",
        mend: "Mend the path's MTU (`tcp mss clamp`), let ICMP *fragmentation needed* pass, offer fewer \
            groups.",
        reports: &["openssl/openssl#27557"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let lost = &symptoms.lost;
    let of_client = lost.by == Some(Side::Client) && lost.for_good && lost.copies >= 2;
    let in_hello = symptoms.stopped_at(PhaseName::Tls) && !symptoms.hello_was_answered();
    let hello = symptoms.hello();
    // What has not come whole has more than one.
    let segments = hello.map_or(2, |hello| hello.segments.unwrap_or(1));
    // At a socket it may be whole, and leave in several.
    let is_part = hello.is_some_and(|hello| u64::from(hello.bytes) > u64::from(lost.length));
    (of_client && in_hello).then(|| {
        Found::at(if segments > 1 || is_part { 0.9 } else { 0.5 })
            .with("copies", lost.copies)
            .with("segment_bytes", lost.length)
            .with("hello_bytes", hello.map(|hello| hello.bytes))
            .with("segments", segments)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, Tls, TlsHello},
        session::diagnosis::{
            Lost,
            tests::{ended, fits, hello, misses},
        },
    };

    #[test]
    fn a_hello_whose_segment_is_sent_again_and_again_is_lost() {
        let tls = Tls {
            hello: Some(TlsHello {
                segments: Some(2),
                ..hello(&["1.3"], 1555)
            }),
            ..Tls::default()
        };
        let mut left = ended(Outcome::Timeout, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        assert!(misses(&CAUSE, &left), "it was acknowledged");
        left.lost = Lost {
            copies: 4,
            by: Some(Side::Client),
            length: 1448,
            for_good: true,
            ..Lost::default()
        };
        assert!(fits(&CAUSE, &left) >= 0.9);
    }
}
