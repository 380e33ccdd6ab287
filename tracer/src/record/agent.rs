//! What the agent says of itself.

use schemars::JsonSchema;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::Text;

/// `agent`: start, stop, degradation, interface added or removed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AgentRecord {
    /// What happened.
    pub agent: Agent,
}

/// Something that happened to the agent.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Agent {
    /// What.
    pub action: AgentAction,
    /// The agent's version.
    pub version: Option<Text>,
    /// Which interface.
    pub interface: Option<Text>,
    /// Hooks in use, such as `tcx` or `clsact`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Text>,
    /// Why, by name: what was missing, or which signal.
    pub reason: Option<Text>,
    /// What it costs and what would mend it.
    pub detail: Option<Text>,
}

impl Agent {
    /// An action about which nothing more is known yet.
    pub fn new(action: AgentAction) -> Self {
        Self {
            action,
            version: None,
            interface: None,
            hooks: Vec::new(),
            reason: None,
            detail: None,
        }
    }
}

/// What can happen to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentAction {
    /// It watches from now on.
    Start,
    /// It no longer watches.
    Stop,
    /// Something is not available: it does without.
    Degraded,
    /// An interface is watched from now on.
    InterfaceAdded,
    /// An interface is gone.
    InterfaceRemoved,
}
