//! A login as the agents of its two hosts tell it, each by its own clock.

use std::{net::IpAddr, sync::Arc};

use tracer::record::{
    Attempt, AttemptClient, AttemptId, AttemptRecord, AttemptRef, Auth, AuthKind, Basis, Body,
    Calendar, Certificate, Close, CloseClass, CloseMeans, CloseRecord, ClosedBy, Confidence,
    Connection, ConnectionFacts, ConnectionId, Count, Diagnosis, Encryption, Endpoint, Kubernetes,
    Login, LoginRecord, Nanos, Outcome, Part, PartKind, PartOutcome, Phase, PhaseName, Phases,
    Process, Quantiles, Record, Redirect, Requests, ResolutionOutcome, Server, Side, Sides,
    SqlError, Target, Tcp, Tds, Timestamp, Tls, UserAgent, Vantage, Waited, Written,
};

use super::{
    random::number,
    story::{PATIENCE_NS, Story},
    world::{
        BEHIND_GATEWAY, GATEWAY, LOSSY, OLD_CERTIFICATE, client_address, clock_ahead_ns,
        server_address, server_host,
    },
};

const DAY_SECONDS: u64 = 86_400;

/// One host's agent.
pub(super) struct Teller<'a> {
    pub(super) host: &'a str,
    /// The fleet's first moment, true.
    pub(super) day: Timestamp,
    /// What makes the fleet's names its own.
    pub(super) seed: u64,
}

/// The end that an agent stands at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

impl Teller<'_> {
    /// When a moment of the fleet's day is, by this host's clock.
    pub(super) fn moment(&self, at_ns: u64) -> Timestamp {
        let moment = self.day.0 + at_ns;
        Timestamp(moment.saturating_add_signed(clock_ahead_ns(self.host)))
    }

    fn connection_id(&self, story: &Story) -> u64 {
        number(self.seed ^ u64::from(story.redirected), story.index)
    }

    /// An attempt has the name that its connection's GUID gives it on either host.
    fn attempt_id(&self, story: &Story) -> AttemptId {
        AttemptId(number(self.seed ^ 0xa77e, story.index))
    }

    /// The login and the end of its connection.
    pub(super) fn connection(&self, story: &Story, end: End) -> [Record; 2] {
        let facts = self.facts(story, end);
        let away = if end == End::Server {
            story.there_ns
        } else {
            0
        };
        let decided = story.at_ns + away + facts.login.duration_ns.unwrap_or_default().0;
        let login = Record {
            timestamp: self.moment(decided),
            body: Body::Login(Box::new(LoginRecord {
                facts: facts.clone(),
            })),
        };
        let (facts, close, ended) = closed(story, facts, decided);
        let close = Record {
            timestamp: self.moment(ended),
            body: Body::Close(Box::new(CloseRecord { facts, close })),
        };
        [login, close]
    }

    fn facts(&self, story: &Story, end: End) -> ConnectionFacts {
        let away = if end == End::Server {
            story.there_ns
        } else {
            0
        };
        let phases = phases(story, end);
        let mut login = login(story);
        let spans = phases.whole_login().unwrap_or_default();
        let duration = spans.iter().map(|(_, phase)| phase.duration_ns.0).sum();
        login.duration_ns = Some(Nanos(duration));
        login.sum_up(&phases);
        let answered = story.outcome != Outcome::Unreachable;
        ConnectionFacts {
            connection: Connection {
                id: ConnectionId(self.connection_id(story)),
                community_id: None,
                vantage: match end {
                    End::Client => Vantage::Client,
                    End::Server => Vantage::Server,
                },
                interface: Some("eth0".into()),
                start: self.moment(story.at_ns + away),
                ..Connection::default()
            },
            client: Endpoint {
                address: client_address(story.host),
                port: ephemeral(story),
            },
            server: Server {
                address: server_address(story.server),
                port: story.port,
                instance: None,
            },
            process: Some(process(story, end)),
            nat: Vec::new(),
            attempt: (end == End::Client).then(|| AttemptRef {
                id: self.attempt_id(story),
                number: 1 + u32::from(story.redirected),
            }),
            tcp: Tcp {
                rtt_ns: answered.then(|| Nanos(story.round_trip_ns())),
                syn_retransmits: Some(if answered { 0 } else { 4 }),
                bytes: Sides {
                    client: Count(if answered { 1_400 } else { 0 }),
                    server: Count(if answered { 3_900 } else { 0 }),
                },
                packets: Sides {
                    client: Count(if answered { 14 } else { 5 }),
                    server: Count(if answered { 12 } else { 0 }),
                },
                retransmits: Sides {
                    client: u32::from(LOSSY.contains(&story.host)),
                    server: 0,
                },
                ..Tcp::default()
            },
            tds: answered.then(|| self.tds(story, end)),
            tls: said(story, PhaseName::Tls).then(|| Arc::new(Written::new(self.tls(story)))),
            auth: said(story, PhaseName::Login).then(|| auth(story)),
            login,
            phases,
            mars: None,
            requests: None,
            diagnosis: story.wrong.map(diagnosis).into_iter().collect(),
        }
    }

    fn tds(&self, story: &Story, end: End) -> Tds {
        let id = self.connection_id(story);
        let logged_in = said(story, PhaseName::Login);
        let inside = end == End::Server || logged_in;
        Tds {
            version: logged_in.then(|| "7.4".into()),
            encryption: said(story, PhaseName::Tls).then_some(Encryption::LoginOnly),
            spid: (story.outcome == Outcome::Success)
                .then(|| 51 + u16::try_from(id % 900).unwrap_or(0)),
            packet_size: inside.then_some(4096),
            server_version: logged_in.then(|| "16.0.4135".into()),
            connection_guid: Some(guid(id).into()),
            user_agent: logged_in.then(|| UserAgent {
                driver: Some(story.application.driver.into()),
                version: Some(story.application.driver_version.into()),
                ..UserAgent::default()
            }),
            ..Tds::default()
        }
    }

    fn tls(&self, story: &Story) -> Tls {
        let name = server_host(story.server);
        let days = if story.server == OLD_CERTIFICATE {
            10
        } else {
            300
        };
        let end = self.day.0 / 1_000_000_000 + days * DAY_SECONDS;
        Tls {
            version: Some(story.application.tls.into()),
            cipher: Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".into()),
            sni: Some(name.as_str().into()),
            certificate: Some(Certificate {
                subject: Some(format!("CN={name}").into()),
                not_after: i64::try_from(end)
                    .ok()
                    .and_then(Calendar::from_unix_seconds),
                ..Certificate::default()
            }),
            ..Tls::default()
        }
    }

    /// The attempt, told by the client's host: its name, its connection, and the one behind a gateway.
    pub(super) fn attempt(&self, story: &Story, behind: Option<&Story>) -> Record {
        let names = story.names_ns.unwrap_or(0);
        let start = story.at_ns - names;
        let resolved = PartOutcome::Resolution(ResolutionOutcome::Answered);
        let mut parts = Vec::with_capacity(3);
        if story.names_ns.is_some() {
            let name = server_host(story.server);
            parts.push(part(PartKind::Dns, 0, names, resolved, Some(&name)));
        }
        for one in [Some(story), behind].into_iter().flatten() {
            let kind = if one.outcome == Outcome::Unreachable {
                PartKind::Connect
            } else {
                PartKind::Login
            };
            let mut login = part(
                kind,
                one.at_ns - start,
                one.duration_ns(),
                PartOutcome::Login(one.outcome),
                None,
            );
            login.connection_id = Some(ConnectionId(self.connection_id(one)));
            parts.push(login);
        }
        let last = behind.unwrap_or(story);
        let duration = last.at_ns + last.duration_ns() - start;
        let explained: u64 = parts.iter().map(|part| part.duration_ns.0).sum();
        let attempt = Attempt {
            id: self.attempt_id(story),
            start: self.moment(start),
            duration_ns: Nanos(duration),
            outcome: last.outcome,
            target: Target {
                name: Some(server_host(story.server).into()),
                instance: None,
                port: Some(story.port),
            },
            connections: 1 + u32::from(behind.is_some()),
            recovers: None,
            parts,
            unexplained_ns: Nanos(duration - explained),
            incident: None,
            diagnosis: story.wrong.map(diagnosis).into_iter().collect(),
        };
        Record {
            timestamp: self.moment(start + duration),
            body: Body::Attempt(AttemptRecord {
                client: AttemptClient {
                    address: Some(client_address(story.host)),
                },
                process: Some(process(story, End::Client)),
                attempt,
            }),
        }
    }
}

/// The connection's end, its facts by then, and when it was.
fn closed(
    story: &Story,
    mut facts: ConnectionFacts,
    decided: u64,
) -> (ConnectionFacts, Close, u64) {
    let used = story.outcome == Outcome::Success;
    let idle = if story.forgotten { 240_000_000_000 } else { 0 };
    let lived = if used { story.used_ns + idle } else { 0 };
    if used {
        let usual = Nanos(700_000);
        facts.requests = Some(Requests {
            count: Count(story.requests),
            batch: Count(story.requests),
            server_ns: Some(Quantiles {
                p50: usual,
                p99: usual,
                max: usual,
            }),
            ..Requests::default()
        });
    }
    let (by, how, class) = match story.outcome {
        Outcome::Unreachable => (ClosedBy::Client, CloseMeans::Timeout, CloseClass::Abnormal),
        Outcome::Success if story.forgotten => {
            (ClosedBy::Server, CloseMeans::Rst, CloseClass::Abnormal)
        }
        _ => (ClosedBy::Client, CloseMeans::Fin, CloseClass::Normal),
    };
    let close = Close {
        by,
        how,
        class,
        phase: Some(if used {
            PhaseName::Command
        } else {
            facts.login.slowest_phase.unwrap_or(PhaseName::Handshake)
        }),
        duration_ns: Some(Nanos(decided + lived - story.at_ns)),
        idle_ns: story.forgotten.then_some(Nanos(idle)),
        keep_alive_probes: None,
        middlebox: story.forgotten.then_some(true),
        half_open: None,
        requests_in_flight: None,
    };
    (facts, close, decided + lived)
}

fn said(story: &Story, phase: PhaseName) -> bool {
    story.turns.iter().any(|turn| turn.phase == phase)
}

fn auth(story: &Story) -> Auth {
    let kind = story.application.auth;
    // One Kerberos login in forty falls back.
    let fell_back = kind == AuthKind::Kerberos && story.index.is_multiple_of(40);
    Auth {
        kind: if fell_back { AuthKind::Ntlm } else { kind },
        fallback_from: fell_back.then_some(AuthKind::Kerberos),
        controller_ns: story.controller_ns.map(Nanos),
        ..Auth::default()
    }
}

fn login(story: &Story) -> Login {
    let logged_in = said(story, PhaseName::Login);
    let mut login = Login {
        owed_by: matches!(story.outcome, Outcome::Timeout | Outcome::Unreachable)
            .then_some(Side::Server),
        app_name: logged_in.then(|| story.application.name.as_str().into()),
        database: logged_in.then(|| "shop".into()),
        server_name: logged_in.then(|| server_host(story.server).into()),
        redirect: (story.outcome == Outcome::Redirected).then(|| Redirect {
            address: server_host(GATEWAY).into(),
            port: BEHIND_GATEWAY,
            database: None,
        }),
        error: (story.outcome == Outcome::Failed).then_some(SqlError {
            number: 18456,
            // The state that tells why is in the server's log alone; the wire says 1.
            state: 1,
            class: 14,
        }),
        ..Login::default()
    };
    login.decide(story.outcome, Basis::Observed, None);
    login
}

fn diagnosis(wrong: super::story::Wrong) -> Diagnosis {
    Diagnosis {
        cause: wrong.cause.into(),
        confidence: Confidence(wrong.confidence),
        whom: Some(wrong.whom),
        ..Diagnosis::default()
    }
}

fn process(story: &Story, end: End) -> Process {
    let name = match end {
        End::Client => story.application.process,
        End::Server => "sqlservr",
    };
    // Every second application runs in pods.
    let pod = (end == End::Client && story.application_number.is_multiple_of(2)).then(|| {
        Arc::new(Kubernetes {
            namespace: Some("shop".into()),
            pod: Some(format!("{}-{:03}", story.application.name, story.host).into()),
            container: Some("shop".into()),
            ..Kubernetes::default()
        })
    });
    Process {
        pid: 1_000 + u32::try_from(story.host).unwrap_or(0),
        name: Some(name.into()),
        k8s: pod,
        ..Process::default()
    }
}

fn part(
    kind: PartKind,
    start: u64,
    duration: u64,
    outcome: PartOutcome,
    name: Option<&str>,
) -> Part {
    Part {
        kind,
        start_ns: Nanos(start),
        duration_ns: Nanos(duration),
        outcome,
        name: name.map(Into::into),
        record_type: None,
        requests: None,
        tcp: None,
        address: None::<IpAddr>,
        error_code: None,
        connection_id: None,
        loser: None,
        proxied: None,
        partner: None,
    }
}

fn ephemeral(story: &Story) -> u16 {
    32_768 + u16::try_from(story.index % 28_000).unwrap_or(0)
}

fn guid(id: u64) -> String {
    let hex = format!("{id:016x}{:016x}", number(id, 1));
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    groups.map(|range| &hex[range]).join("-")
}

/// The phases as a host sees them: the client's end waits for the server and the way there and back, the server's for
/// the client and the way back and there.
fn phases(story: &Story, end: End) -> Phases {
    let mut phases = Phases::default();
    let round_trip = story.round_trip_ns();
    if story.outcome == Outcome::Unreachable {
        phases.handshake = Some(phase(0, PATIENCE_NS, false, [0, 0, PATIENCE_NS]));
        return phases;
    }
    let mut at = round_trip;
    phases.handshake = Some(phase(0, round_trip, true, [0, 0, round_trip]));
    for (place, turn) in story.turns.iter().enumerate() {
        let late = story.outcome == Outcome::Timeout && place + 1 == story.turns.len();
        let waited = if late {
            let left = PATIENCE_NS.saturating_sub(at + turn.think_ns);
            [turn.think_ns, left, 0]
        } else {
            // The first message after the handshake was already on its way when the server saw its end.
            let on_the_way = if end == End::Server && place == 0 {
                0
            } else {
                round_trip
            };
            [turn.think_ns, turn.work_ns, on_the_way]
        };
        let duration = waited.iter().sum();
        let told = Some(phase(at, duration, !late, waited));
        match turn.phase {
            PhaseName::Prelogin => phases.prelogin = told,
            PhaseName::Tls => phases.tls = told,
            PhaseName::Login => phases.login = told,
            _ => phases.auth = told,
        }
        at += duration;
    }
    phases
}

fn phase(start: u64, duration: u64, complete: bool, waited: [u64; 3]) -> Phase {
    let [client_ns, server_ns, network_ns] = waited.map(Nanos);
    Phase {
        start_ns: Nanos(start),
        duration_ns: Nanos(duration),
        complete,
        waited: Some(Waited {
            client_ns,
            server_ns,
            network_ns,
        }),
        retransmits: 0,
    }
}
