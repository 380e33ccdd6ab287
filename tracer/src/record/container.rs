//! In which container a process runs, and in which pod.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::Text;

/// What the host tells of a process's container.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Container {
    /// Its name, as its runtime lists it.
    pub name: Option<Text>,
    /// The image that it was made from, as that was asked for.
    pub image: Option<Text>,
    /// Who has made it.
    pub runtime: Option<Runtime>,
}

/// Who makes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Docker, also where Kubernetes asks it.
    Docker,
    /// containerd, by Kubernetes or by nerdctl.
    Containerd,
    /// CRI-O.
    #[serde(rename = "cri-o")]
    CriO,
    /// Podman.
    Podman,
}

/// The pod that a process runs in.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kubernetes {
    /// The pod's namespace.
    pub namespace: Option<Text>,
    /// The pod's name.
    pub pod: Option<Text>,
    /// The pod's UID; of a static pod the hash that its kubelet gave it.
    pub pod_uid: Text,
    /// The container's name in the pod.
    pub container: Option<Text>,
    /// The node's name, where the agent was told it.
    pub node: Option<Text>,
}
