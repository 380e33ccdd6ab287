//! Why: causes with their evidence.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Confidence, Text};

/// A cause that fits what was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// Name of the cause in `snake_case`.
    pub cause: Text,
    /// How sure.
    pub confidence: Confidence,
    /// The figures and names it rests on, by name.
    pub evidence: BTreeMap<Text, serde_json::Value>,
}
