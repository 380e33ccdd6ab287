//! Where the kubelet and the runtimes have their files.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::{
    Asked, InPod, Named, Noted, Place, Pod, of_container_link, of_containerd, of_docker,
    of_pod_folder, of_storage,
};
use crate::record::{Container, Runtime};

/// A folder for each pod of the node, and in it one for each container that has run in it.
const POD_LOGS: &str = "var/log/pods";
/// A link for each container of a pod.
const CONTAINER_LOGS: &str = "var/log/containers";
/// A folder for each container of Docker.
const DOCKER: &str = "var/lib/docker/containers";
/// Folders of containerd's namespaces, and in each one for each container: the distributions', k3s', and
/// `MicroK8s`'.
const CONTAINERD: [&str; 3] = [
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
];
/// The namespace in which Docker has containerd run its containers.
const DOCKERS: &str = "moby";
/// The lists of Podman's and CRI-O's containers: those that outlive a reboot, and those that do not.
const STORAGE: &str = "var/lib/containers/storage/overlay-containers";
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];
/// Entries of a folder that are looked at.
const MOST: usize = 16 * 1024;

/// The files below a directory.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Who is asked where they say nothing.
    pub(super) asked: Option<Asked>,
}

/// A place of names, and whether it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// Where it is.
    pub place: PathBuf,
    /// Why it is not read.
    pub refusal: Option<String>,
}

impl Readable {
    /// Those that there are below a directory.
    pub fn under(root: &Path) -> Vec<Self> {
        let places = [POD_LOGS, CONTAINER_LOGS, DOCKER, STORAGE];
        let places = places.into_iter().chain(CONTAINERD);
        let places = places.map(|place| root.join(place));
        let there = places.filter_map(|place| match fs::read_dir(&place) {
            Ok(_) => Some(Self {
                place,
                refusal: None,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => Some(Self {
                place,
                refusal: Some(error.to_string()),
            }),
        });
        there.collect()
    }

    /// Those of them that are read.
    pub fn read_under(root: &Path) -> impl Iterator<Item = PathBuf> {
        let read = |readable: Self| readable.refusal.is_none().then_some(readable.place);
        Self::under(root).into_iter().filter_map(read)
    }
}

impl Files {
    pub(super) fn under(root: PathBuf) -> Self {
        Self { root, asked: None }
    }

    /// All that they say of a container.
    pub(super) fn named(&self, place: &Place<'_>) -> Named {
        let noted = self.noted(place.id, place.runtime).unwrap_or_default();
        let pod = place.pod.as_ref().map(|pod| {
            let of_its_own = if pod.container == place.id {
                noted.pod.clone()
            } else {
                // A container inside of the pod's.
                self.noted(pod.container, None).and_then(|noted| noted.pod)
            };
            self.in_pod(pod, of_its_own)
        });
        let pod = pod.unwrap_or_default();
        let is_pods = place
            .pod
            .as_ref()
            .is_some_and(|pod| pod.container == place.id);
        let name = if is_pods {
            // As every runtime's own tools list it, whatever it calls it for itself.
            pod.container.clone()
        } else {
            noted.name
        };
        Named {
            container: Container {
                name,
                image: noted.image,
                runtime: noted.runtime,
            },
            pod,
        }
    }

    /// The names of a pod and of its container: what the runtime has noted, else what the kubelet calls their logs.
    fn in_pod(&self, pod: &Pod<'_>, noted: Option<InPod>) -> InPod {
        let is_its = |noted: &InPod| noted.uid.as_ref().is_none_or(|uid| *uid == pod.uid);
        let is_whole = |noted: &InPod| noted.pod.is_some() && noted.container.is_some();
        noted
            .filter(|noted| is_its(noted) && is_whole(noted))
            .or_else(|| self.linked(pod.container))
            .or_else(|| self.logged(&pod.uid))
            .unwrap_or_default()
    }

    fn linked(&self, id: &str) -> Option<InPod> {
        let links = names_in(&self.root.join(CONTAINER_LOGS));
        links
            .into_iter()
            .find_map(|link| of_container_link(&link, id))
    }

    /// Of the container only where no other has run in the pod yet.
    fn logged(&self, uid: &str) -> Option<InPod> {
        let pods = self.root.join(POD_LOGS);
        let folder = names_in(&pods).find(|name| {
            let name = name.strip_suffix(uid);
            name.is_some_and(|name| name.ends_with('_'))
        })?;
        let pod = of_pod_folder(&folder)?;
        let mut containers = names_in(&pods.join(folder));
        let container = match (containers.next(), containers.next()) {
            (Some(only), None) => super::names::label(&only),
            _ => None,
        };
        Some(InPod { container, ..pod })
    }

    /// What its runtime has noted, or says; whoever that may be, where it is not known.
    fn noted(&self, id: &str, runtime: Option<Runtime>) -> Option<Noted> {
        let may_be = |runtimes: &[Runtime]| runtime.is_none_or(|known| runtimes.contains(&known));
        let mut noted = None;
        if may_be(&[Runtime::Docker]) {
            let path = self.root.join(DOCKER).join(id).join("config.v2.json");
            noted = open(&path).and_then(of_docker);
        }
        if noted.is_none() && may_be(&[Runtime::Containerd]) {
            noted = self.noted_by_containerd(id);
        }
        if noted.is_none() && may_be(&[Runtime::CriO, Runtime::Podman]) {
            let lists = LISTS.map(|list| self.root.join(STORAGE).join(list));
            noted = lists.iter().find_map(|list| of_storage(open(list)?, id));
        }
        noted.or_else(|| self.asked.as_ref()?.about(id))
    }

    fn noted_by_containerd(&self, id: &str) -> Option<Noted> {
        let places = CONTAINERD.iter().map(|place| self.root.join(place));
        let mut bundles = places.flat_map(|place| {
            let namespaces = names_in(&place).filter(|name| name != DOCKERS);
            namespaces.map(move |namespace| place.join(namespace).join(id).join("config.json"))
        });
        bundles.find_map(|bundle| open(&bundle).and_then(of_containerd))
    }
}

/// A regular file: whatever else has its name is not waited for.
fn open(path: &Path) -> Option<File> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    is_file.then(|| File::open(path).ok()).flatten()
}

/// The names in a folder; of one that is not there none.
fn names_in(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.take(MOST)
}
