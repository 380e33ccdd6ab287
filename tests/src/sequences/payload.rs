//! The messages of a sequence, made up after MS-TDS and MC-SMP.

use super::{
    frames::{Frame, Scenario},
    tls::{self, Session},
};

mod tokens;

const SQL_BATCH: u8 = 1;
const REPLY: u8 = 4;
const SSPI: u8 = 0x11;
const PRELOGIN: u8 = 0x12;
const END_OF_MESSAGE: u8 = 1;
const TDS_HEADER: usize = 8;
/// What is agreed on at login.
const PACKET_SIZE: usize = 4096;
const SEGMENT_SIZE: usize = 1460;

const SMP_SYN: u8 = 1;
const SMP_ACK: u8 = 2;
const SMP_DATA: u8 = 8;
/// Packets a side may send before it hears that the other has read some.
const SMP_WINDOW: u32 = 4;

const KERBEROS: [u8; 9] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2];

/// What sets one sequence apart from another, lengths chosen to meet the printed numbers.
#[derive(Clone, Copy)]
struct Plan {
    session: Session,
    mars: bool,
    /// The server's first TLS flight, without its TDS header.
    flight: usize,
    /// The sealed login packet.
    login: usize,
    tds_version: u32,
    spid: u16,
    server_name: &'static str,
}

/// Messages no frame was published of.
#[derive(Clone, Copy)]
pub(super) enum Message {
    Request,
    Response,
    Continued,
}

/// One sequence as it is being told.
pub(super) struct Conversation {
    plan: Plan,
    /// Data packets sent so far within SMP, by client and by server.
    sent: [u32; 2],
    /// The long response, and how many packets of it have been sent.
    continued: u8,
}

impl Conversation {
    pub(super) fn new(scenario: &Scenario) -> Option<Self> {
        let session = |ephemeral, key_bytes, server_name| Session {
            ephemeral,
            key_bytes,
            server_name,
        };
        let (mars, session, flight, login) = match scenario.name.as_str() {
            "sql-auth" => (false, session(false, 128, "sql120"), 793, 263),
            "kerberos" => (false, session(true, 256, "sql20"), 1181, 3489),
            "ntlm" => (false, session(false, 256, "sql55"), 1000, 330),
            "mars" => (true, session(true, 256, "sql22"), 1200, 1700),
            _ => return None,
        };
        let mut frames = scenario.frames.iter();
        Some(Self {
            plan: Plan {
                session,
                mars,
                flight,
                login,
                tds_version: frames.find_map(|frame| frame.tds_version)?,
                spid: frames.find(|frame| frame.spid != 0)?.spid,
                server_name: "SQLPROD",
            },
            sent: [0; 2],
            continued: 0,
        })
    }

    /// The payload of a published frame.
    pub(super) fn payload(&mut self, frame: &Frame, scenario: &Scenario) -> Vec<u8> {
        let Plan { session, mars, .. } = self.plan;
        match frame.kind.as_str() {
            "tds_prelogin" => packet(PRELOGIN, frame.packet_id, 0, &self.prelogin_request()),
            "tds_response" if frame.phase == "prelogin" => self.prelogin_reply(frame),
            "tds_response" if frame.spid == 0 && frame.phase == "connection" => {
                self.prelogin_reply(frame)
            }
            "tls_client_hello" => wrapped(&session.client_hello()),
            "tls_server_hello_certificate_done"
            | "tls_server_hello_certificate_key_exchange_done" => {
                wrapped(&session.server_flight(self.plan.flight))
            }
            "tls_client_key_exchange_change_cipher_spec_finished" => {
                wrapped(&session.client_key_exchange_and_finished())
            }
            "tls_server_change_cipher_spec_finished" => wrapped(&tls::finished(12)),
            "tls_application_data" => self.login(),
            "tds_data_reassembled" => self.login_segments().pop().unwrap_or_default(),
            "ntlm_challenge" => {
                let blob = tokens::ntlm_challenge(domain(frame, scenario));
                packet(REPLY, frame.packet_id, 0, &tokens::sspi(&blob))
            }
            "ntlm_authenticate" => {
                let names = frame.ntlm.clone().unwrap_or_default();
                packet(SSPI, frame.packet_id, 0, &tokens::ntlm_authenticate(&names))
            }
            "tds_response" if frame.phase == "sspi" => Self::kerberos_reply(frame),
            "tds_response" if Self::ends_login(frame) => packet(
                REPLY,
                frame.packet_id,
                frame.spid,
                &tokens::login_reply(self.plan.tds_version, self.plan.server_name),
            ),
            "smp_syn" => smp(SMP_SYN, 0, SMP_WINDOW, &[]),
            "smp_ack" => smp(SMP_ACK, self.sent[0], self.sent[1] + SMP_WINDOW, &[]),
            "tds_sql_batch" if mars => self.message(Message::Request),
            "tds_sql_batch" => self.request(frame.packet_id),
            "tds_response" if frame.phase == "mars_ack" => self.message(Message::Continued),
            "tds_response_continued" => self.message(Message::Continued),
            "tds_response" if mars => self.message(Message::Response),
            "tds_response" => packet(REPLY, frame.packet_id, frame.spid, &self.response()),
            _ => Vec::new(),
        }
    }

    /// What the login packet's first segments carry, all but the one that completes it.
    pub(super) fn login_segments_before_last(&self) -> Vec<Vec<u8>> {
        let mut segments = self.login_segments();
        segments.pop();
        segments
    }

    /// A message of the MARS session.
    pub(super) fn message(&mut self, message: Message) -> Vec<u8> {
        match message {
            Message::Request => {
                let request = self.request(1);
                self.smp_data(true, &request)
            }
            Message::Response => {
                let response = packet(REPLY, 1, self.plan.spid, &self.response());
                self.smp_data(false, &response)
            }
            Message::Continued => {
                let part = self.next_part();
                self.smp_data(false, &part)
            }
        }
    }

    fn smp_data(&mut self, from_client: bool, body: &[u8]) -> Vec<u8> {
        let (own, other) = if from_client { (0, 1) } else { (1, 0) };
        self.sent[own] += 1;
        let window = self.sent[other] + SMP_WINDOW;
        smp(SMP_DATA, self.sent[own], window, body)
    }

    /// One packet of a response of four, all but the last of which are full.
    fn next_part(&mut self) -> Vec<u8> {
        const PARTS: u8 = 4;

        let full = PACKET_SIZE - TDS_HEADER;
        let response = tokens::result(self.plan.tds_version, 2500);
        let at = usize::from(self.continued) * full;
        self.continued += 1;
        let mut part = packet(
            REPLY,
            self.continued,
            self.plan.spid,
            &response[at..response.len().min(at + full)],
        );
        part[1] = u8::from(self.continued == PARTS);
        part
    }

    fn ends_login(frame: &Frame) -> bool {
        frame.phase == "login_ack" || frame.phase == "connection"
    }

    fn login(&self) -> Vec<u8> {
        tls::sealed(self.plan.login)
    }

    fn login_segments(&self) -> Vec<Vec<u8>> {
        let login = self.login();
        login.chunks(SEGMENT_SIZE).map(<[u8]>::to_vec).collect()
    }

    fn request(&self, packet_id: u8) -> Vec<u8> {
        // ALL_HEADERS with a transaction descriptor, from TDS 7.2 on.
        let mut body = vec![22, 0, 0, 0, 18, 0, 0, 0, 2, 0];
        body.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        if tokens::is_before_7_2(self.plan.tds_version) {
            body.clear();
        }
        body.extend(tokens::utf16("SELECT 1"));
        packet(SQL_BATCH, packet_id, 0, &body)
    }

    fn response(&self) -> Vec<u8> {
        tokens::result(self.plan.tds_version, 1)
    }

    fn kerberos_reply(frame: &Frame) -> Vec<u8> {
        let length = frame.payload_len.unwrap_or(0);
        let blob = spnego_reply(length - TDS_HEADER - 3);
        packet(REPLY, frame.packet_id, frame.spid, &tokens::sspi(&blob))
    }

    /// VERSION, ENCRYPTION off, INSTOPT, THREADID, MARS.
    fn prelogin_request(&self) -> Vec<u8> {
        prelogin(&[
            (0, &[11, 0, 8, 52, 0, 0]),
            (1, &[0]),
            (2, &[0]),
            (3, &[0x10, 0x27, 0, 0]),
            (4, &[u8::from(self.plan.mars)]),
        ])
    }

    fn prelogin_reply(&self, frame: &Frame) -> Vec<u8> {
        let body = prelogin(&[
            (0, &[12, 0, 16, 0, 0, 0]),
            (1, &[0]),
            (2, &[0]),
            (3, &[]),
            (4, &[u8::from(self.plan.mars)]),
        ]);
        packet(REPLY, frame.packet_id, frame.spid, &body)
    }
}

/// The client authenticates against the domain the server named.
fn domain<'a>(challenge: &Frame, scenario: &'a Scenario) -> &'a str {
    let mut later = scenario.frames.iter();
    later
        .find(|frame| frame.number > challenge.number && frame.ntlm.is_some())
        .and_then(|frame| frame.ntlm.as_ref())
        .map_or("", |[domain, ..]| domain)
}

/// MS-TDS 2.2.3.1: a message of one packet.
fn packet(kind: u8, packet_id: u8, spid: u16, body: &[u8]) -> Vec<u8> {
    let length = (TDS_HEADER + body.len()) as u16;
    let mut packet = vec![kind, END_OF_MESSAGE];
    packet.extend(length.to_be_bytes());
    packet.extend(spid.to_be_bytes());
    packet.extend([packet_id, 0]);
    packet.extend(body);
    packet
}

/// TLS of TDS 7: handshake records in packets of type 0x12.
fn wrapped(records: &[u8]) -> Vec<u8> {
    packet(PRELOGIN, 0, 0, records)
}

/// MS-TDS 2.2.6.5.
fn prelogin(options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut head = Vec::new();
    let mut data = Vec::new();
    let table = 5 * options.len() + 1;
    for (token, value) in options {
        head.push(*token);
        head.extend(((table + data.len()) as u16).to_be_bytes());
        head.extend((value.len() as u16).to_be_bytes());
        data.extend(*value);
    }
    [head, vec![0xFF], data].concat()
}

/// MC-SMP 2.2.1, session 0.
fn smp(flags: u8, seq: u32, window: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x53, flags, 0, 0];
    packet.extend((16 + body.len() as u32).to_le_bytes());
    packet.extend(seq.to_le_bytes());
    packet.extend(window.to_le_bytes());
    packet.extend(body);
    packet
}

/// The server's last word in a Kerberos login (RFC 4178 section 4.2.2), `length` bytes in all.
fn spnego_reply(length: usize) -> Vec<u8> {
    let mechanism = tls::der(6, &KERBEROS);
    let reply = |ticket: usize| {
        let ticket = tls::der(0x6F, &tls::noise(13, ticket));
        let token = tls::der(0x60, &[&mechanism[..], &[2, 0], &ticket].concat());
        let parts = [
            tls::der(0xA0, &[10, 1, 0]),
            tls::der(0xA1, &mechanism),
            tls::der(0xA2, &tls::der(4, &token)),
        ];
        tls::der(0xA1, &tls::der(0x30, &parts.concat()))
    };
    let exact = (0..length).map(reply).find(|reply| reply.len() == length);
    exact.unwrap_or_else(|| panic!("no reply of {length} bytes"))
}
