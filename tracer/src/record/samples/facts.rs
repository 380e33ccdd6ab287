//! A connection with every field filled.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::{START, client, connection_ref, server};
use crate::record::{
    Alert, AlertLevel, AttemptId, AttemptRef, Auth, AuthKind, Basis, Calendar, Certificate,
    Collation, Confidence, Connection, ConnectionFacts, ConnectionRef, Container, Count, Diagnosis,
    Encryption, EncryptionOption, Entra, IncidentId, Kubernetes, Login, MarsSummary, Nanos, Ntlm,
    Outcome, PartialReason, Phase, PhaseName, Phases, Process, Quantiles, Redirect, Requests,
    Runtime, Side, Sides, SqlError, Tcp, Tds, Text, Tls, TlsHello, Translation, UserAgent, Vantage,
    Waited, Whom, Written,
};

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
    let container = Arc::make_mut(process.container.get_or_insert_default());
    container.name.clone_from(&some);
    container.image.clone_from(&some);
    let k8s = Arc::make_mut(process.k8s.get_or_insert_default());
    k8s.namespace.clone_from(&some);
    k8s.pod.clone_from(&some);
    k8s.pod_uid.clone_from(text);
    k8s.container.clone_from(&some);
    k8s.node.clone_from(&some);
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
    let mut tls = facts
        .tls
        .as_deref()
        .map_or_else(Tls::default, |tls| (**tls).clone());
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
    facts.tls = Some(Arc::new(Written::new(tls)));
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

pub(super) fn phase_of(start: u64, duration: u64, complete: bool, waited: [u64; 3]) -> Phase {
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

pub(super) fn facts() -> ConnectionFacts {
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
        nat: vec![translation()],
        attempt: Some(AttemptRef {
            id: AttemptId(id.0),
            number: 2,
        }),
        tcp: tcp(),
        tds: Some(tds()),
        tls: Some(Arc::new(Written::new(tls()))),
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
        diagnosis: vec![diagnosis()],
    }
}

pub(super) fn diagnosis() -> Diagnosis {
    Diagnosis {
        cause: "domain_controller_slow".into(),
        confidence: Confidence(0.8),
        whom: Some(Whom::Identity),
        evidence: BTreeMap::from([("controller_ns".into(), json!(1_252_173))]),
        meaning: "the domain controller is slow",
        seen: "the server answered the client's token after {controller_ns}",
    }
}

fn translation() -> Translation {
    let mut translation = Translation {
        client: client(),
        server: client(),
    };
    translation.server.port = 14_330;
    translation
}

const POD: &str = "ccf19bc6-503b-4dd0-b33d-e5717fe6613c";
const CONTAINER: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

fn process() -> Process {
    Process {
        pid: 4711,
        uid: Some(1000),
        name: Some("python3".into()),
        executable: Some("/usr/bin/python3.11".into()),
        cgroup: Some(format!("/kubepods/burstable/pod{POD}/{CONTAINER}").into()),
        container_id: Some(CONTAINER.into()),
        container: Some(Arc::new(Container {
            name: Some("app".into()),
            image: Some("registry.example/shop:1.4".into()),
            runtime: Some(Runtime::Containerd),
        })),
        k8s: Some(Arc::new(Kubernetes {
            namespace: Some("web".into()),
            pod: Some("shop-0".into()),
            pod_uid: POD.into(),
            container: Some("app".into()),
            node: Some("node-1".into()),
        })),
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
        loser: Some(false),
        incident: Some(IncidentId(0xfeed)),
    }
}

pub(super) fn phases() -> Phases {
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
