//! Records for tests: one of each event, the connection's with every field filled.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::{Value, json};

use super::{
    Agent, AgentAction, AgentRecord, Alert, AlertLevel, Auth, AuthKind, Basis, Body, Calendar,
    Certificate, Close, CloseClass, CloseMeans, CloseRecord, ClosedBy, Collation, Confidence,
    Connection, ConnectionFacts, ConnectionId, ConnectionRef, Count, Diagnosis, Encryption,
    EncryptionOption, Endpoint, Entra, Login, LoginRecord, Lookup, LookupAnswer, LookupKind,
    LookupOutcome, LookupRecord, Loss, LossReason, LossRecord, MarsRecord, MarsSession,
    MarsSummary, NamedPhase, Nanos, Ntlm, Outcome, PartialReason, PendingRecord, Phase, PhaseName,
    PhaseRecord, Phases, Process, Quantiles, Record, Redirect, Request, RequestKind, RequestRecord,
    Requests, Server, Side, Sides, SqlError, Status, Tcp, Tds, Text, Timestamp, Tls, TlsHello,
    UserAgent, Vantage, Waited,
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
        answer: Some(answer),
        instances: Some(1),
    };
    let server = Server {
        port: 1434,
        ..server()
    };
    record(
        700_000,
        Body::Lookup(LookupRecord {
            client: client(),
            server,
            lookup,
        }),
    )
}

pub(crate) fn loss() -> Record {
    let loss = Loss {
        reason: LossReason::RingFull,
        stranger: None,
        count: Count(12),
        since: START,
    };
    record(2_000_000_000, Body::Loss(LossRecord { loss }))
}

pub(crate) fn agent() -> Record {
    let agent = Agent {
        version: Some("0.1.0".into()),
        interface: Some("eth0".into()),
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
        memory_bytes: Some(Count(58 << 20)),
    };
    let agent = Agent {
        status: Some(status),
        ..Agent::new(AgentAction::Status)
    };
    record(60_000_000_000, Body::Agent(AgentRecord { agent }))
}

/// Every text of the facts becomes `text`.
pub(crate) fn fill_texts(facts: &mut ConnectionFacts, text: &Text) {
    let some = Some(text.clone());
    facts.connection.interface.clone_from(&some);
    facts.server.instance.clone_from(&some);
    let process = facts.process.get_or_insert_default();
    process.name.clone_from(&some);
    process.executable.clone_from(&some);
    process.cgroup.clone_from(&some);
    process.container_id.clone_from(&some);
    let tds = facts.tds.get_or_insert_default();
    tds.server_program.clone_from(&some);
    tds.features = vec![text.clone(); 12];
    tds.features_acknowledged = vec![text.clone(); 12];
    tds.mirror_partner.clone_from(&some);
    let agent = tds.user_agent.get_or_insert_default();
    agent.driver.clone_from(&some);
    agent.version.clone_from(&some);
    agent.architecture.clone_from(&some);
    agent.os.clone_from(&some);
    agent.runtime.clone_from(&some);
    let tls = facts.tls.get_or_insert_default();
    tls.sni.clone_from(&some);
    tls.alpn.clone_from(&some);
    let hello = tls.hello.get_or_insert_default();
    hello.versions = vec![text.clone(); TlsHello::MAX_LISTED];
    hello.groups = vec![text.clone(); TlsHello::MAX_LISTED];
    hello.signature_algorithms = vec![text.clone(); TlsHello::MAX_LISTED];
    let certificate = tls.certificate.get_or_insert_default();
    certificate.subject.clone_from(&some);
    certificate.issuer.clone_from(&some);
    certificate.subject_alt_names = vec![text.clone(); Certificate::MAX_NAMES];
    certificate.crl_hosts = vec![text.clone(); Certificate::MAX_CRL_HOSTS];
    let auth = facts.auth.get_or_insert_default();
    let ntlm = auth.ntlm.get_or_insert_default();
    ntlm.domain.clone_from(&some);
    ntlm.user.clone_from(&some);
    ntlm.workstation.clone_from(&some);
    ntlm.target_domain.clone_from(&some);
    ntlm.target_computer.clone_from(&some);
    let login = &mut facts.login;
    login.database.clone_from(&some);
    login.app_name.clone_from(&some);
    login.client_library.clone_from(&some);
    login.server_name.clone_from(&some);
    login.language.clone_from(&some);
    login.host_name.clone_from(&some);
    login.user.clone_from(&some);
    login.redirect = Some(Redirect {
        address: text.clone(),
        port: 1,
        database: some,
    });
}

fn phase_of(start: u64, duration: u64, complete: bool, waited: [u64; 3]) -> Phase {
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

fn facts() -> ConnectionFacts {
    let ConnectionRef { id, community_id } = connection_ref();
    let mut connection = Connection {
        id,
        community_id,
        vantage: Vantage::Client,
        interface: Some("eth0".into()),
        start: START,
        ..Connection::default()
    };
    connection.mark_partial(PartialReason::Gap);
    ConnectionFacts {
        connection,
        client: client(),
        server: server(),
        process: Some(process()),
        tcp: tcp(),
        tds: Some(tds()),
        tls: Some(tls()),
        auth: Some(auth()),
        login: login_facts(),
        phases: phases(),
        mars: Some(MarsSummary {
            sessions: 2,
            max_concurrent: 2,
            resets: 1,
            basis: Some(Basis::Inferred),
        }),
        requests: Some(requests()),
        diagnosis: vec![Diagnosis {
            cause: "slow_domain_controller".into(),
            confidence: Confidence(0.8),
            evidence: BTreeMap::from([("controller_ns".into(), json!(1_252_173))]),
        }],
    }
}

fn process() -> Process {
    Process {
        pid: 4711,
        uid: Some(1000),
        name: Some("python3".into()),
        executable: Some("/usr/bin/python3.11".into()),
        cgroup: Some("/system.slice/shop.service".into()),
        container_id: Some("0f1e2d3c4b5a".into()),
    }
}

fn tcp() -> Tcp {
    Tcp {
        rtt_ns: Some(Nanos(48_000)),
        smoothed_rtt_ns: Some(Nanos(61_000)),
        syn_retransmits: Some(0),
        retransmits: Sides {
            client: 1,
            server: 0,
        },
        zero_window: Sides::default(),
        bytes: Sides {
            client: Count(1200),
            server: Count(4300),
        },
        packets: Sides {
            client: Count(12),
            server: Count(14),
        },
    }
}

fn tds() -> Tds {
    Tds {
        version: Some("7.4".into()),
        encryption: Some(Encryption::LoginOnly),
        encryption_asked: Some(EncryptionOption::Off),
        encryption_answered: Some(EncryptionOption::Off),
        mars: Some(true),
        spid: Some(51),
        packet_size: Some(4096),
        client_version: Some("18.5.1.1".into()),
        server_version: Some("16.0.1000".into()),
        server_program: Some("Microsoft SQL Server".into()),
        connection_guid: Some("8fd1c5a0-3b0a-4ad5-9a4c-1d2f3e4a5b6c".into()),
        activity_guid: Some("00000000-0000-0000-0000-000000000000".into()),
        activity_sequence: Some(0),
        fedauth_required: Some(false),
        instance_mismatch: Some(false),
        read_only_intent: Some(true),
        features: vec!["session_recovery".into(), "utf8_support".into()],
        features_acknowledged: vec!["utf8_support".into()],
        user_agent: Some(UserAgent {
            driver: Some("MS-ODBC".into()),
            version: Some("18.6.2.1".into()),
            architecture: Some("x86_64".into()),
            os: Some("Linux 6.18.44".into()),
            runtime: Some("CPython 3.11".into()),
        }),
        mirror_partner: Some("SQL2".into()),
        collation: Some(Collation {
            lcid: 1033,
            sort_id: 52,
        }),
        session_recoverable: Some(true),
    }
}

fn tls() -> Tls {
    Tls {
        version: Some("1.2".into()),
        cipher: Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".into()),
        sni: Some("sql1.lab.test".into()),
        alpn: Some("tds/8.0".into()),
        resumed: Some(false),
        hello: Some(TlsHello {
            bytes: 517,
            segments: Some(1),
            versions: vec!["1.3".into(), "1.2".into()],
            groups: vec!["x25519".into(), "secp256r1".into()],
            signature_algorithms: vec!["ecdsa_secp256r1_sha256".into(), "0x0999".into()],
            ja4: "t13d1516t0_8daaf6152771_e5627efa2ab1".into(),
        }),
        client_certificate: Some(false),
        alert: Some(Alert {
            from: Side::Client,
            level: Some(AlertLevel::Fatal),
            description: Some("unknown_ca".into()),
        }),
        certificate: Some(Certificate {
            subject: Some("CN=sql1.lab.test".into()),
            issuer: Some("CN=Lab CA".into()),
            not_before: Calendar::from_unix_seconds(1_795_380_547),
            not_after: Calendar::from_unix_seconds(253_402_300_799),
            signature_algorithm: Some("sha256WithRSAEncryption".into()),
            key_bits: Some(2048),
            self_signed: Some(false),
            subject_alt_names: vec!["sql1.lab.test".into(), "10.77.0.2".into()],
            serial_negative: Some(false),
            chain_length: Some(2),
            crl_hosts: vec!["crl.lab.test".into()],
        }),
    }
}

fn auth() -> Auth {
    Auth {
        kind: AuthKind::Ntlm,
        rounds: Some(2),
        mechanisms: vec![AuthKind::Kerberos, AuthKind::Ntlm],
        fallback_from: Some(AuthKind::Kerberos),
        controller_ns: Some(Nanos(1_252_173)),
        ntlm: Some(Ntlm {
            version: Some(2),
            null_credentials: Some(false),
            domain: Some("LAB".into()),
            user: Some("alice".into()),
            workstation: Some("WS1".into()),
            target_domain: Some("LAB".into()),
            target_computer: Some("SQL1".into()),
        }),
        entra: Some(Entra {
            token_fetch_ns: Some(Nanos(400_000_000)),
            sts_host: Some("login.lab.test".into()),
            spn: Some("https://database.lab.test/".into()),
            nonce: Some(true),
        }),
    }
}

fn login_facts() -> Login {
    Login {
        outcome: Some(Outcome::Success),
        basis: Some(Basis::Inferred),
        confidence: Some(Confidence(0.97)),
        duration_ns: Some(Nanos(8_777_871)),
        client_ns: Some(Nanos(2_169_895)),
        server_ns: Some(Nanos(5_604_000)),
        network_ns: Some(Nanos(1_003_976)),
        slowest_phase: Some(PhaseName::Tls),
        owed_by: Some(Side::Server),
        late_reply_ns: Some(Nanos(30_000)),
        attention: Some(true),
        error: Some(SqlError {
            number: 5701,
            state: 2,
            class: 0,
        }),
        further_errors: vec![SqlError {
            number: 18456,
            state: 1,
            class: 14,
        }],
        database: Some("shop".into()),
        app_name: Some("orders".into()),
        client_library: Some("ODBC".into()),
        server_name: Some("sql1.lab.test".into()),
        language: Some("us_english".into()),
        client_pid: Some(4711),
        host_name: Some("WS1".into()),
        user: Some("alice".into()),
        password_change: Some(false),
        redirect: Some(Redirect {
            address: "sql2.lab.test".into(),
            port: 57139,
            database: Some("shop".into()),
        }),
        stranger: None,
    }
}

fn phases() -> Phases {
    Phases {
        handshake: Some(phase_of(0, 717_722, true, [17_722, 0, 700_000])),
        prelogin: Some(phase_of(717_722, 967_562, true, [100_000, 800_000, 67_562])),
        tls: Some(phase_of(
            1_685_284,
            5_840_414,
            true,
            [2_000_000, 3_700_000, 140_414],
        )),
        login: Some(phase_of(
            7_525_698,
            1_052_173,
            true,
            [52_173, 952_000, 48_000],
        )),
        auth: Some(phase_of(8_577_871, 200_000, true, [0, 152_000, 48_000])),
        mars: Some(phase_of(9_000_000, 1_000_000, true, [500_000, 500_000, 0])),
        command: Some(phase_of(8_777_871, 2_000_000, false, [0, 2_000_000, 0])),
        close: Some(phase_of(11_500_000, 500_000, true, [0, 500_000, 0])),
    }
}

fn requests() -> Requests {
    Requests {
        count: Count(4),
        batch: Count(1),
        rpc: Count(1),
        bulk: Count(1),
        transaction: Count(1),
        attention: Count(1),
        server_ns: Some(Quantiles {
            p50: Nanos(500_000),
            p99: Nanos(900_000),
            max: Nanos(900_000),
        }),
    }
}
