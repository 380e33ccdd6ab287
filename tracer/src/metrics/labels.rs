//! What metrics are told apart by. Nothing else becomes a label: names of users, databases, programs and
//! hosts would make a series of each.

use prometheus_client::encoding::{
    EncodeLabelSet, prometheus_protobuf::prometheus_data_model::LabelPair,
};
use serde::Serialize;

use super::series::Labels;
use crate::record::{Diagnosis, Login, LoginRecord, Server};

/// Stands for what there would be too many of.
const OTHER: &str = "other";

/// A server, by address and port.
pub(super) fn server(server: &Server) -> String {
    std::net::SocketAddr::new(server.address, server.port).to_string()
}

/// The most likely cause; empty, which Prometheus takes for no label, where there is nothing to explain.
pub(super) fn cause(diagnosis: &[Diagnosis]) -> String {
    let first = diagnosis.first();
    first.map_or_else(String::new, |first| first.cause.to_string())
}

/// A variant as lines name it; empty where it is not known.
pub(super) fn named(variant: impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The value of a label, as it was encoded.
fn value(pairs: &[LabelPair], name: &str) -> String {
    let pair = pairs.iter().find(|pair| pair.name == name);
    pair.map_or_else(String::new, |pair| pair.value.clone())
}

/// Declares sets of labels: those behind the semicolon are few whatever happens, and are kept where there
/// are too many of the others.
macro_rules! labels {
    ($($(#[$doc:meta])* $set:ident { $($many:ident),*; $($few:ident),* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(super) struct $set {
                $(pub(super) $many: String,)*
                $(pub(super) $few: String,)*
            }

            impl Labels for $set {
                fn folded(&self) -> Self {
                    Self {
                        $($many: OTHER.to_owned(),)*
                        $($few: self.$few.clone(),)*
                    }
                }

                fn of(pairs: &[LabelPair]) -> Self {
                    Self {
                        $($many: value(pairs, stringify!($many)),)*
                        $($few: value(pairs, stringify!($few)),)*
                    }
                }
            }
        )*
    };
}

labels! {
    /// Of the count of logins.
    OfLogin { server, error; outcome, cause, encryption, auth }
    /// Of the time that logins took.
    OfDuration { server; outcome }
    /// Of the time that somebody was waited for in a phase.
    OfPhase { server; phase, side }
    /// Of connections that ended.
    OfClose { server; by, how, class }
    /// Of requests after logins.
    OfRequest { server; kind }
    /// Of what one side did.
    OfSide { server; side }
    /// Of attempts.
    OfAttempt { ; outcome, cause }
    /// Of what came of something.
    OfOutcome { ; outcome }
    /// Of a cause.
    OfCause { ; cause }
    /// Of a reason.
    OfReason { ; reason }
    /// Of a state.
    OfState { ; state }
    /// Of a sink.
    OfSink { ; sink }
    /// Of what a sink lost.
    OfSinkLoss { ; sink, reason }
    /// Of a program in the kernel.
    OfProgram { ; program }
    /// Of the name of a metric.
    OfMetric { ; metric }
}

impl OfLogin {
    pub(super) fn new(record: &LoginRecord) -> Self {
        let facts = &record.facts;
        let Login { outcome, error, .. } = &facts.login;
        let tds = facts.tds.as_ref();
        Self {
            server: server(&facts.server),
            error: error.map_or_else(String::new, |error| error.number.to_string()),
            outcome: named(outcome),
            cause: cause(&facts.diagnosis),
            encryption: named(tds.and_then(|tds| tds.encryption)),
            auth: named(facts.auth.as_ref().map(|auth| auth.kind)),
        }
    }
}
