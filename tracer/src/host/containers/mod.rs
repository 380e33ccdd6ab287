//! Containers and pods by their names: from what their runtimes and the kubelet leave on the node's disk. No
//! API server or kubelet is asked, and a runtime only where somebody names its socket.

mod asked;
mod cri;
mod files;
mod names;
mod place;
mod state;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{asked::Asked, files::Files};
pub use self::{
    cri::version as runtime_version,
    files::Readable,
    names::{InPod, of_container, of_container_link, of_pod_folder},
    place::{Place, Pod},
    state::{Noted, of_containerd, of_docker, of_storage},
};
use crate::record::{Container, Kubernetes, Process, Text};

/// Containers remembered; a node has some hundreds.
const MAX_KNOWN: usize = 1024;
/// How long is waited, at first and at most, before a file is looked for again that was not there.
const SOON: Duration = Duration::from_secs(1);
const AT_MOST: Duration = Duration::from_mins(1);
/// How long names are good for where none is missing: containers can be renamed.
const LIFETIME: Duration = Duration::from_mins(10);

/// The containers of this host.
#[derive(Debug)]
pub struct Containers {
    files: Files,
    /// What the node is called in Kubernetes.
    node: Option<Text>,
    /// By their ids.
    known: HashMap<String, Known>,
}

#[derive(Clone, Debug, Default)]
struct Named {
    container: Container,
    /// Those of the pod's own container.
    pod: InPod,
}

#[derive(Debug)]
struct Known {
    named: Named,
    until: Instant,
    /// How long it was good for.
    lifetime: Duration,
}

impl Containers {
    /// Those of the host whose files are found under this directory.
    pub fn under(root: PathBuf, node: Option<&str>) -> Self {
        Self {
            files: Files::under(root),
            node: node.map(Text::from),
            known: HashMap::new(),
        }
    }

    /// Asks the runtime at that socket for what the files do not say, on a thread that gives up all else where it is to be
    /// confined.
    ///
    /// # Errors
    /// Where there can be no such thread.
    pub fn asking(mut self, socket: PathBuf, confined: bool) -> io::Result<Self> {
        self.files.asked = Some(Asked::at(socket, confined)?);
        Ok(self)
    }

    /// Tells of a process in which container and pod it is.
    pub(super) fn name(&mut self, process: &mut Process, place: &Place<'_>) {
        process.container_id = Some(Text::from(place.id));
        let named = self.named(place, Instant::now());
        let container = Container {
            runtime: place.runtime.or(named.container.runtime),
            ..named.container
        };
        process.container = (container != Container::default()).then(|| Arc::new(container));
        let k8s = place.pod.as_ref().map(|pod| Kubernetes {
            namespace: named.pod.namespace,
            pod: named.pod.pod,
            pod_uid: pod.uid.clone(),
            container: named.pod.container,
            node: self.node.clone(),
        });
        process.k8s = k8s.map(Arc::new);
    }

    fn named(&mut self, place: &Place<'_>, now: Instant) -> Named {
        let before = self.known.get(place.id);
        if let Some(known) = before
            && now < known.until
        {
            return known.named.clone();
        }
        let found = self.files.named(place);
        let is_whole = found.is_whole(place);
        let (named, lifetime) = match before {
            Some(known) => (
                found.or(&known.named),
                AT_MOST.min(known.lifetime.saturating_mul(2)),
            ),
            None => (found, SOON),
        };
        let lifetime = if is_whole { LIFETIME } else { lifetime };
        if before.is_none() && self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let known = Known {
            named: named.clone(),
            until: now + lifetime,
            lifetime,
        };
        self.known.insert(place.id.to_owned(), known);
        named
    }
}

impl Named {
    /// Whether nothing is missing that may yet be written.
    fn is_whole(&self, place: &Place<'_>) -> bool {
        let has_pod = place.pod.is_none() || self.pod.container.is_some();
        self.container.name.is_some() && self.container.image.is_some() && has_pod
    }

    /// With what was known before in the place of what is not known any more: its files may be gone with it.
    fn or(self, before: &Self) -> Self {
        let (container, pod) = (self.container, self.pod);
        let (container_before, pod_before) = (before.container.clone(), before.pod.clone());
        Self {
            container: Container {
                name: container.name.or(container_before.name),
                image: container.image.or(container_before.image),
                runtime: container.runtime.or(container_before.runtime),
            },
            pod: InPod {
                namespace: pod.namespace.or(pod_before.namespace),
                pod: pod.pod.or(pod_before.pod),
                uid: pod.uid.or(pod_before.uid),
                container: pod.container.or(pod_before.container),
            },
        }
    }
}

#[cfg(test)]
mod tests;
