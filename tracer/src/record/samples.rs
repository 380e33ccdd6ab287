//! Records for tests: one of each event, the connection's with every field filled.

mod facts;

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

pub(crate) use self::facts::fill_texts;
use self::facts::{diagnosis, facts, phase_of, phases};
use super::{
    Affected, AffectedClient, AffectedName, AffectedServer, Agent, AgentAction, AgentRecord,
    AskedServer, Attempt, AttemptClient, AttemptId, AttemptRecord, AuthKind, Basis, Body, Close,
    CloseClass, CloseMeans, CloseRecord, ClosedBy, Confidence, Connection, ConnectionFacts,
    ConnectionId, ConnectionRef, Count, Endpoint, Incident, IncidentAction, IncidentId,
    IncidentLogin, IncidentOutcome, IncidentRecord, IncidentScope, Login, LoginRecord, Lookup,
    LookupAnswer, LookupKind, LookupOutcome, LookupRecord, Loss, LossReason, LossRecord,
    MarsRecord, MarsSession, NamedPhase, Nanos, Outcome, Part, PartKind, PartOutcome,
    PendingRecord, PhaseName, PhaseRecord, Phases, Record, RecordType, Request, RequestKind,
    RequestRecord, ResolutionOutcome, Server, ServiceOutcome, Side, Sides, SqlError, Status,
    Target, Tcp, Timestamp, Whom,
};

const START: Timestamp = Timestamp(1_795_376_726_077_542_569);

fn at(offset: u64) -> Timestamp {
    Timestamp(START.0 + offset)
}

fn record(offset: u64, body: Body) -> Record {
    Record {
        timestamp: at(offset),
        body,
    }
}

fn client() -> Endpoint {
    Endpoint {
        address: IpAddr::from([10, 77, 0, 1]),
        port: 50210,
    }
}

fn server() -> Server {
    Server {
        address: IpAddr::from([10, 77, 0, 2]),
        port: 1433,
        instance: Some("SQL6".into()),
    }
}

fn connection_ref() -> ConnectionRef {
    ConnectionRef {
        id: ConnectionId(0x0123_4567_89ab_cdef),
        community_id: Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into()),
    }
}

pub(crate) fn all() -> Vec<Record> {
    vec![
        login(),
        failed(),
        refused(),
        pending(),
        close(),
        phase(),
        request(),
        mars(),
        lookup(),
        attempt(),
        incident(),
        incident_over(),
        loss(),
        agent(),
        status(),
    ]
}

/// The record's native line as a value, from the host `sql1`.
pub(crate) fn value(record: &Record) -> Value {
    let mut out = Vec::new();
    record.to_line("sql1", &mut out).expect("a line");
    serde_json::from_slice(&out).expect("JSON")
}

pub(crate) fn login() -> Record {
    record(
        8_777_871,
        Body::Login(Box::new(LoginRecord { facts: facts() })),
    )
}

/// A login that the server refused with error 18456.
pub(crate) fn failed() -> Record {
    let mut facts = facts();
    facts.login.outcome = Some(Outcome::Failed);
    facts.login.error = Some(SqlError {
        number: 18456,
        state: 1,
        class: 14,
    });
    record(8_777_871, Body::Login(Box::new(LoginRecord { facts })))
}

/// The least that a login says: an RST in answer to the SYN, over IPv6.
pub(crate) fn refused() -> Record {
    let phases = Phases {
        handshake: Some(phase_of(0, 61_000, false, [0, 0, 61_000])),
        ..Phases::default()
    };
    let facts = ConnectionFacts {
        connection: Connection {
            start: START,
            ..Connection::default()
        },
        client: Endpoint {
            address: "fd00::1".parse().expect("an address"),
            port: 40000,
        },
        server: Server {
            address: "fd00::2".parse().expect("an address"),
            port: 1433,
            instance: None,
        },
        process: None,
        nat: Vec::new(),
        attempt: None,
        tcp: Tcp::default(),
        tds: None,
        tls: None,
        auth: None,
        login: Login {
            outcome: Some(Outcome::Refused),
            basis: Some(Basis::Observed),
            duration_ns: Some(Nanos(61_000)),
            client_ns: Some(Nanos(0)),
            server_ns: Some(Nanos(0)),
            network_ns: Some(Nanos(61_000)),
            slowest_phase: Some(PhaseName::Handshake),
            ..Login::default()
        },
        phases,
        mars: None,
        requests: None,
        diagnosis: Vec::new(),
    };
    record(61_000, Body::Login(Box::new(LoginRecord { facts })))
}

/// A login that waits for the server's answer to its LOGIN7.
pub(crate) fn pending() -> Record {
    let mut facts = facts();
    facts.login = Login {
        owed_by: Some(Side::Server),
        app_name: Some("orders".into()),
        ..Login::default()
    };
    facts.phases = Phases {
        login: Some(phase_of(
            7_525_698,
            29_992_474_302,
            false,
            [52_173, 29_992_422_129, 0],
        )),
        auth: None,
        mars: None,
        command: None,
        close: None,
        ..phases()
    };
    (facts.mars, facts.requests) = (None, None);
    record(
        30_000_000_000,
        Body::Pending(Box::new(PendingRecord { facts })),
    )
}

pub(crate) fn close() -> Record {
    let close = Close {
        by: ClosedBy::Server,
        how: CloseMeans::Rst,
        class: CloseClass::Abnormal,
        phase: Some(PhaseName::Command),
        duration_ns: Some(Nanos(12_000_000)),
        idle_ns: Some(Nanos(240_000_000_000)),
        keep_alive_probes: Some(10),
        middlebox: Some(true),
        half_open: Some(false),
        requests_in_flight: Some(1),
    };
    record(
        12_000_000,
        Body::Close(Box::new(CloseRecord {
            facts: facts(),
            close,
        })),
    )
}

pub(crate) fn phase() -> Record {
    let phase = PhaseRecord {
        connection: connection_ref(),
        client: client(),
        server: server(),
        phase: NamedPhase {
            name: PhaseName::Prelogin,
            phase: phase_of(717_722, 967_562, true, [100_000, 800_000, 67_562]),
        },
    };
    record(1_685_284, Body::Phase(phase))
}

pub(crate) fn request() -> Record {
    let request = Request {
        kind: RequestKind::Batch,
        start: at(9_000_000),
        first_byte_ns: Some(Nanos(1_000_000)),
        duration_ns: Nanos(1_500_000),
        server_ns: Some(Nanos(900_000)),
        complete: true,
        reset_connection: true,
        cancelled: false,
        cancel_ns: None,
        session: Some(0),
    };
    let connection = connection_ref();
    let body = RequestRecord {
        connection,
        client: client(),
        server: server(),
        request,
    };
    record(10_500_000, Body::Request(body))
}

pub(crate) fn mars() -> Record {
    let mars = MarsSession {
        sid: 1,
        requests: Count(3),
        bytes: Sides {
            client: Count(420),
            server: Count(1 << 54),
        },
        window_stalls: 2,
        stalled_ns: Nanos(5_000_000),
        duration_ns: Some(Nanos(9_000_000)),
        closed_by: Some(ClosedBy::Client),
        how: Some(CloseMeans::Fin),
        basis: Some(Basis::Inferred),
    };
    let connection = connection_ref();
    record(
        11_000_000,
        Body::Mars(MarsRecord {
            connection,
            client: client(),
            server: server(),
            mars,
        }),
    )
}

pub(crate) fn lookup() -> Record {
    let answer = LookupAnswer {
        server_name: Some("SQLHOST".into()),
        instance: Some("SQL6".into()),
        version: Some("16.0.1000.6".into()),
        clustered: Some(false),
        port: Some(57139),
        pipe: Some(r"\\SQLHOST\pipe\sql\query".into()),
    };
    let lookup = Lookup {
        kind: LookupKind::Instance,
        instance: Some("SQL6".into()),
        outcome: LookupOutcome::Answered,
        duration_ns: Nanos(700_000),
        requests: 2,
        answer: Some(answer),
        answers: Some(1),
        instances: Some(1),
        answered_from: Some(IpAddr::from([10, 77, 0, 3])),
        instance_mismatch: Some(true),
        malformed: Some(true),
        partial: Some(true),
    };
    let Server {
        address, instance, ..
    } = server();
    let server = AskedServer {
        address,
        port: Some(57139),
        instance,
    };
    record(
        700_000,
        Body::Lookup(LookupRecord {
            client: client(),
            server,
            process: None,
            lookup,
        }),
    )
}

pub(crate) fn attempt() -> Record {
    let part = |kind, start, duration, outcome| Part {
        kind,
        start_ns: Nanos(start),
        duration_ns: Nanos(duration),
        outcome,
        name: Some("sql1.lab.test".into()),
        record_type: None,
        requests: None,
        tcp: None,
        address: None,
        error_code: None,
        connection_id: Some(connection_ref().id),
        loser: None,
        proxied: None,
        partner: None,
    };
    let resolved = PartOutcome::Resolution(ResolutionOutcome::Answered);
    let answered = PartOutcome::Lookup(LookupOutcome::Answered);
    let no_ticket = PartOutcome::Service(ServiceOutcome::Error);
    let [aborted, success] = [Outcome::Aborted, Outcome::Success].map(PartOutcome::Login);
    let attempt = Attempt {
        id: AttemptId(0x0123_4567_89ab_cdef),
        start: START,
        duration_ns: Nanos(9_577_871),
        outcome: Outcome::Success,
        target: Target {
            name: Some("sql1.lab.test".into()),
            instance: Some("SQL6".into()),
            port: Some(57139),
        },
        connections: 2,
        recovers: None,
        parts: vec![
            Part {
                record_type: Some(RecordType::Aaaa),
                requests: Some(2),
                tcp: Some(true),
                ..part(PartKind::Dns, 0, 0, resolved)
            },
            Part {
                address: Some(IpAddr::from([10, 77, 0, 9])),
                error_code: Some(7),
                ..part(PartKind::Kdc, 0, 600_000, no_ticket)
            },
            part(PartKind::Lookup, 0, 700_000, answered),
            Part {
                loser: Some(true),
                ..part(PartKind::Connect, 750_000, 200_000, aborted)
            },
            part(PartKind::Login, 800_000, 8_777_871, success),
        ],
        incident: Some(IncidentId(0x1d2c_3b4a_5968_7788)),
        unexplained_ns: Nanos(50_000),
        diagnosis: vec![diagnosis()],
    };
    let client = AttemptClient {
        address: Some(client().address),
    };
    let process = None;
    record(
        9_577_871,
        Body::Attempt(AttemptRecord {
            client,
            process,
            attempt,
        }),
    )
}

/// An incident that goes on, with every field but its end.
pub(crate) fn incident() -> Record {
    let login = |outcome, duration| IncidentLogin {
        connection_id: connection_ref().id,
        start: START,
        outcome: Some(outcome),
        duration_ns: Nanos(duration),
        phase: Some(PhaseName::Prelogin),
    };
    let named = |name: &str, logins| Affected {
        count: Count(1),
        at_least: None,
        top: vec![AffectedName {
            name: name.into(),
            logins: Count(logins),
        }],
    };
    let counts = |slugs: [(&'static str, u64); 2]| {
        let each = slugs.map(|(slug, count)| (slug.into(), Count(count)));
        BTreeMap::from(each)
    };
    let incident = Incident {
        id: IncidentId(0xfeed),
        action: IncidentAction::Updated,
        outcome: None,
        scope: IncidentScope::Server,
        cause: "server_threads_exhausted".into(),
        confidence: Confidence(0.88),
        whom: Some(Whom::Database),
        error: Some(18456),
        start: START,
        end: None,
        duration_ns: Nanos(74_200_000_000),
        logins: Count(63),
        of_logins: Count(70),
        failed: Count(50),
        slow: Count(10),
        pending: Count(3),
        usual_per_minute: Some(0.4),
        causes: counts([("server_threads_exhausted", 60), ("server_silent", 3)]),
        outcomes: BTreeMap::from([(Outcome::Timeout, Count(50)), (Outcome::Success, Count(10))]),
        auth: BTreeMap::from([(AuthKind::Sql, Count(9)), (AuthKind::Ntlm, Count(1))]),
        clients: Affected {
            count: Count(12),
            at_least: Some(true),
            top: vec![AffectedClient {
                address: client().address,
                logins: Count(31),
            }],
        },
        servers: Affected {
            count: Count(1),
            at_least: None,
            top: vec![AffectedServer {
                address: server().address,
                port: 1433,
                logins: Count(63),
            }],
        },
        processes: Some(named("dotnet", 63)),
        applications: Some(named("orders", 63)),
        first: login(Outcome::Timeout, 14_000_000_000),
        worst: login(Outcome::Success, 14_200_000_000),
        evidence: BTreeMap::from([("stalled_with_it".into(), 62.into())]),
        meaning: "SQL Server had no free worker",
    };
    record(
        74_200_000_000,
        Body::Incident(Box::new(IncidentRecord { incident })),
    )
}

/// The same, over, with its end.
pub(crate) fn incident_over() -> Record {
    let mut over = incident();
    if let Body::Incident(record) = &mut over.body {
        let incident = &mut record.incident;
        incident.action = IncidentAction::Closed;
        incident.outcome = Some(IncidentOutcome::Recovered);
        incident.end = Some(at(74_200_000_000));
        incident.pending = Count(0);
    }
    over
}

pub(crate) fn loss() -> Record {
    let loss = Loss {
        reason: LossReason::RingFull,
        stranger: None,
        count: Count(12),
        events: BTreeMap::new(),
        since: START,
    };
    record(2_000_000_000, Body::Loss(LossRecord { loss }))
}

pub(crate) fn agent() -> Record {
    let agent = Agent {
        version: Some("0.1.0".into()),
        interface: Some("eth0".into()),
        port: Some(11_000),
        address: Some(IpAddr::from([192, 0, 2, 10])),
        hooks: vec!["tcx".into(), "cgroup".into()],
        reason: Some("requested".into()),
        detail: Some("watches port 1433".into()),
        ..Agent::new(AgentAction::Start)
    };
    record(0, Body::Agent(AgentRecord { agent }))
}

pub(crate) fn status() -> Record {
    let status = Status {
        since: START,
        open_connections: Count(120),
        undecided: Some(Count(3)),
        joined_late: Some(Count(40)),
        connections: Count(90),
        logins: BTreeMap::from([(Outcome::Success, Count(85)), (Outcome::Failed, Count(2))]),
        events: Count(4200),
        losses: BTreeMap::from([(LossReason::RingFull, Count(12))]),
        learned_ports: Some(Count(2)),
        memory_bytes: Some(Count(58 << 20)),
        sinks: BTreeMap::new(),
    };
    let agent = Agent {
        status: Some(status),
        ..Agent::new(AgentAction::Status)
    };
    record(60_000_000_000, Body::Agent(AgentRecord { agent }))
}
