//! What a control group's path says of a container: its id, who has made it, and its pod.

use crate::record::{Runtime, Text};

/// Hexadecimal digits of a container's id, as Docker, containerd, CRI-O and Podman write it.
const ID: usize = 64;
/// Characters of a pod's UID: with hyphens, or the bare hash that a static pod has.
const UID: std::ops::RangeInclusive<usize> = 32..=36;

/// A container's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The innermost container's id.
    pub id: &'a str,
    /// Who has made it, where the path says so.
    pub runtime: Option<Runtime>,
    /// The pod around it.
    pub pod: Option<Pod<'a>>,
}

/// A pod's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod<'a> {
    /// Its UID, with hyphens.
    pub uid: Text,
    /// The id of its own container: another one than the innermost, where that runs containers itself.
    pub container: &'a str,
}

impl<'a> Place<'a> {
    /// In a path as `/proc/PID/cgroup` has it, of any hierarchy, by any driver of control groups; `None` where it
    /// names no container.
    pub fn of(path: &'a str) -> Option<Self> {
        let mut place: Option<Self> = None;
        let mut uid = None;
        let (mut before, mut in_kubepods) = ("", false);
        // runc's systemd driver writes `SLICE:PREFIX:ID` where it is not asked by systemd's own names.
        for part in path.split(['/', ':']) {
            if let Some(found) = pod_uid(part, in_kubepods) {
                uid = Some(found);
                place = None;
            }
            in_kubepods |= part.contains("kubepods");
            if let Some((prefix, id)) = named(part) {
                let pod = match (place.take(), uid.as_ref()) {
                    (Some(outer), _) => outer.pod,
                    (None, Some(uid)) => Some(Pod {
                        uid: uid.clone(),
                        container: id,
                    }),
                    (None, None) => None,
                };
                let runtime = runtime(if prefix.is_empty() { before } else { prefix });
                place = Some(Self { id, runtime, pod });
            }
            before = part;
        }
        place
    }
}

/// The UID in `kubepods-burstable-podUID.slice`, with underscores, or in `podUID` somewhere below `kubepods`.
fn pod_uid(part: &str, in_kubepods: bool) -> Option<Text> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.rsplit_once("-pod") {
        Some((slice, uid)) if slice.contains("kubepods") => uid,
        _ if in_kubepods => name.strip_prefix("pod")?,
        _ => return None,
    };
    let is_uid = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
    let fits = UID.contains(&uid.len()) && uid.bytes().all(is_uid);
    fits.then(|| Text::from(uid.replace('_', "-")))
}

/// What stands before a container's id, and the id. A container's monitor is none.
fn named(part: &str) -> Option<(&str, &str)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = name.rsplit_once('-').unwrap_or(("", name));
    let is_id = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !prefix.ends_with("conmon")).then_some((prefix, id))
}

fn runtime(name: &str) -> Option<Runtime> {
    Some(match name {
        "docker" => Runtime::Docker,
        "cri-containerd" | "nerdctl" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        "libpod" => Runtime::Podman,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Place, Runtime};

    const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
    const OUTER: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
    const UID: &str = "ccf19bc6-503b-4dd0-b33d-e5717fe6613c";

    /// With those in the place of `ID`, `OUTER`, `UID`, and `U_D`, which has underscores.
    fn path(shape: &str) -> String {
        shape
            .replace("OUTER", OUTER)
            .replace("UID", UID)
            .replace("U_D", &UID.replace('-', "_"))
            .replace("ID", ID)
    }

    #[test]
    fn a_container_is_found_in_every_runtimes_path() {
        let (docker, containerd) = (Some(Runtime::Docker), Some(Runtime::Containerd));
        let (crio, podman) = (Some(Runtime::CriO), Some(Runtime::Podman));
        for (shape, runtime) in [
            ("/system.slice/docker-ID.scope", docker),
            ("/docker/ID", docker),
            ("/docker/OUTER/docker/ID", docker),
            ("/system.slice/docker-ID.scope/init.scope", docker),
            ("/docker/ID/system.slice/cron.service", docker),
            ("/ecs/5ca7f2c1-6b0e-4a55-9d8e-0d6a3a4fd3c1/ID", None),
            ("/system.slice/nerdctl-ID.scope", containerd),
            ("/default/ID", None),
            ("/machine.slice/libpod-ID.scope", podman),
            ("/machine.slice/libpod-ID.scope/container", podman),
            (
                "/machine.slice/machine-libpod_pod_OUTER.slice/libpod-ID.scope/container",
                podman,
            ),
            ("/libpod_parent/libpod-ID", podman),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                podman,
            ),
            ("/crio-ID.scope", crio),
        ] {
            let path = path(shape);
            let place = Place::of(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((place.id, place.runtime), (ID, runtime), "{path}");
            assert_eq!(place.pod, None, "{path}");
        }
    }

    #[test]
    fn a_pod_is_found_by_either_driver_of_control_groups() {
        let (docker, containerd) = (Some(Runtime::Docker), Some(Runtime::Containerd));
        let crio = Some(Runtime::CriO);
        for (shape, runtime) in [
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_D.slice/cri-containerd-ID.scope",
                containerd,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_D.slice/crio-ID.scope/container",
                crio,
            ),
            (
                "/kubepods.slice/kubepods-podU_D.slice/docker-ID.scope",
                docker,
            ),
            ("/kubepods/burstable/podUID/ID", None),
            ("/kubepods/podUID/crio-ID", crio),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_D.slice/cri-containerd-ID.scope",
                containerd,
            ),
            ("/docker/OUTER/kubepods/besteffort/podUID/ID", None),
            (
                "/system.slice/containerd.service/kubepods-besteffort-podU_D.slice:cri-containerd:ID",
                containerd,
            ),
        ] {
            let path = path(shape);
            let place = Place::of(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((place.id, place.runtime), (ID, runtime), "{path}");
            let pod = place.pod.unwrap_or_else(|| panic!("{path}"));
            assert_eq!((&*pod.uid, pod.container), (UID, ID), "{path}");
        }
    }

    #[test]
    fn a_static_pods_uid_is_a_hash() {
        let path = path("/kubepods/burstable/podc704ef4c297ab11032b83ce52cbfc87b/ID");
        let pod = Place::of(&path).and_then(|place| place.pod);
        let uid = pod.map(|pod| pod.uid.to_string());
        assert_eq!(uid.as_deref(), Some("c704ef4c297ab11032b83ce52cbfc87b"));
    }

    #[test]
    fn a_container_inside_a_pods_container_is_still_the_pods() {
        let path = path("/kubepods/burstable/podUID/OUTER/docker/ID");
        let place = Place::of(&path).expect("a container");
        assert_eq!((place.id, place.runtime), (ID, Some(Runtime::Docker)));
        assert_eq!(place.pod.expect("a pod").container, OUTER);
    }

    #[test]
    fn what_is_no_container_has_no_place() {
        for shape in [
            "/",
            "",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/sql.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/kubepods-podU_D.slice/crio-conmon-ID.scope",
            "/kubepods/burstable/podUID",
            "/docker/IDa",
        ] {
            let path = path(shape);
            assert_eq!(Place::of(&path), None, "{path}");
        }
    }

    #[test]
    fn a_group_that_is_called_as_a_pod_is_none_outside_of_kubernetes() {
        let path = path("/podUID/docker/ID");
        assert_eq!(Place::of(&path).expect("a container").pod, None);
    }

    proptest! {
        #[test]
        fn any_path_is_read(path in "[/:a-f0-9-]{0,300}|[^\0]{0,300}") {
            if let Some(place) = Place::of(&path) {
                prop_assert_eq!(place.id.len(), 64);
            }
        }
    }
}
