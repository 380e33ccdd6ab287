//! Names that Kubernetes gives to files and containers, and what they are made of.
//!
//! No name of a namespace, pod or container has an underscore (RFC 1123 labels and subdomains), so that it can
//! stand between them.

use crate::record::Text;

/// The longest of them: a pod's name is a DNS subdomain.
const LONGEST: usize = 253;
/// The container that holds a pod's namespaces, where Docker runs it.
const SANDBOX: &str = "POD";

/// What a name says of a pod and of a container in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InPod {
    /// The pod's namespace.
    pub namespace: Option<Text>,
    /// The pod's name.
    pub pod: Option<Text>,
    /// The pod's UID.
    pub uid: Option<Text>,
    /// The container's name in the pod.
    pub container: Option<Text>,
}

/// A folder of `/var/log/pods`: `NAMESPACE_POD_UID`.
pub fn of_pod_folder(name: &str) -> Option<InPod> {
    let [namespace, pod, uid] = parts(name)?;
    Some(InPod {
        namespace: Some(label(namespace)?),
        pod: Some(label(pod)?),
        uid: Some(label(uid)?),
        container: None,
    })
}

/// A link of `/var/log/containers`: `POD_NAMESPACE_CONTAINER-ID.log`.
pub fn of_container_link(name: &str, id: &str) -> Option<InPod> {
    let names = name
        .strip_suffix(".log")?
        .strip_suffix(id)?
        .strip_suffix('-')?;
    let [pod, namespace, container] = parts(names)?;
    Some(InPod {
        namespace: Some(label(namespace)?),
        pod: Some(label(pod)?),
        uid: None,
        container: Some(label(container)?),
    })
}

/// A container, as Kubernetes names it at CRI-O and Docker: `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
pub fn of_container(name: &str) -> Option<InPod> {
    let [container, pod, namespace, uid, _attempt] = parts(name.strip_prefix("k8s_")?)?;
    let container = if container == SANDBOX {
        None
    } else {
        Some(label(container)?)
    };
    Some(InPod {
        namespace: Some(label(namespace)?),
        pod: Some(label(pod)?),
        uid: Some(label(uid)?),
        container,
    })
}

/// As many as there have to be.
fn parts<const COUNT: usize>(name: &str) -> Option<[&str; COUNT]> {
    let parts: Vec<&str> = name.splitn(COUNT + 1, '_').collect();
    parts.try_into().ok()
}

/// What may be called so in Kubernetes.
pub(super) fn label(name: &str) -> Option<Text> {
    let may_be = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    let is_name = (1..=LONGEST).contains(&name.len()) && name.bytes().all(may_be);
    is_name.then(|| Text::from(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{InPod, of_container, of_container_link, of_pod_folder};

    const ID: &str = "fa7f0ec4fbcbb70c69565a5b2d269926e04ec5601dff59235199d6e60198e95c";
    const UID: &str = "dc380811-8168-4a9e-9b4a-56ded1b6fe9c";

    fn shop(uid: bool, container: bool) -> InPod {
        InPod {
            namespace: Some("web".into()),
            pod: Some("shop-7756958c5b-qtkgc".into()),
            uid: uid.then(|| UID.into()),
            container: container.then(|| "app".into()),
        }
    }

    #[test]
    fn a_pods_folder_has_its_namespace_name_and_uid() {
        let folder = format!("web_shop-7756958c5b-qtkgc_{UID}");
        assert_eq!(of_pod_folder(&folder), Some(shop(true, false)));
        for other in [
            "",
            "web_shop",
            "web_shop_1_2",
            "_shop_1",
            "web_Shop_1",
            "a_b c_d",
        ] {
            assert_eq!(of_pod_folder(other), None, "{other}");
        }
    }

    #[test]
    fn a_containers_link_has_its_name_beside_the_pods() {
        let link = format!("shop-7756958c5b-qtkgc_web_app-{ID}.log");
        assert_eq!(of_container_link(&link, ID), Some(shop(false, true)));
        assert_eq!(of_container_link(&link, &ID[1..]), None);
        assert_eq!(of_container_link("app.log", ID), None);
    }

    #[test]
    fn a_container_of_cri_o_and_docker_is_called_by_all_of_them() {
        let name = format!("k8s_app_shop-7756958c5b-qtkgc_web_{UID}_0");
        assert_eq!(of_container(&name), Some(shop(true, true)));
        let sandbox = format!("k8s_POD_shop-7756958c5b-qtkgc_web_{UID}_0");
        assert_eq!(of_container(&sandbox), Some(shop(true, false)));
        assert_eq!(of_container("k8s_app"), None);
        assert_eq!(of_container("quirky_swartz"), None);
    }

    proptest! {
        #[test]
        fn any_name_is_read(name in ".{0,400}") {
            let _read = (of_pod_folder(&name), of_container_link(&name, ID), of_container(&name));
        }
    }
}
