//! Why: causes with their evidence.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Confidence, Text};

/// A cause that fits what was seen.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Name of the cause in `snake_case`.
    pub cause: Text,
    /// How sure.
    pub confidence: Confidence,
    /// Whom to call; left out where nobody need be called, or it is not known whom.
    #[serde(rename = "for")]
    pub whom: Option<Whom>,
    /// The figures and names it rests on, by name.
    pub evidence: BTreeMap<Text, serde_json::Value>,
    /// It in a few words, for a person; no part of the line.
    #[serde(skip)]
    pub meaning: &'static str,
    /// What was seen of it, for a person, in words around the evidence; no part of the line. `{name}` stands
    /// for the evidence of that name, `{name?}` for nothing where that is true. A part in brackets is left
    /// out where evidence that it names is missing, nothing or false; of several wordings with a bar
    /// between them the first holds for which all is there. `{was_asked}` is what the server owed an answer
    /// to, and whether its kernel was seen to acknowledge that at once.
    #[serde(skip)]
    pub seen: &'static str,
}

/// Whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Who runs or writes the program that logs in.
    Application,
    /// Who runs SQL Server.
    Database,
    /// Who runs what lies between the two.
    Network,
    /// Who runs domain controllers, accounts and tokens.
    Identity,
    /// Who runs the host.
    Host,
}
