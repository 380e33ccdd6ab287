//! How a server turns a client away: SQL Server's errors, in the order it sends them in.

use clap::{Args, ValueEnum};

use super::login7::Login7;
use super::token::{Reply, done};

/// "Login failed for user".
const LOGIN_FAILED: u32 = 18456;

/// Whom a server turns away, and how.
#[derive(Args, Clone, Copy, Debug)]
pub struct Refusal {
    /// Refuses every login with error 18456 and this state.
    #[arg(long, value_name = "STATE")]
    pub fail_login: Option<u8>,
    /// The error's number where it is another one.
    #[arg(long, value_name = "NUMBER", default_value_t = LOGIN_FAILED)]
    pub fail_number: u32,
    /// What a refusal says instead of 18456 alone.
    #[arg(long, value_enum, default_value = "plain")]
    pub fail_as: Wording,
    /// Leaves it to the client to close after a refusal.
    #[arg(long)]
    pub fail_lingers: bool,
}

/// What a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wording {
    /// The login failed, and no more.
    Plain,
    /// The database cannot be opened, and so the login failed.
    Database,
    /// A logon trigger ended it, after the usual notices.
    Trigger,
    /// The client's address is not allowed in.
    Firewall,
}

impl Refusal {
    /// The reply to a login, with this error number where it says no more than that.
    pub(super) fn reply(&self, login: &Login7, number: u32) -> Reply {
        let state = self.fail_login.unwrap_or(1);
        let failed = format!("Login failed for user '{}'.", login.user);
        let reply = Reply::new(login.wide());
        let reply = match self.fail_as {
            Wording::Plain => reply.error(number, state, 14, &failed),
            Wording::Database => {
                let text =
                    "Cannot open database \"sales\" requested by the login. The login failed.";
                reply
                    .error(4060, 1, 11, text)
                    .error(LOGIN_FAILED, 38, 14, &failed)
            }
            Wording::Trigger => {
                let text = format!(
                    "Logon failed for login '{}' due to trigger execution.",
                    login.user
                );
                reply
                    .info(5701, 2, "Changed database context to 'master'.")
                    .info(5703, 1, "Changed language setting to us_english.")
                    .error(17892, 1, 14, &text)
            }
            Wording::Firewall => {
                let text = "Cannot open server 'scenario' requested by the login. Client with IP \
                            address '10.87.0.1' is not allowed to access the server. To enable \
                            access, use the Windows Azure Management Portal or run \
                            sp_set_firewall_rule on the master database to create a firewall rule \
                            for this IP address or address range. It may take up to five minutes \
                            for this change to take effect.";
                reply.error(40615, 1, 14, text)
            }
        };
        reply.done(done::ERROR)
    }
}
