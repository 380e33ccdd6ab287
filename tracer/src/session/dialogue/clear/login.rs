//! The login packet.

use super::{
    super::{Context, Dialogue, Stage, next_after, write_down},
    auth::Readings,
};
use crate::{
    record::{Encryption, PhaseName},
    session::{input::Side, stream::Unit},
    tds::login7::Login7,
};

/// A LOGIN7 is shorter (MS-TDS §2.2.6.4).
const MAX_LOGIN: u32 = 128 * 1024;

impl Dialogue {
    /// The client's LOGIN7, in clear: whole, or what follows its sealed first packet.
    pub(super) fn client_login(&mut self, unit: &Unit, context: &mut Context<'_>) {
        self.contents.saw_login_message = true;
        self.leave_tls(context);
        if self.login_was_sealed {
            self.contents.auth.long_sealed_login();
        } else {
            self.begin_login(unit.from, context);
            self.read_login(unit, context);
        }
        write_down(
            context.ledger,
            Side::ToServer,
            unit,
            next_after(Side::ToServer, unit),
        );
    }

    /// Whether a packet of the login's type may hold one: python-tds sends tokens in such packets too,
    /// and of a connection joined late nobody knows how far it has come.
    pub(super) fn may_be_login(&self, unit: &Unit) -> bool {
        if self.from_start || self.stage == Stage::Login || !self.sealed.is_empty() {
            return true;
        }
        let length = unit
            .body
            .first_chunk()
            .map(|bytes| u32::from_le_bytes(*bytes));
        let fits = length.is_some_and(|length| length >= unit.body_len() && length < MAX_LOGIN);
        // TDS 7.0 to 7.4, as the highest byte of the version behind the length.
        fits && unit
            .body
            .get(7)
            .is_some_and(|major| (0x70..=0x74).contains(major))
    }

    fn read_login(&mut self, unit: &Unit, context: &Context<'_>) {
        let Some(message) = self.assemble(Side::ToServer, unit) else {
            return;
        };
        let otherwise = message.otherwise();
        let decoded = [&message.body, &otherwise].map(|body| Login7::decode(body));
        let [Ok(mut login), Ok(second)] = decoded else {
            return;
        };
        login.keep_common(&second);
        let sspi = login.sspi.clone().unwrap_or_default();
        let [token, other] =
            [&message.body, &otherwise].map(|body| body.get(sspi.clone()).unwrap_or_default());
        let token = Readings::new(token, other);
        self.contents
            .auth
            .login_packet(&login, token, context.identity);
        self.contents.version =
            Some(login.tds_version).filter(|version| *version == second.tds_version);
        self.contents.login7 = Some(Box::new(login));
        // What happens counts, whatever the two sides have said of encryption.
        self.contents.encryption = Some(Encryption::None);
    }

    /// The login packet starts: what was before it is over.
    pub(super) fn begin_login(&mut self, at: u64, context: &mut Context<'_>) {
        context.ledger.begin(PhaseName::Login, at);
        if !matches!(self.stage, Stage::Login | Stage::Auth) {
            let reading = self.reading();
            self.end_tls(Some(at), &reading, context.ledger);
            self.stage = Stage::Login;
        }
    }

    /// A packet in clear shows that only the first packet of the login, which has passed, was sealed.
    pub(super) fn leave_tls(&mut self, context: &mut Context<'_>) {
        if self.login_was_sealed || self.stage != Stage::Tls || self.sealed.is_empty() {
            return;
        }
        let reading = self.reading();
        let Some(login) = reading.turns().first() else {
            return;
        };
        for step in reading.moves(context.now) {
            context.ledger.insert(step);
        }
        self.begin_login(login.from, context);
        self.login_was_sealed = true;
    }
}
