//! What is known of a connection, from what its messages and its packets said.

use crate::{
    record::{
        Alert, AlertLevel, Auth, Collation, Connection, ConnectionFacts, Count, Login, Nanos,
        Outcome, OutcomeKind, Phases, Redirect, Side as RecordSide, Sides, Stranger, Tcp, Tds,
        Text, Tls, TlsHello, UserAgent,
    },
    session::{
        dialogue::{Contents, Dialogue},
        input::Side,
        wire::Wire,
    },
    tds::{
        login7::Login7,
        tls::{self, ClientHello, TlsSide, group_name, signature_algorithm_name, version_name},
        user_agent,
    },
};

use super::{About, Conclusion, Report, client, own::describe_trace, server, translation};

const TLS_1_3: u16 = 0x0304;

impl Report<'_> {
    /// All that is known of a connection whose login is decided so, or stands so.
    pub(in crate::session) fn describe(
        &mut self,
        wire: &Wire,
        about: &About,
        dialogue: &Dialogue,
        conclusion: &Conclusion,
    ) -> Box<ConnectionFacts> {
        let mut facts = self.describe_unseen(wire, about, dialogue);
        let decision = conclusion.decision;
        self.describe_login(dialogue, conclusion, &mut facts);
        super::login::describe_outcome(wire, conclusion, &mut facts);
        let whole = about.is_whole();
        super::login::describe_phases(wire, conclusion, whole, &mut facts);
        let sealed = dialogue.sealed_auth(decision.rounds);
        let encryption = facts.tds.as_ref().and_then(|tds| tds.encryption);
        let auth = &dialogue.contents.auth;
        facts.auth = auth
            .facts(encryption, decision.outcome, &sealed, conclusion.whole)
            .filter(|_| !dialogue.is_foreign() || dialogue.contents.login7.is_some());
        disown_tls(dialogue, decision.outcome, &mut facts);
        leave_out_times(wire, &mut facts);
        facts.login.sum_up(&facts.phases);
        facts
    }

    /// What is known of a connection of whose login nothing is told.
    pub(in crate::session) fn describe_unseen(
        &mut self,
        wire: &Wire,
        about: &About,
        dialogue: &Dialogue,
    ) -> Box<ConnectionFacts> {
        let tls = self.describe_tls(dialogue);
        let tls = tls.map(|tls| self.keep_tls(tls));
        let config = &self.shared.config;
        let connection = Connection {
            id: wire.id(),
            community_id: Some(wire.identity().community_id()),
            interface: config.interface(about.ifindex),
            start: config.wall(wire.started),
            ..Connection::default()
        };
        let tds = describe_tds(&dialogue.contents);
        let mut server = server(wire);
        let instance = dialogue
            .contents
            .asked
            .as_ref()
            .and_then(|asked| asked.instance.as_deref());
        let instance = instance.filter(|name| !name.is_empty()).map(Text::from);
        // What SQL Browser says is the server's own word; a client may spell it as it likes.
        server.instance = dialogue.contents.announced.clone().or(instance);
        let mut facts = Box::new(ConnectionFacts {
            connection,
            client: client(wire),
            server,
            process: None,
            nat: Vec::new(),
            attempt: None,
            tcp: Tcp::default(),
            tds,
            tls,
            auth: None,
            login: Login::default(),
            phases: Phases::default(),
            mars: None,
            requests: None,
            diagnosis: Vec::new(),
        });
        // What passes of a connection joined late may be anybody's, until a login is seen.
        if dialogue.is_foreign() || (wire.joined_late && !dialogue.saw_login()) {
            facts.tds = None;
        }
        describe_tcp(wire, about, &mut facts);
        facts
    }

    /// What both sides have said of TLS so far.
    fn describe_tls(&mut self, dialogue: &Dialogue) -> Option<Tls> {
        let [client, server] = &dialogue.contents.tls;
        if client.records + server.records == 0 {
            return None;
        }
        let mut tls = Tls::default();
        if let Some(hello) = &client.client_hello {
            tls.sni = hello.sni.as_deref().map(Text::from);
            tls.hello = Some(describe_hello(hello, dialogue.hello_segments()));
        }
        if let Some(hello) = &server.server_hello {
            tls.version = version_name(hello.version).map(Text::fixed);
            tls.cipher = hello.cipher_name().map(Text::fixed);
            // ODBC asks for TDS 8.0 inside TDS 7 as well, where it means nothing.
            let hidden = dialogue.is_strict() && hello.version == TLS_1_3;
            let asked = client.client_hello.as_ref().filter(|_| hidden);
            let asked = asked.and_then(|hello| hello.alpn.first());
            let alpn = hello.alpn.as_ref().or(asked);
            tls.alpn = alpn.map(|alpn| Text::from(alpn.as_str()));
        }
        tls.resumed = tls::resumed(client, server);
        tls.client_certificate = client.certificate_seen.then_some(true);
        tls.alert = describe_alert(&dialogue.contents.tls);
        let certificate = server.certificate.as_deref();
        tls.certificate = certificate.and_then(|der| self.shared.certificates.read(der));
        if let Some(certificate) = &mut tls.certificate {
            certificate.chain_length = server.chain_length;
        }
        (tls != Tls::default()).then_some(tls)
    }

    fn describe_login(
        &self,
        dialogue: &Dialogue,
        conclusion: &Conclusion,
        facts: &mut ConnectionFacts,
    ) {
        let contents = &dialogue.contents;
        let into = &mut facts.login;
        if let Some(login) = contents.login7.as_deref() {
            self.describe_login7(login, into);
        }
        let reply = &contents.reply;
        let text = |value: &Option<String>| value.as_deref().map(Text::from);
        into.database = text(&reply.database).or(into.database.take());
        into.language = text(&reply.language).or(into.language.take());
        into.error = reply.errors.first().copied();
        into.further_errors = reply.errors.iter().skip(1).copied().collect();
        into.redirect = reply.routing.as_ref().map(|routing| Redirect {
            address: Text::from(routing.host.as_str()),
            port: routing.port,
            database: routing.database.as_deref().map(Text::from),
        });
        into.attention = dialogue.was_taken_back().then_some(true);
        into.stranger = contents.stranger;
        doubt_wishes(dialogue, conclusion, facts);
    }

    fn describe_login7(&self, login: &Login7, into: &mut Login) {
        let text = |value: &Option<String>| {
            let value = value.as_deref().filter(|value| !value.is_empty());
            value.map(Text::from)
        };
        let identity = &self.shared.config.identity;
        let name = |value: &Option<String>| value.as_deref().and_then(|name| identity.apply(name));
        into.app_name = text(&login.app_name);
        into.client_library = text(&login.library);
        into.server_name = text(&login.server_name);
        into.language = text(&login.language);
        into.database = text(&login.database);
        into.client_pid = Some(login.client_pid).filter(|pid| *pid != 0);
        into.password_change = login.change_password.then_some(true);
        into.host_name = name(&login.host_name);
        into.user = name(&login.user_name);
    }
}

/// What both sides have said of TDS.
fn describe_tds(contents: &Contents) -> Option<Tds> {
    let (asked, answered) = (contents.asked.as_ref(), contents.answered.as_ref());
    let (login, reply) = (contents.login7.as_deref(), &contents.reply);
    let ack = reply.ack.as_ref();
    let version = ack.map(|ack| ack.tds_version).or(contents.version);
    let trace = contents.trace();
    let shown = |version: &dyn std::fmt::Display| Text::shown(&version);
    let mut tds = Tds {
        version: version.map(|version| Text::shown(&version)),
        encryption: contents.encryption,
        encryption_asked: asked
            .and_then(|asked| asked.encryption)
            .map(|setting| setting.option),
        encryption_answered: answered
            .and_then(|answered| answered.encryption)
            .map(|setting| setting.option),
        mars: contents.mars(),
        spid: reply.spid,
        packet_size: reply.packet_size.or_else(|| {
            login
                .map(|login| login.packet_size)
                .filter(|size| *size != 0)
        }),
        client_version: asked
            .and_then(|asked| asked.version)
            .map(|version| shown(&version)),
        server_version: answered
            .and_then(|answered| answered.version)
            .map(|version| shown(&version))
            .or_else(|| ack.and_then(|ack| ack.version).map(program_version)),
        // SQL Server pads the name with zeros.
        server_program: ack
            .map(|ack| ack.program_name.trim_end_matches('\0'))
            .filter(|name| !name.is_empty())
            .map(Text::from),
        // A client says only that it could.
        fedauth_required: answered.and_then(|answered| answered.fedauth_required),
        instance_mismatch: answered.and_then(|answered| answered.instance_mismatch),
        read_only_intent: login.and_then(|login| login.read_only_intent.then_some(true)),
        user_agent: login
            .and_then(|login| login.user_agent.as_ref())
            .map(describe_user_agent),
        features: login.map_or_else(Vec::new, |login| feature_names(&login.features)),
        features_acknowledged: feature_names(&reply.features),
        mirror_partner: reply.mirror_partner.as_deref().map(Text::from),
        collation: reply.collation.map(|to| Collation {
            lcid: to.lcid,
            sort_id: to.sort_id,
        }),
        session_recoverable: reply.session_recoverable,
        ..Tds::default()
    };
    describe_trace(trace.as_ref(), &mut tds);
    // Of messages that were not seen whole nothing may have been read.
    (tds != Tds::default()).then_some(tds)
}

/// Takes back what the client asked for and the server decides, where not all of its answer was seen.
fn doubt_wishes(dialogue: &Dialogue, conclusion: &Conclusion, facts: &mut ConnectionFacts) {
    let reply = &dialogue.contents.reply;
    let is_unheard = conclusion.answer_was_missed;
    if dialogue.is_login_sealed() || !is_unheard && (!conclusion.answered || reply.was_seen) {
        return;
    }
    facts.login.language = None;
    if let Some(tds) = &mut facts.tds {
        tds.version.take_if(|_| reply.ack.is_none());
        tds.packet_size = None;
    }
}

/// Takes back that TLS that came first was TDS 8.0's, where its client named no protocol and no login
/// was made out in it. Records that have not the sizes of a login are somebody else's.
fn disown_tls(dialogue: &Dialogue, outcome: Outcome, facts: &mut ConnectionFacts) {
    if outcome.kind() == OutcomeKind::Answered || !dialogue.is_unnamed() {
        return;
    }
    (facts.tds, facts.auth) = (None::<Tds>, None::<Auth>);
    if dialogue.reading().is_foreign() {
        facts.login.stranger = Some(Stranger::Tls);
    }
}

/// What the counters say, and what was seen of the whole.
pub(super) fn describe_tcp(wire: &Wire, about: &About, facts: &mut ConnectionFacts) {
    let [client, server] = &wire.sent;
    let syns = wire.handshake.syn_retransmits().unwrap_or(0);
    facts.tcp = Tcp {
        rtt_ns: wire.round_trip().map(Nanos),
        smoothed_rtt_ns: wire.smoothed_rtt().map(Nanos),
        syn_retransmits: (!wire.joined_late).then_some(syns),
        retransmits: Sides {
            client: wire.retransmits(Side::ToServer),
            server: wire.retransmits(Side::ToClient),
        },
        zero_window: Sides {
            client: client.zero_windows,
            server: server.zero_windows,
        },
        bytes: Sides {
            client: Count(client.bytes),
            server: Count(server.bytes),
        },
        packets: Sides {
            client: Count(client.packets.into()),
            server: Count(server.packets.into()),
        },
    };
    facts.nat = wire.others().iter().map(translation).collect();
    facts.connection.vantage = wire.evidence.side();
    facts.connection.partial = !about.partial.is_empty();
    facts.connection.partial_reasons = about.partial.iter().collect();
    facts.process = about.process.as_deref().cloned();
}

/// Leaves out what depends on times that are not known.
pub(super) fn leave_out_times(wire: &Wire, facts: &mut ConnectionFacts) {
    if !wire.untimed {
        return;
    }
    facts.phases = Phases::default();
    facts.login.sum_up(&facts.phases);
    facts.login.duration_ns = None;
    facts.login.late_reply_ns = None;
    facts.tcp.rtt_ns = None;
    if let Some(requests) = &mut facts.requests {
        requests.server_ns = None;
    }
    if let Some(auth) = &mut facts.auth {
        auth.controller_ns = None;
        if let Some(entra) = &mut auth.entra {
            entra.token_fetch_ns = None;
        }
    }
}

/// An alert in clear, else one of which only the sender shows.
fn describe_alert([client, server]: &[TlsSide; 2]) -> Option<Alert> {
    let sides = [(client, RecordSide::Client), (server, RecordSide::Server)];
    let in_clear = sides.iter().find_map(|(side, from)| {
        let alert = side.alert?;
        Some(Alert {
            from: *from,
            level: alert.level_name().and_then(level),
            description: Some(
                alert
                    .description_name()
                    .map_or_else(|| Text::shown(&alert.description), Text::from),
            ),
        })
    });
    in_clear.or_else(|| {
        let (_, from) = sides.iter().find(|(side, _)| side.encrypted_alerts > 0)?;
        Some(Alert {
            from: *from,
            level: None,
            description: None,
        })
    })
}

fn level(name: &str) -> Option<AlertLevel> {
    match name {
        "warning" => Some(AlertLevel::Warning),
        "fatal" => Some(AlertLevel::Fatal),
        _ => None,
    }
}

fn feature_names(ids: &[u8]) -> Vec<Text> {
    ids.iter().map(|id| feature_name(*id)).collect()
}

/// The names of LOGIN7's feature extensions (MS-TDS §2.2.6.4).
fn feature_name(id: u8) -> Text {
    Text::fixed(match id {
        0x01 => "session_recovery",
        0x02 => "fedauth",
        0x04 => "column_encryption",
        0x05 => "global_transactions",
        0x08 => "azure_sql_support",
        0x09 => "data_classification",
        0x0A => "utf8_support",
        0x0B => "azure_sql_dns_caching",
        0x0D => "json_support",
        0x0E => "vector_support",
        0x0F => "enhanced_routing_support",
        0x10 => "user_agent",
        other => return Text::from(format!("{other:#04x}").as_str()),
    })
}

fn describe_user_agent(agent: &user_agent::UserAgent) -> UserAgent {
    let text = |value: &Option<String>| value.as_deref().map(Text::from);
    UserAgent {
        driver: text(&agent.driver),
        version: text(&agent.version),
        architecture: text(&agent.architecture),
        os: text(&agent.os),
        runtime: text(&agent.runtime),
    }
}

/// What a client offers, in so many segments.
fn describe_hello(hello: &ClientHello, segments: Option<u32>) -> TlsHello {
    let named = |ids: &[u16], name: fn(u16) -> Option<&'static str>| {
        let named = ids
            .iter()
            .take(TlsHello::MAX_LISTED)
            .map(|id| name(*id).map_or_else(|| Text::from(format!("{id:#06x}")), Text::fixed));
        named.collect()
    };
    TlsHello {
        bytes: hello.bytes,
        segments,
        versions: named(&hello.versions, version_name),
        groups: named(&hello.groups, group_name),
        signature_algorithms: named(&hello.signature_algorithms, signature_algorithm_name),
        ja4: Text::from(&*hello.ja4),
    }
}

/// A server's version as LOGINACK has it: major, minor and a build of two bytes.
fn program_version([major, minor, high, low]: [u8; 4]) -> Text {
    let build = u16::from_be_bytes([high, low]);
    Text::from(format!("{major}.{minor}.{build}"))
}
