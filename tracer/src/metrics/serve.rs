//! Answers whoever asks, on a thread of its own: how long that takes keeps no login waiting.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::{prometheus_text, text};
use prost::Message as _;
use tokio::sync::{Semaphore, oneshot};

use super::told::Told;
use crate::{
    confine::{Needs, Programs, confine},
    sink::Figures as _,
};

/// Connections answered at once; others wait.
const CONNECTIONS: usize = 16;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last in all: nobody keeps a place.
const WHOLE: Duration = Duration::from_mins(2);
/// An agent that did not say so for as long is not alive.
const ALIVE: Duration = Duration::from_secs(10);

/// What it takes to answer.
const NEEDS: Needs = Needs {
    programs: Programs::None,
    processes: false,
    reads: false,
    answers: true,
    namespaces: false,
    writes: Vec::new(),
    connects: Vec::new(),
    resolves: false,
};

/// Where metrics and health are asked for, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    pulse: Arc<Pulse>,
    _ends: oneshot::Sender<()>,
}

/// When the agent last said that it is alive.
#[derive(Debug)]
struct Pulse {
    start: Instant,
    /// Milliseconds since then; 0 before it is ready.
    last: AtomicU64,
}

impl Pulse {
    fn beat(&self) {
        let passed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(passed.max(1), Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.last.load(Ordering::Relaxed) > 0
    }

    fn is_alive(&self) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last) < ALIVE
    }
}

impl Endpoint {
    /// Answers at this address from now on.
    pub(super) fn start(address: SocketAddr, told: Arc<Told>, confined: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let pulse = Arc::new(Pulse {
            start: Instant::now(),
            last: AtomicU64::new(0),
        });
        let asked = Arc::new(Asked {
            told,
            pulse: Arc::clone(&pulse),
        });
        let (ends, ended) = oneshot::channel();
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                // It reads what others send: it has nothing that they could take.
                if confined {
                    for step in confine(&NEEDS) {
                        tracing::debug!("metrics, {}: {:?}", step.what, step.held);
                    }
                }
                runtime.block_on(async {
                    tokio::select! {
                        _ = ended => {}
                        error = answer(listener, asked) => {
                            tracing::error!("metrics are told no more: {error}");
                        }
                    }
                });
            })?;
        Ok(Self { pulse, _ends: ends })
    }

    /// The agent is at work.
    pub(super) fn alive(&self) {
        self.pulse.beat();
    }
}

/// Takes connections until that is impossible.
async fn answer(listener: TcpListener, asked: Arc<Asked>) -> io::Error {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return io::Error::other("no place for connections");
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Descriptors may be had again in a while.
                tracing::warn!("a question for metrics was not taken: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = asked.answer(&request);
                async { Ok::<_, std::convert::Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asked has left, or took too long.
            drop(tokio::time::timeout(WHOLE, connection).await);
            drop(place);
        });
    }
}

/// What can be asked for.
struct Asked {
    told: Arc<Told>,
    pulse: Arc<Pulse>,
}

impl Asked {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics(request),
            "/-/healthy" => health(self.pulse.is_alive(), "the agent does not go on"),
            "/-/ready" => health(
                self.pulse.is_ready() && self.pulse.is_alive(),
                "the agent does not watch yet, or no more",
            ),
            _ => plain(StatusCode::NOT_FOUND, "/metrics, /-/healthy or /-/ready\n"),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accepted = request.headers().get_all(ACCEPT).iter();
        let accepted: Vec<_> = accepted.filter_map(|value| value.to_str().ok()).collect();
        let format = Format::wanted(&accepted.join(","));
        match format.encode(&self.told) {
            Some(body) => {
                let mut response = Response::new(Full::new(body.into()));
                let kind = hyper::header::HeaderValue::from_static(format.content_type());
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            None => plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics can not be written\n",
            ),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn health(good: bool, otherwise: &'static str) -> Response<Full<Bytes>> {
    if good {
        plain(StatusCode::OK, "ok\n")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, otherwise)
    }
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Prometheus' protocol buffers: the only one with native histograms.
    Protobuf,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' text, version 0.0.4.
    Text,
}

impl Format {
    /// The one that is asked for first by an `Accept` header (RFC 9110 section 12.5.1); text where none is
    /// known.
    fn wanted(accepted: &str) -> Self {
        let mut wanted = (0.0, Self::Text);
        for item in accepted.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/vnd.google.protobuf") => Self::Protobuf,
                Some("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain") => Self::Text,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            let weight = weight.map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            if weight > wanted.0 {
                wanted = (weight, format);
            }
        }
        wanted.1
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }

    fn encode(self, told: &Told) -> Option<Vec<u8>> {
        let mut written = String::new();
        match self {
            Self::Protobuf => {
                let mut bytes = Vec::new();
                for family in told.families() {
                    family.encode_length_delimited(&mut bytes).ok()?;
                }
                return Some(bytes);
            }
            Self::OpenMetrics => text::encode(&mut written, &told.registry).ok()?,
            Self::Text => prometheus_text::encode(&mut written, &told.registry).ok()?,
        }
        Some(written.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn what_is_asked_for_first_is_told() {
        let wanted = |accepted| Format::wanted(accepted);
        assert_eq!(wanted(""), Format::Text);
        assert_eq!(wanted("*/*"), Format::Text);
        assert_eq!(wanted("text/html, text/plain;q=0.5"), Format::Text);
        assert_eq!(
            wanted(
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            ),
            Format::OpenMetrics
        );
        assert_eq!(
            wanted(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
            ),
            Format::Protobuf
        );
        assert_eq!(wanted("application/openmetrics-text;q=0"), Format::Text);
        assert_eq!(wanted("application/openmetrics-text;q=x"), Format::Text);
    }
}
