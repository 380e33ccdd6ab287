//! Carries requests: one connection, opened anew when it has broken.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{
    Otlp, Protocol,
    answer::{self, Refused},
    signal::Signal,
};
use crate::{
    grpc::{self, other, whole},
    sink::{Host, deliver::Trouble},
};

/// How long a request may take, the connection included.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that broke may need to say why.
const FAREWELL: Duration = Duration::from_millis(100);
/// An answer has no more bytes than that.
const ANSWER: usize = 64 * 1024;

/// See the module.
pub(super) struct Client {
    runtime: Runtime,
    url: Uri,
    protocol: Protocol,
    gzip: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    host: Host,
    proxy: Option<Host>,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Sender>,
}

/// A connection, and the task that carries it.
struct Sender {
    requests: Requests,
    carried: JoinHandle<hyper::Result<()>>,
}

enum Requests {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A connection's bytes, through TLS or not.
trait Bytewise: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytewise for T {}

impl Client {
    pub(super) fn new(otlp: &Otlp, headers: Vec<(HeaderName, HeaderValue)>) -> io::Result<Self> {
        let protocols: &[&[u8]] = match otlp.protocol {
            Protocol::Http => &[b"http/1.1"],
            Protocol::Grpc => &[b"h2"],
        };
        let tls = if otlp.is_secure() {
            Some(otlp.tls.open(protocols)?)
        } else {
            None
        };
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            url: otlp.url.clone(),
            protocol: otlp.protocol,
            gzip: otlp.gzip,
            headers,
            host: otlp.host().map_err(io::Error::other)?,
            proxy: otlp.proxy.clone(),
            tls,
            connection: None,
        })
    }

    /// Sends a message and hears what became of it.
    pub(super) fn send(&mut self, signal: Signal, message: &[u8]) -> Result<Refused, Trouble> {
        let request = self.request(signal, message)?;
        let connection = self.connection.take();
        let (tls, protocol) = (self.tls.clone(), self.protocol);
        let (host, proxy) = (&self.host, self.proxy.as_ref());
        let exchange = async {
            let mut sender = match connection {
                Some(sender) if sender.is_open() => sender,
                _ => open(host, proxy, tls, protocol).await?,
            };
            let response = sender.send(request).await?;
            let (status, headers, body) = whole(response, ANSWER).await?;
            Ok::<_, io::Error>((sender, status, headers, body))
        };
        let exchanged = self
            .runtime
            .block_on(async { timeout(PATIENCE, exchange).await });
        let (sender, status, headers, body) =
            exchanged.map_err(|_late| Trouble::Later("it does not answer".to_owned(), None))??;
        self.connection = Some(sender);
        match protocol {
            Protocol::Http => answer::of_http(signal, status, &headers, &body),
            Protocol::Grpc => answer::of_grpc(signal, status, &headers, &body),
        }
    }

    fn request(&self, signal: Signal, message: &[u8]) -> io::Result<Request<Full<Bytes>>> {
        let packed = if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(message)?;
            encoder.finish()?
        } else {
            message.to_vec()
        };
        let path = signal.path(self.protocol);
        let before = self.url.path().trim_end_matches('/');
        let mut builder = Request::post(format!("{before}{path}"));
        let mut body = packed;
        if self.protocol == Protocol::Grpc {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            builder = grpc::request(&format!("{scheme}://{}{path}", self.host));
            if self.gzip {
                builder = builder.header("grpc-encoding", "gzip");
            }
            body = grpc::framed(self.gzip, &body);
        } else {
            builder = builder
                .header(HOST, self.host.to_string())
                .header(CONTENT_TYPE, "application/x-protobuf");
            if self.gzip {
                builder = builder.header(CONTENT_ENCODING, "gzip");
            }
        }
        builder = builder.header(
            USER_AGENT,
            concat!("tds-tracer/", env!("CARGO_PKG_VERSION")),
        );
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)
    }
}

impl Sender {
    fn is_open(&self) -> bool {
        match &self.requests {
            Requests::One(sender) => !sender.is_closed(),
            Requests::Two(sender) => !sender.is_closed(),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> io::Result<Response<Incoming>> {
        let sent = match &mut self.requests {
            Requests::One(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            Requests::Two(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
        };
        match sent {
            Ok(response) => Ok(response),
            // The connection knows better why it broke, as that its other end does not want this host's certificate.
            Err(error) => match timeout(FAREWELL, &mut self.carried).await {
                Ok(Ok(Err(why))) => Err(other(&why)),
                _ => Err(other(&error)),
            },
        }
    }
}

/// Opens a connection, through the proxy where there is one.
async fn open(
    host: &Host,
    proxy: Option<&Host>,
    tls: Option<Arc<ClientConfig>>,
    protocol: Protocol,
) -> io::Result<Sender> {
    let first = proxy.unwrap_or(host);
    let mut stream = TcpStream::connect((first.name.as_str(), first.port)).await?;
    stream.set_nodelay(true)?;
    if proxy.is_some() {
        through(&mut stream, host).await?;
    }
    let stream: Box<dyn Bytewise> = match tls {
        Some(tls) => {
            let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
            Box::new(TlsConnector::from(tls).connect(name, stream).await?)
        }
        None => Box::new(stream),
    };
    match protocol {
        Protocol::Http => {
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| other(&error))?;
            Ok(Sender {
                requests: Requests::One(sender),
                carried: tokio::spawn(connection),
            })
        }
        Protocol::Grpc => {
            let (sender, carried) = grpc::open(stream).await?;
            Ok(Sender {
                requests: Requests::Two(sender),
                carried,
            })
        }
    }
}

/// Has a proxy connect there (RFC 9110 section 9.3.6).
async fn through(stream: &mut TcpStream, host: &Host) -> io::Result<()> {
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > ANSWER {
            return Err(io::Error::other("the proxy's answer has no end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let status = answer.split(|byte| *byte == b' ').nth(1);
    if status == Some(b"200") {
        return Ok(());
    }
    let status = String::from_utf8_lossy(status.unwrap_or_default());
    let status: String = status
        .chars()
        .filter(char::is_ascii_digit)
        .take(3)
        .collect();
    Err(io::Error::other(format!("the proxy answers {status}")))
}
