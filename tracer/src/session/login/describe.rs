//! How the records put what the messages of a login say.

use super::Context;
use crate::{
    record::{Alert, AlertLevel, Side as RecordSide, Text, Tls, TlsHello, UserAgent},
    tds::{
        login7::Login7,
        tls::{self, ClientHello, TlsSide, group_name, signature_algorithm_name, version_name},
        user_agent,
        version::TdsVersion,
    },
};

const TLS_1_3: u16 = 0x0304;

pub(super) fn describe_login(login: &Login7, context: &mut Context<'_>) {
    let text = |value: &Option<String>| {
        value
            .as_deref()
            .filter(|value| !value.is_empty())
            .map(Text::from)
    };
    let into = &mut context.facts.login;
    into.app_name = text(&login.app_name);
    into.client_library = text(&login.library);
    into.server_name = text(&login.server_name);
    into.language = text(&login.language);
    into.database = text(&login.database);
    into.client_pid = Some(login.client_pid).filter(|pid| *pid != 0);
    into.password_change = login.change_password.then_some(true);
    into.host_name = login
        .host_name
        .as_deref()
        .and_then(|name| context.identity.apply(name));
    into.user = login
        .user_name
        .as_deref()
        .and_then(|name| context.identity.apply(name));
    if let Some(tds) = &mut context.facts.tds {
        tds.packet_size = Some(login.packet_size).filter(|size| *size != 0);
        tds.read_only_intent = login.read_only_intent.then_some(true);
        tds.user_agent = login.user_agent.as_ref().map(describe_user_agent);
        tds.features = login.features.iter().map(|id| feature_name(*id)).collect();
    }
}

pub(super) fn describe_user_agent(agent: &user_agent::UserAgent) -> UserAgent {
    let text = |value: &Option<String>| value.as_deref().map(Text::from);
    UserAgent {
        driver: text(&agent.driver),
        version: text(&agent.version),
        architecture: text(&agent.architecture),
        os: text(&agent.os),
        runtime: text(&agent.runtime),
    }
}

/// The names of LOGIN7's feature extensions (MS-TDS §2.2.6.4).
pub(super) fn feature_name(id: u8) -> Text {
    Text::from(match id {
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

/// Fills the TLS facts from what both sides have said so far.
pub(super) fn describe_tls(sides: &[TlsSide; 2], strict: bool, context: &mut Context<'_>) {
    let [client, server] = sides;
    let into = context.facts.tls.get_or_insert_with(Tls::default);
    if let Some(hello) = &client.client_hello {
        say(&mut into.sni, hello.sni.as_deref());
        into.hello.get_or_insert_with(|| describe_hello(hello));
    }
    if let Some(hello) = &server.server_hello {
        say(&mut into.version, version_name(hello.version));
        say(&mut into.cipher, hello.cipher_name());
        // ODBC asks for TDS 8.0 inside TDS 7 as well, where it means nothing.
        let hidden = strict && hello.version == TLS_1_3;
        let asked = client.client_hello.as_ref().filter(|_| hidden);
        let asked = asked.and_then(|hello| hello.alpn.first());
        let alpn = hello.alpn.as_ref().or(asked);
        say(&mut into.alpn, alpn.map(String::as_str));
    }
    into.resumed = tls::resumed(client, server);
    into.client_certificate = client.certificate_seen.then_some(true);
    if into.alert.is_none() {
        into.alert = describe_alert(sides);
    }
    if into.certificate.is_none()
        && let Some(der) = &server.certificate
    {
        into.certificate = context.certificates.read(der);
        if let Some(certificate) = &mut into.certificate {
            certificate.chain_length = server.chain_length;
        }
    }
}

/// What a client offers. In how many segments that came only its stream knows.
pub(super) fn describe_hello(hello: &ClientHello) -> TlsHello {
    let named = |ids: &[u16], name: fn(u16) -> Option<&'static str>| {
        let named = ids
            .iter()
            .take(TlsHello::MAX_LISTED)
            .map(|id| name(*id).map_or_else(|| Text::from(format!("{id:#06x}")), Text::from));
        named.collect()
    };
    TlsHello {
        bytes: hello.bytes,
        segments: None,
        versions: named(&hello.versions, version_name),
        groups: named(&hello.groups, group_name),
        signature_algorithms: named(&hello.signature_algorithms, signature_algorithm_name),
        ja4: Text::from(hello.ja4.as_str()),
    }
}

/// Says it, unless it has been said: every message of a handshake comes by.
fn say(into: &mut Option<Text>, text: Option<&str>) {
    if into.as_deref() != text {
        *into = text.map(Text::from);
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

/// A server's version as LOGINACK has it: major, minor and a build of two bytes.
pub(super) fn program_version([major, minor, high, low]: [u8; 4]) -> Text {
    let build = u16::from_be_bytes([high, low]);
    Text::from(format!("{major}.{minor}.{build}"))
}

/// The name of the version a connection settled on.
pub(super) fn version_text(version: TdsVersion) -> Text {
    Text::shown(&version)
}
