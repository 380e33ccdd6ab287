//! Whoever takes what sinks send: other programs, whose time is not counted.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;

/// After so many requests somebody who takes OTLP says so, once.
pub(crate) const MANY: u64 = 200;

/// Says that it has taken whatever is sent by OTLP.
const ANSWERER: &str = "
import http.server, itertools, sys
requests = itertools.count(1)
class Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_):
        pass
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-protobuf')
        self.send_header('Content-Length', '0')
        self.end_headers()
        if next(requests) == int(sys.argv[2]):
            print('many', flush=True)
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Taker).serve_forever()
";

/// By what it takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taker {
    Nobody,
    /// And throws it away.
    Tcp,
    /// Likewise.
    Udp,
    /// And says that it has them.
    Otlp,
}

impl Taker {
    /// The program, with its arguments.
    pub(crate) fn command(self, port: u16) -> Vec<String> {
        let thrown = |from: String| {
            let words = ["socat", "-u", &from, "OPEN:/dev/null"];
            words.map(str::to_owned).to_vec()
        };
        match self {
            Self::Nobody => Vec::new(),
            Self::Tcp => thrown(format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1")),
            Self::Udp => thrown(format!("UDP-RECV:{port},bind=127.0.0.1")),
            Self::Otlp => {
                let [port, many] = [port.to_string(), MANY.to_string()];
                let words = ["python3", "-c", ANSWERER, &port, &many];
                words.map(str::to_owned).to_vec()
            }
        }
    }
}

/// A port of this host at which nobody listens.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
