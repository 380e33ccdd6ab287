//! What a receiver says of a request, by OTLP's rules: what may be tried again, when, and what it has refused.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use hyper::{HeaderMap, StatusCode, header::CONTENT_TYPE, header::RETRY_AFTER};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prost::Message;

use super::signal::Signal;
use crate::{grpc, sink::deliver::Trouble};

/// So many were refused of those that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) u64);

/// What came back by HTTP (OTLP section "OTLP/HTTP Response").
pub(super) fn of_http(
    signal: Signal,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Refused, Trouble> {
    if status.is_success() {
        // Many say nothing where they have taken all, as by 204.
        if body.is_empty() {
            return Ok(Refused(0));
        }
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let is_ours = kind.is_none_or(|kind| kind.starts_with("application/x-protobuf"));
        let refused = is_ours.then(|| refused(signal, body)).flatten();
        return refused.ok_or_else(|| later("its answer is not OTLP's", None));
    }
    let why = format!("it answers {}", status.as_u16());
    match status.as_u16() {
        429 | 502 | 503 | 504 => {
            let after = headers
                .get(RETRY_AFTER)
                .and_then(|after| after.to_str().ok());
            let seconds = after.and_then(|after| after.trim().parse().ok());
            Err(later(&why, seconds.map(Duration::from_secs)))
        }
        // What leads elsewhere, or is on its way, has taken nothing.
        100..=399 => Err(later(&why, None)),
        _ => Err(Trouble::Never(why)),
    }
}

/// What came back by gRPC (OTLP section "Failures"): the status is in what follows the body.
pub(super) fn of_grpc(
    signal: Signal,
    status: StatusCode,
    trailers: &HeaderMap,
    body: &[u8],
) -> Result<Refused, Trouble> {
    let Some(code) = grpc::status(trailers) else {
        return Err(later(
            &format!("it answers {} without gRPC", status.as_u16()),
            None,
        ));
    };
    let why = format!("it answers with gRPC's status {code}");
    let details = trailers.get("grpc-status-details-bin");
    let details = details.and_then(|details| details.to_str().ok());
    let retry = details.and_then(RetryInfo::of);
    match code {
        // One message.
        0 => grpc::message(body)
            .and_then(|message| refused(signal, message))
            .ok_or_else(|| later("its answer is not OTLP's", None)),
        1 | 4 | 10 | 11 | 14 | 15 => Err(later(&why, retry.map(RetryInfo::delay))),
        8 if retry.is_some() => Err(later(&why, retry.map(RetryInfo::delay))),
        _ => Err(Trouble::Never(why)),
    }
}

/// A status with its details (`google.rpc.Status`), as far as they say when to try again.
#[derive(Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// One of them (`google.protobuf.Any`).
#[derive(Message)]
struct Detail {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

/// When to try again (`google.rpc.RetryInfo`).
#[derive(Clone, Copy, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    after: Option<Span>,
}

/// A time (`google.protobuf.Duration`).
#[derive(Clone, Copy, Message)]
struct Span {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanoseconds: i32,
}

impl RetryInfo {
    /// Among a status' details, as they stand in the trailers.
    fn of(details: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD_NO_PAD.decode(details.trim_end_matches('='));
        let status = Status::decode(&bytes.ok()?[..]).ok()?;
        let mut details = status.details.iter();
        let info = details.find(|detail| detail.kind.ends_with("/google.rpc.RetryInfo"))?;
        Self::decode(&info.content[..]).ok()
    }

    fn delay(self) -> Duration {
        let Span {
            seconds,
            nanoseconds,
        } = self.after.unwrap_or_default();
        let nanoseconds = nanoseconds.clamp(0, 999_999_999).unsigned_abs();
        Duration::new(seconds.max(0).unsigned_abs(), nanoseconds)
    }
}

fn later(why: &str, after: Option<Duration>) -> Trouble {
    Trouble::Later(why.to_owned(), after)
}

/// How many were refused; none where it is no answer.
fn refused(signal: Signal, message: &[u8]) -> Option<Refused> {
    let count = match signal {
        Signal::Logs => ExportLogsServiceResponse::decode(message)
            .ok()?
            .partial_success
            .map_or(0, |partial| partial.rejected_log_records),
        Signal::Traces => ExportTraceServiceResponse::decode(message)
            .ok()?
            .partial_success
            .map_or(0, |partial| partial.rejected_spans),
        Signal::Metrics => ExportMetricsServiceResponse::decode(message)
            .ok()?
            .partial_success
            .map_or(0, |partial| partial.rejected_data_points),
    };
    Some(Refused(count.max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;

    use super::*;

    fn http(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &[u8],
    ) -> Result<Refused, Trouble> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let status = StatusCode::from_u16(status).expect("a status");
        of_http(Signal::Logs, status, &headers, body)
    }

    fn partial(count: i64) -> Vec<u8> {
        let partial_success = Some(ExportLogsPartialSuccess {
            rejected_log_records: count,
            error_message: String::new(),
        });
        ExportLogsServiceResponse { partial_success }.encode_to_vec()
    }

    #[test]
    fn what_was_taken_in_part_is_counted() {
        assert!(matches!(http(200, &[], b""), Ok(Refused(0))));
        assert!(matches!(http(200, &[], &partial(3)), Ok(Refused(3))));
        assert!(matches!(http(200, &[], &partial(-3)), Ok(Refused(0))));
    }

    #[test]
    fn an_overloaded_receiver_is_tried_again_when_it_says_and_another_answer_is_final() {
        for status in [429, 502, 503, 504] {
            let told = http(status, &[("retry-after", "7")], b"");
            let after = Some(Duration::from_secs(7));
            assert!(matches!(told, Err(Trouble::Later(_, told)) if told == after));
            let date = [("retry-after", "Sun, 29 Nov 2026 17:00:00 GMT")];
            let told = http(status, &date, b"");
            assert!(matches!(told, Err(Trouble::Later(_, None))), "{status}");
        }
        for status in [400, 401, 404, 413, 500, 501] {
            assert!(matches!(http(status, &[], b""), Err(Trouble::Never(_))));
        }
    }

    #[test]
    fn whoever_takes_it_and_says_no_more_has_taken_all() {
        for status in [200, 202, 204] {
            for kind in ["application/x-protobuf", "text/plain", "text/html"] {
                let told = http(status, &[("content-type", kind)], b"");
                assert!(matches!(told, Ok(Refused(0))), "{status} {kind}");
            }
            assert!(matches!(http(status, &[], b""), Ok(Refused(0))));
        }
        assert!(matches!(http(202, &[], &partial(3)), Ok(Refused(3))));
    }

    #[test]
    fn garbage_is_no_answer() {
        let page = [("content-type", "text/html")];
        let told = http(200, &page, b"<html>");
        assert!(matches!(told, Err(Trouble::Later(..))));
        assert!(matches!(http(200, &[], b"<html>"), Err(Trouble::Later(..))));
        assert!(matches!(http(302, &[], b""), Err(Trouble::Later(..))));
    }

    #[test]
    fn by_grpc_the_status_says_what_may_be_tried_again() {
        let answer = |code: &'static str, details: Option<&Status>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(code));
            if let Some(details) = details {
                let details = BASE64_STANDARD_NO_PAD.encode(details.encode_to_vec());
                let details = details.parse().expect("a value");
                trailers.insert("grpc-status-details-bin", details);
            }
            of_grpc(Signal::Logs, StatusCode::OK, &trailers, &[0; 5])
        };
        assert!(matches!(answer("0", None), Ok(Refused(0))));
        assert!(matches!(answer("14", None), Err(Trouble::Later(_, None))));
        assert!(matches!(answer("16", None), Err(Trouble::Never(_))));
        assert!(matches!(answer("8", None), Err(Trouble::Never(_))));
        let info = RetryInfo {
            after: Some(Span {
                seconds: 2,
                nanoseconds: 500_000_000,
            }),
        };
        let status = |kind: &str| Status {
            details: vec![Detail {
                kind: format!("type.googleapis.com/{kind}"),
                content: info.encode_to_vec(),
            }],
        };
        let after = Some(Duration::from_millis(2_500));
        let info = status("google.rpc.RetryInfo");
        for code in ["8", "14"] {
            let told = answer(code, Some(&info));
            assert!(
                matches!(told, Err(Trouble::Later(_, told)) if told == after),
                "{code}"
            );
        }
        let other = status("google.rpc.ErrorInfo");
        assert!(matches!(answer("8", Some(&other)), Err(Trouble::Never(_))));
        assert!(matches!(answer("16", Some(&info)), Err(Trouble::Never(_))));
        let silent = of_grpc(Signal::Logs, StatusCode::OK, &HeaderMap::new(), b"");
        assert!(matches!(silent, Err(Trouble::Later(..))));
    }
}
