//! What the messages of a login say.

use tracer::tds::{
    login7::Login7,
    prelogin::Prelogin,
    tls::{Fingerprints, TlsSide},
    token::{EnvChange, Token, Tokens},
    version::TdsVersion,
};
use tracer_ebpf::framing::{Framing, packet_type};

use super::Unit;
use crate::decoded::Said;

const TLS_RECORDS: std::ops::RangeInclusive<u8> = 0x14..=0x17;

/// What the client says of its login, and the version of TDS it asks for.
pub(super) fn client_side(said: &mut Said, side: (u32, u16), units: &[Unit]) -> Option<TdsVersion> {
    let mut tls = TlsSide::default();
    let mut version = None;
    for unit in units {
        match (unit.framing, unit.kind) {
            (Framing::Tls, _) => tls.extend(&unit.body, &mut Fingerprints::default()),
            (Framing::Tds, packet_type::PRELOGIN) => prelogin_or_tls(said, side, unit, &mut tls),
            (Framing::Tds, packet_type::LOGIN7) => {
                if let Ok(login) = Login7::decode(&unit.body) {
                    version = Some(login.tds_version);
                    login7(said, side, &login);
                }
            }
            _ => {}
        }
    }
    if let Some(hello) = tls.client_hello {
        said.add(side, "client hello.version", hello.legacy_version);
        said.add(side, "client hello.ciphers", hello.ciphers);
        if let Some(name) = hello.sni {
            said.add(side, "client hello.server_name", name);
        }
        for name in hello.alpn {
            said.add(side, "hello.alpn", name);
        }
    }
    version
}

/// What the server answers to a login, up to the packet `until`.
pub(super) fn server_side(
    said: &mut Said,
    side: (u32, u16),
    units: &[Unit],
    until: usize,
    mut version: Option<TdsVersion>,
) {
    let mut tls = TlsSide::default();
    for unit in units.iter().filter(|unit| unit.frame < until) {
        let first = unit.body.first().copied().unwrap_or_default();
        match unit.framing {
            Framing::Tls => tls.extend(&unit.body, &mut Fingerprints::default()),
            Framing::Smp => {}
            // VERSION, the first option, is 0, which no token is.
            Framing::Tds if first == 0 || TLS_RECORDS.contains(&first) => {
                prelogin_or_tls(said, side, unit, &mut tls);
            }
            Framing::Tds => {
                for token in Tokens::new(&unit.body, version) {
                    if let Token::LoginAck(ack) = &token {
                        version = Some(ack.tds_version);
                    }
                    tell_token(said, side, &token);
                }
            }
        }
    }
    if let Some(hello) = tls.server_hello {
        said.add(side, "server hello.version", hello.version);
        said.add(side, "server hello.cipher", hello.cipher);
        let name = hello.cipher_name().unwrap_or_default();
        said.add(side, "server hello.cipher_name", name);
        if let Some(name) = hello.alpn {
            said.add(side, "hello.alpn", name);
        }
    }
}

fn prelogin_or_tls(said: &mut Said, side: (u32, u16), unit: &Unit, tls: &mut TlsSide) {
    let Ok(prelogin) = Prelogin::decode(&unit.body) else {
        tls.extend(&unit.body, &mut Fingerprints::default());
        return;
    };
    if let Some(version) = prelogin.version {
        let parts = [version.major, version.minor].map(u32::from);
        let number = parts[0] << 24 | parts[1] << 16 | u32::from(version.build);
        said.add(side, "prelogin.version", number);
        said.add(side, "prelogin.sub_build", version.sub_build);
    }
    if let Some(encryption) = prelogin.encryption {
        said.add(side, "prelogin.encryption", encryption.raw);
    }
    if let Some(thread) = prelogin.thread_id {
        // In the order of the wire: whose order a number has here, MS-TDS does not say.
        said.add(
            side,
            "prelogin.thread_id",
            format!("{:08x}", thread.swap_bytes()),
        );
    }
    if let Some(mars) = prelogin.mars {
        said.add(side, "prelogin.mars", u8::from(mars));
    }
    if let Some(federated) = prelogin.fedauth_required {
        said.add(side, "prelogin.fedauth_required", u8::from(federated));
    }
    if let Some(trace) = prelogin.trace_id {
        let sequence = trace.sequence.to_le_bytes();
        let bytes = [&trace.connection.0[..], &trace.activity.0, &sequence].concat();
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        said.add(side, "prelogin.trace_id", digits.join(":"));
    }
}

fn login7(said: &mut Said, side: (u32, u16), login: &Login7) {
    said.add(side, "login7.tds_version", login.tds_version.0);
    said.add(side, "login7.packet_size", login.packet_size);
    said.add(side, "login7.client_pid", login.client_pid);
    for (what, text) in [
        ("login7.host_name", &login.host_name),
        ("login7.user_name", &login.user_name),
        ("login7.app_name", &login.app_name),
        ("login7.library", &login.library),
        ("login7.language", &login.language),
        ("login7.database", &login.database),
    ] {
        if let Some(text) = text {
            said.add(side, what, text);
        }
    }
}

fn tell_token(said: &mut Said, side: (u32, u16), token: &Token) {
    let mut message = |name: [&'static str; 3], message: &tracer::tds::token::Message| {
        said.add(side, name[0], message.number);
        said.add(side, name[1], message.state);
        said.add(side, name[2], message.class);
    };
    match token {
        Token::Error(error) => message(["error.number", "error.state", "error.class"], error),
        Token::Info(info) => message(["info.number", "info.state", "info.class"], info),
        Token::LoginAck(ack) => {
            said.add(side, "loginack.interface", ack.interface);
            said.add(side, "loginack.tds_version", ack.tds_version.0);
            let program = ack.program_name.trim_end_matches('\0');
            said.add(side, "loginack.program", program);
            if let Some(version) = ack.version {
                said.add(side, "loginack.version", u32::from_be_bytes(version));
            }
        }
        Token::EnvChange(change) => {
            said.add(side, "envchange.type", envchange_type(change));
            match change {
                EnvChange::Database(name) => said.add(side, "envchange.database", name),
                EnvChange::PacketSize(bytes) => said.add(side, "envchange.packet_size", bytes),
                _ => {}
            }
        }
        Token::FeatureExtAck(ids) => {
            for feature in ids {
                said.add(side, "featureextack.id", feature);
            }
        }
        Token::Done(done) => said.add(side, "done.status", done.status.0),
        _ => {}
    }
}

fn envchange_type(change: &EnvChange) -> u8 {
    match change {
        EnvChange::Database(_) => 1,
        EnvChange::Language(_) => 2,
        EnvChange::PacketSize(_) => 4,
        EnvChange::Collation(_) => 7,
        EnvChange::MirrorPartner(_) => 13,
        EnvChange::ResetAck => 18,
        EnvChange::Routing(_) => 20,
        EnvChange::EnhancedRouting(_) => 21,
        EnvChange::Other(kind) => *kind,
    }
}
