//! The conversation with one client, from accept to close.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use openssl::ssl::SslAcceptor;

use super::command::Commands;
use super::faults::Step;
use super::fedauth::{self, Bring};
use super::login7::{Login7, feature};
use super::ntlm;
use super::packet::{Link, Message, invalid, kind};
use super::prelogin::{Encrypt, Prelogin, encryption};
use super::scenario::{Auth, Scenario};
use super::smp::Mars;
use super::socket::drain;
use super::spnego;
use super::stream::Stream;
use super::token::{Reply, Route, done};

const LOGIN_FAILED: u32 = 18456;
/// "The login is from an untrusted domain".
#[cfg(feature = "peers")]
const UNTRUSTED: u32 = 18452;

pub(super) struct Session<'a> {
    scenario: &'a Scenario,
    acceptor: &'a SslAcceptor,
    spid: u16,
    prelogin: Prelogin,
    /// What PRELOGIN settled on.
    encryption: u8,
}

/// How a login ended.
enum Verdict {
    /// With these features acknowledged.
    Accepted(Vec<(u8, Vec<u8>)>),
    /// With this error.
    Refused(u32),
}

impl<'a> Session<'a> {
    pub(super) fn new(scenario: &'a Scenario, acceptor: &'a SslAcceptor, spid: u16) -> Self {
        Self {
            scenario,
            acceptor,
            spid,
            prelogin: Prelogin::default(),
            encryption: encryption::NOT_SUP,
        }
    }

    /// Serves the client until either side is done. What ends in an error has
    /// no FIN of its own before the stream is dropped, unless it was planned.
    pub(super) fn run(&mut self, tcp: TcpStream) -> io::Result<()> {
        let control = tcp.try_clone()?;
        let result = self.converse(Stream::new(tcp));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            _ => super::socket::Socket::new(control).finish(),
        }
        result
    }

    fn converse(&mut self, mut stream: Stream) -> io::Result<()> {
        self.scenario
            .faults
            .at(Step::Accept, stream.socket()?.tcp())?;
        if self.scenario.strict() {
            self.start_tls(&mut stream, None)?;
        }
        let login = self.login_packet(&mut stream)?;
        let login = Login7::parse(&login.payload)?;
        self.log(&format!(
            "login user={} app={} database={} tds={:#010x} encryption={}",
            login.user,
            login.app,
            login.database,
            login.version,
            self.encryption_name()
        ));
        self.scenario
            .faults
            .at(Step::Login, stream.socket()?.tcp())?;
        stream.spid = self.spid;
        match self.authenticate(&mut stream, &login)? {
            Verdict::Accepted(features) => self.accept(stream, &login, &features),
            Verdict::Refused(number) => self.refuse(stream, &login, number),
        }
    }

    /// Everything up to the login packet, which old clients send at once.
    fn login_packet(&mut self, stream: &mut Stream) -> io::Result<Message> {
        let first = stream.receive()?;
        match first.kind {
            kind::LOGIN7 => return Ok(first),
            kind::PRELOGIN => {}
            other => return Err(invalid(format!("{other:#x} where PRELOGIN was expected"))),
        }
        self.prelogin = Prelogin::parse(&first.payload)?;
        self.encryption = self.prelogin.encryption_answer(self.scenario.encrypt);
        self.scenario
            .faults
            .at(Step::Prelogin, stream.socket()?.tcp())?;
        let fedauth = self.scenario.auth == Auth::Fedauth;
        let answer = self
            .prelogin
            .answer(self.encryption, self.scenario.mars, fedauth);
        stream.send(kind::REPLY, &answer)?;
        let wrapped = !self.scenario.strict() && self.encryption != encryption::NOT_SUP;
        if wrapped {
            self.start_tls(stream, Some(self.scenario.wrap_reply_type))?;
        }
        let login = if wrapped && self.encryption == encryption::OFF {
            let (login, sealed) = stream.receive_login_only()?;
            if sealed {
                self.log("the rest of the login came inside TLS");
            }
            login
        } else {
            stream.receive()?
        };
        if login.kind != kind::LOGIN7 {
            return Err(invalid(format!(
                "{:#x} where LOGIN7 was expected",
                login.kind
            )));
        }
        Ok(login)
    }

    fn start_tls(&self, stream: &mut Stream, wrap: Option<u8>) -> io::Result<()> {
        let facts = stream.start_tls(self.acceptor, wrap, &self.scenario.faults)?;
        self.log(&format!("tls {facts}"));
        Ok(())
    }

    fn authenticate(&self, stream: &mut Stream, login: &Login7) -> io::Result<Verdict> {
        if self.scenario.refusal.fail_login.is_some() {
            return Ok(Verdict::Refused(self.scenario.refusal.fail_number));
        }
        match self.scenario.auth {
            Auth::Sql => {
                let right = self
                    .scenario
                    .password
                    .as_ref()
                    .is_none_or(|right| *right == login.password);
                Ok(if right {
                    Verdict::Accepted(Vec::new())
                } else {
                    Verdict::Refused(LOGIN_FAILED)
                })
            }
            Auth::Ntlm => self.ntlm(stream, login),
            #[cfg(feature = "peers")]
            Auth::Kerberos => self.kerberos(stream, login),
            Auth::Fedauth => self.fedauth(stream, login),
        }
    }

    fn ntlm(&self, stream: &mut Stream, login: &Login7) -> io::Result<Verdict> {
        const NONCE: [u8; 8] = 0x9E37_79B9_7F4A_7C15_u64.to_be_bytes();
        if !ntlm::is_ntlm(&login.sspi) {
            if !spnego::offers_ntlm(&login.sspi) {
                return Ok(Verdict::Refused(LOGIN_FAILED));
            }
            let chosen = Reply::new(login.wide()).sspi(&spnego::choose_ntlm());
            stream.send(kind::REPLY, &chosen.into_bytes())?;
            stream.receive()?;
        }
        let mut challenge = ntlm::challenge(NONCE);
        if spnego::is_spnego(&login.sspi) {
            challenge = spnego::wrap(&challenge);
        }
        let challenge = Reply::new(login.wide()).sspi(&challenge);
        stream.send(kind::REPLY, &challenge.into_bytes())?;
        let answer = ntlm::Authenticate::parse(&stream.receive()?.payload)?;
        let proved = match &self.scenario.password {
            Some(password) => answer.proves(password, NONCE).map_err(io::Error::other)?,
            None => None,
        };
        self.log(&format!(
            "ntlm v{} user={}\\{} proved={proved:?}",
            answer.version(),
            answer.domain,
            answer.user
        ));
        self.scenario
            .faults
            .at(Step::Auth, stream.socket()?.tcp())?;
        Ok(if proved == Some(false) {
            Verdict::Refused(LOGIN_FAILED)
        } else {
            Verdict::Accepted(Vec::new())
        })
    }

    #[cfg(feature = "peers")]
    fn kerberos(&self, stream: &mut Stream, login: &Login7) -> io::Result<Verdict> {
        use super::kerberos::{Copies, accept};
        let mut copies = Copies::to(self.scenario.tokens_out.as_deref())?;
        let verdict = match accept(stream, login.wide(), &login.sspi, &mut copies)? {
            Ok(client) => {
                self.log(&format!("kerberos client={client}"));
                Verdict::Accepted(Vec::new())
            }
            Err(why) => {
                self.log(&format!("kerberos: {why}"));
                Verdict::Refused(UNTRUSTED)
            }
        };
        self.scenario
            .faults
            .at(Step::Auth, stream.socket()?.tcp())?;
        Ok(verdict)
    }

    fn fedauth(&self, stream: &mut Stream, login: &Login7) -> io::Result<Verdict> {
        let Some(bring) = fedauth::asked(login) else {
            return Ok(Verdict::Refused(LOGIN_FAILED));
        };
        self.log(&format!("fedauth {bring:?}"));
        if bring == Bring::OnDemand {
            fedauth::fetch(stream, login.wide())?;
            self.scenario
                .faults
                .at(Step::Auth, stream.socket()?.tcp())?;
        }
        let nonce = bring == Bring::AtOnce && self.prelogin.nonce;
        Ok(Verdict::Accepted(vec![fedauth::acknowledgement(nonce)]))
    }

    fn refuse(&self, mut stream: Stream, login: &Login7, number: u32) -> io::Result<()> {
        let reply = self.scenario.refusal.reply(login, number);
        self.log("refused");
        stream.send(kind::REPLY, &reply.into_bytes())?;
        if self.scenario.refusal.fail_lingers {
            drain(stream.socket()?.tcp(), Duration::from_hours(1))?;
        }
        Ok(())
    }

    fn accept(
        &self,
        mut stream: Stream,
        login: &Login7,
        features: &[(u8, Vec<u8>)],
    ) -> io::Result<()> {
        let (route, feature) = self.route(login);
        let features: Vec<_> = features.iter().cloned().chain(feature).collect();
        let mut reply = greeting(login, route.is_none())
            .login_ack(login)
            .change(4, "4096", "4096")
            .features(&features);
        if let Some(partner) = &self.scenario.partner {
            reply = reply.change(13, partner, "");
        }
        if let Some(route) = &route {
            reply = reply.route(route);
        }
        stream.send(kind::REPLY, &reply.done(done::FINAL).into_bytes())?;
        self.log(if route.is_some() {
            "routed"
        } else {
            "accepted"
        });
        self.commands(stream, login.wide())
    }

    /// Where the client is sent on to, and the feature that lets it be sent to
    /// a database, where it asked for that.
    fn route(&self, login: &Login7) -> (Option<Route>, Option<(u8, Vec<u8>)>) {
        let Some(mut route) = self.scenario.route() else {
            return (None, None);
        };
        let enhanced = login.feature(feature::ENHANCED_ROUTING).is_some();
        route.database = route.database.filter(|_| enhanced);
        let feature = route
            .database
            .is_some()
            .then(|| (feature::ENHANCED_ROUTING, vec![1]));
        (Some(route), feature)
    }

    fn commands(&self, mut stream: Stream, wide: bool) -> io::Result<()> {
        let mut commands = Commands::new(wide, self.scenario.big, self.spid);
        if self.scenario.mars && self.prelogin.mars {
            self.log("mars");
            let mut mars = Mars::new(stream, self.scenario.mars_window);
            loop {
                let (sid, message) = mars.receive()?;
                self.scenario
                    .faults
                    .at(Step::Command, mars.stream().socket()?.tcp())?;
                commands.answer(&mut mars.link(sid), &message)?;
            }
        }
        loop {
            let message = stream.receive()?;
            self.scenario
                .faults
                .at(Step::Command, stream.socket()?.tcp())?;
            commands.answer(&mut stream, &message)?;
        }
    }

    fn encryption_name(&self) -> &'static str {
        match (self.scenario.encrypt, self.encryption) {
            (Encrypt::Strict, _) => "strict",
            (_, encryption::OFF) => "login_only",
            (_, encryption::NOT_SUP) => "none",
            _ => "full",
        }
    }

    fn log(&self, what: &str) {
        println!("{} {what}", self.spid);
    }
}

/// What comes before the acknowledgement: the context that the client is in,
/// unless it is sent on.
fn greeting(login: &Login7, stays: bool) -> Reply {
    let mut reply = Reply::new(login.wide());
    if stays {
        let database = match login.database.as_str() {
            "" => "master",
            database => database,
        };
        let text = format!("Changed database context to '{database}'.");
        reply = reply.change(1, database, "master").info(5701, 2, &text);
    }
    if login.version >> 24 >= 0x71 || login.version >> 24 == 0x08 {
        reply = reply.collation();
    }
    reply
        .change(2, "us_english", "")
        .info(5703, 1, "Changed language setting to us_english.")
}
