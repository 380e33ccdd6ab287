//! PRELOGIN, and which packet of the client is what.

use tracer_ebpf::framing::packet_type;

use super::{
    super::{Context, Decision, Dialogue, Stage, next_after, tls::holds_tls, write_down},
    auth::Readings,
};
use crate::{
    record::{Encryption, PhaseName, Stranger},
    session::{input::Side, stream::Unit},
    tds::{encryption::negotiate, pre7::Pre7Login, prelogin::Prelogin},
};

/// VERSION, the first option of a PRELOGIN (MS-TDS §2.2.6.5): its token, and the offset's high byte.
const VERSION_FIRST: [u8; 2] = [0, 0];

/// A PRELOGIN is shorter: its options, and a value for each.
const LONGEST: u32 = 1024;

impl Dialogue {
    pub(in crate::session::dialogue) fn client_packet(
        &mut self,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        let side = Side::ToServer;
        match unit.header.kind {
            packet_type::PRELOGIN if holds_tls(&unit.body) || self.goes_on_in_tls() => {
                return self.wrapped_tls(side, unit, context);
            }
            packet_type::PRELOGIN => self.client_prelogin(unit, context),
            packet_type::LOGIN7 if !self.is_answered() && self.may_be_login(unit) => {
                self.client_login(unit, context);
            }
            // python-tds sends its SSPI answers under the login's packet type.
            packet_type::SSPI | packet_type::LOGIN7 => {
                self.contents.saw_login_message = true;
                if let Some(message) = self.assemble(side, unit) {
                    let otherwise = message.otherwise();
                    let token = Readings::new(&message.body, &otherwise);
                    self.contents
                        .auth
                        .client_token(token, unit.to, context.identity);
                }
                write_down(context.ledger, side, unit, next_after(side, unit));
            }
            packet_type::FEDERATED_TOKEN => {
                self.contents.saw_login_message = true;
                if self.assemble(side, unit).is_some() {
                    self.contents.auth.federated_token(unit.to);
                }
                write_down(context.ledger, side, unit, next_after(side, unit));
            }
            packet_type::PRE_TDS7_LOGIN => self.old_login(unit, context),
            // A farewell: whoever owed a message owes it still.
            packet_type::ATTENTION => self.contents.attention = true,
            kind if super::super::is_request(kind) => return self.client_request(unit, context),
            _ => write_down(context.ledger, side, unit, next_after(side, unit)),
        }
        None
    }

    fn client_request(&mut self, unit: &Unit, context: &mut Context<'_>) -> Option<Decision> {
        if self.is_out_of_turn(context.whole) {
            self.disown();
            self.contents.stranger = Some(Stranger::Other);
            write_down(context.ledger, Side::ToServer, unit, Side::ToClient);
            return None;
        }
        Some(self.request(unit.from))
    }

    /// A login of TDS 4.2 or 5.0. Its answer looks like one of TDS 7 and means something else, so
    /// nothing after it is read.
    fn old_login(&mut self, unit: &Unit, context: &mut Context<'_>) {
        let is_one = Pre7Login::decode(&unit.body).is_ok();
        self.begin_login(unit.from, context);
        self.foreign = true;
        self.contents.encryption = None;
        self.contents.stranger = Some(if is_one {
            Stranger::PreTds7
        } else {
            Stranger::Other
        });
        write_down(
            context.ledger,
            Side::ToServer,
            unit,
            next_after(Side::ToServer, unit),
        );
    }

    /// Whether a login that has passed has been answered, though not for good.
    fn is_answered(&self) -> bool {
        self.stage == Stage::Auth && (self.login_was_sealed || self.contents.auth.login_was_read())
    }

    /// Whether the client's TLS goes on in a packet that does not begin with a record.
    fn goes_on_in_tls(&self) -> bool {
        self.stage == Stage::Tls && self.contents.tls[Side::ToServer as usize].is_inside_record()
    }

    fn client_prelogin(&mut self, unit: &Unit, context: &mut Context<'_>) {
        // Joined late, it may be a part of TLS.
        let is_one = self.from_start
            || unit.body.first_chunk() == Some(&VERSION_FIRST)
            || is_withheld_prelogin(unit);
        self.contents.saw_login_message |= !self.from_start && is_one;
        if self.stage == Stage::Opening && is_one {
            self.stage = Stage::Prelogin;
            context.ledger.begin(PhaseName::Prelogin, unit.from);
        }
        write_down(
            context.ledger,
            Side::ToServer,
            unit,
            next_after(Side::ToServer, unit),
        );
        let message = self.assemble(Side::ToServer, unit);
        if let Some(asked) = message.and_then(|message| Prelogin::decode(message.seen()).ok()) {
            self.contents.asked = Some(asked);
        }
    }

    /// The server's answer to PRELOGIN, if this is one: the phase ends, and both know what is
    /// encrypted.
    pub(in crate::session::dialogue) fn server_prelogin(
        &mut self,
        body: &[u8],
        at: u64,
        context: &mut Context<'_>,
    ) -> bool {
        let Ok(answered) = Prelogin::decode(body) else {
            return false;
        };
        context.ledger.end(PhaseName::Prelogin, at, true);
        let asked = self.contents.asked.as_ref();
        if asked.is_some_and(|asked| asked.nonce_present) && answered.nonce_present {
            self.contents.auth.nonce_exchanged();
        }
        let agreed = asked
            .and_then(|asked| asked.encryption)
            .zip(answered.encryption);
        let agreed = agreed.and_then(|(asked, answered)| negotiate(asked.option, answered.option));
        self.contents.encryption = agreed;
        self.stage = match agreed {
            // Where the two exclude each other TLS is no more to be expected.
            Some(Encryption::None | Encryption::Refused) => Stage::Login,
            _ => Stage::Tls,
        };
        self.contents.answered = Some(answered);
        true
    }
}

/// Whether a packet of which nothing but the header was told is a PRELOGIN by that: of a connection older
/// than the agent no more leaves the kernel.
fn is_withheld_prelogin(unit: &Unit) -> bool {
    let is_withheld = unit.unseen.first() == Some(&(0..unit.body.len()));
    is_withheld && unit.header.ends_message() && unit.body_len() <= LONGEST
}
