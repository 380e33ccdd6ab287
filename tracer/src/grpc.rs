//! gRPC, as far as one message in each direction goes (gRPC over HTTP2).

use std::{error::Error, io};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http2::{SendRequest, handshake},
    header::{CONTENT_TYPE, TE},
    http::request::Builder,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
};

/// Bytes before a message: whether it is compressed, and its length.
const HEADER: usize = 5;

/// A connection by these bytes, and the task that carries it.
pub(crate) async fn open<S>(
    stream: S,
) -> io::Result<(SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| other(&error))?;
    Ok((sender, tokio::spawn(connection)))
}

/// What asks a method, by its whole URL.
pub(crate) fn request(url: &str) -> Builder {
    Request::post(url)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
}

/// A message as it is sent.
pub(crate) fn framed(is_compressed: bool, message: &[u8]) -> Vec<u8> {
    let mut framed = vec![u8::from(is_compressed)];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// The message of an answer that has one.
pub(crate) fn message(body: &[u8]) -> Option<&[u8]> {
    body.get(HEADER..)
}

/// The status among what came before the body and after it: 0 where all is well.
pub(crate) fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// An answer with what is behind it, of so many bytes at most. gRPC's status is among the headers where there is no body.
pub(crate) async fn whole(
    response: Response<Incoming>,
    most: usize,
) -> io::Result<(StatusCode, HeaderMap, Bytes)> {
    let (parts, body) = response.into_parts();
    let collected = Limited::new(body, most).collect().await;
    let collected = collected.map_err(io::Error::other)?;
    let mut headers = parts.headers;
    if let Some(trailers) = collected.trailers() {
        headers.extend(trailers.clone());
    }
    Ok((parts.status, headers, collected.to_bytes()))
}

/// An error of hyper's with what is behind it all: `connection error` alone says little.
pub(crate) fn other(error: &hyper::Error) -> io::Error {
    let mut cause = error.source();
    while let Some(behind) = cause.and_then(Error::source) {
        cause = Some(behind);
    }
    io::Error::other(match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}
