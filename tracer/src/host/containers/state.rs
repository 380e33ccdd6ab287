//! What container runtimes write down of their containers.
//!
//! These files hold the containers' environments too, and so passwords: of what is not wanted nothing is kept, and
//! the buffer through which it passes is wiped.

use std::io::{self, Read};

use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::names::{InPod, label, of_container};
use crate::record::{Runtime, Text};

/// The longest file of one container that is read, bytes, and the longest list: whose container it is says how much
/// is in its environment.
const LONGEST: u64 = 1 << 20;
const LONGEST_LIST: u64 = 8 << 20;
const BUFFER: usize = 4096;

/// What is known of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Its name at the runtime.
    pub name: Option<Text>,
    /// Its image, as it was asked for.
    pub image: Option<Text>,
    /// The runtime.
    pub runtime: Option<Runtime>,
    /// Its pod.
    pub pod: Option<InPod>,
}

/// Docker's `config.v2.json` of a container.
pub fn of_docker(file: impl Read) -> Option<Noted> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        name: Option<String>,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        image: Option<String>,
    }
    let state: State = read(file, LONGEST)?;
    let name = state
        .name
        .as_deref()
        .map(|name| name.trim_start_matches('/'));
    let name = name.filter(|name| !name.is_empty());
    Some(Noted {
        pod: name.and_then(of_container),
        name: name.map(Text::from),
        image: text(state.config.and_then(|config| config.image)),
        runtime: Some(Runtime::Docker),
    })
}

/// `config.json` in the folder that containerd hands to runc, as its CRI plugin and nerdctl have it made.
pub fn of_containerd(file: impl Read) -> Option<Noted> {
    #[derive(Deserialize)]
    struct Bundle {
        annotations: Option<Annotations>,
    }
    #[derive(Default, Deserialize)]
    struct Annotations {
        #[serde(rename = "io.kubernetes.cri.container-name")]
        container: Option<String>,
        #[serde(rename = "io.kubernetes.cri.image-name")]
        image: Option<String>,
        #[serde(rename = "io.kubernetes.cri.sandbox-name")]
        pod: Option<String>,
        #[serde(rename = "io.kubernetes.cri.sandbox-namespace")]
        namespace: Option<String>,
        #[serde(rename = "io.kubernetes.cri.sandbox-uid")]
        uid: Option<String>,
        #[serde(rename = "nerdctl/name")]
        by_hand: Option<String>,
    }
    let bundle: Bundle = read(file, LONGEST)?;
    let annotations = bundle.annotations.unwrap_or_default();
    let name = |name: Option<String>| label(&name?);
    let pod = InPod {
        namespace: name(annotations.namespace),
        pod: name(annotations.pod),
        uid: name(annotations.uid),
        container: name(annotations.container),
    };
    Some(Noted {
        name: pod.container.clone().or_else(|| text(annotations.by_hand)),
        image: text(annotations.image),
        runtime: Some(Runtime::Containerd),
        pod: (pod != InPod::default()).then_some(pod),
    })
}

/// The list in which Podman and CRI-O have their containers; `None` where this one is not in it.
pub fn of_storage(file: impl Read, id: &str) -> Option<Noted> {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        names: Option<Vec<String>>,
        /// JSON again.
        metadata: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Metadata {
        image_name: Option<String>,
    }
    let all: Vec<Stored> = read(file, LONGEST_LIST)?;
    let stored = all.into_iter().find(|stored| stored.id == id)?;
    let metadata: Option<Metadata> = stored
        .metadata
        .and_then(|metadata| read(metadata.as_bytes(), LONGEST));
    let name = stored.names.and_then(|names| names.into_iter().next());
    let pod = name.as_deref().and_then(of_container);
    let runtime = if pod.is_some() {
        Runtime::CriO
    } else {
        Runtime::Podman
    };
    Some(Noted {
        name: text(name),
        image: text(metadata.and_then(|metadata| metadata.image_name)),
        runtime: Some(runtime),
        pod,
    })
}

fn text(text: Option<String>) -> Option<Text> {
    text.filter(|text| !text.is_empty()).map(Text::from)
}

/// What is asked for of a file; `None` where it cannot be read or is none of those.
fn read<T: DeserializeOwned>(file: impl Read, longest: u64) -> Option<T> {
    let mut json = serde_json::Deserializer::from_reader(Wiped::new(file.take(longest)));
    T::deserialize(&mut json).ok()
}

/// A reader that leaves nothing behind. What reads JSON byte by byte keeps of it what is asked for only.
struct Wiped<R> {
    from: R,
    buffer: Zeroizing<[u8; BUFFER]>,
    /// What of the buffer is still to be read.
    left: std::ops::Range<usize>,
}

impl<R> Wiped<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            buffer: Zeroizing::new([0; BUFFER]),
            left: 0..0,
        }
    }
}

impl<R: Read> Read for Wiped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            self.left = 0..self.from.read(&mut *self.buffer)?;
        }
        let mut left = &self.buffer[self.left.clone()];
        let count = left.read(into)?;
        self.left.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{InPod, Noted, Runtime, of_containerd, of_docker, of_storage};

    const ID: &str = "579635db3532e954d07927bdc32bd435bd082f03a0696ded072f04d762a18775";
    const UID: &str = "dc380811-8168-4a9e-9b4a-56ded1b6fe9c";

    fn in_pod() -> InPod {
        InPod {
            namespace: Some("web".into()),
            pod: Some("shop-0".into()),
            uid: Some(UID.into()),
            container: Some("app".into()),
        }
    }

    #[test]
    fn docker_writes_down_name_and_image() {
        let file = json!({
            "StreamConfig": {}, "State": { "Running": true, "Pid": 4711 }, "ID": ID, "Managed": false,
            "Config": {
                "Hostname": "579635db3532", "Env": ["SA_PASSWORD=secret", "PATH=/bin"], "Cmd": null,
                "Image": "mcr.microsoft.com/mssql/server:2022-latest", "Labels": {}
            },
            "Image": "sha256:d7af31210b288164c319bae740ca1281528390a3c5cee657e95f243670b49e6a",
            "Name": "/sql1", "Driver": "overlay2", "RestartCount": 0
        });
        let expected = Noted {
            name: Some("sql1".into()),
            image: Some("mcr.microsoft.com/mssql/server:2022-latest".into()),
            runtime: Some(Runtime::Docker),
            pod: None,
        };
        assert_eq!(of_docker(file.to_string().as_bytes()), Some(expected));
        let name = format!("/k8s_app_shop-0_web_{UID}_0");
        let file = json!({ "Name": name, "Config": { "Image": "sha256:d7af" } });
        let noted = of_docker(file.to_string().as_bytes()).expect("read");
        assert_eq!(noted.pod, Some(in_pod()));
    }

    #[test]
    fn containerd_writes_down_what_kubernetes_asked_for() {
        let file = json!({
            "ociVersion": "1.2.0",
            "process": { "args": ["/app"], "env": ["SA_PASSWORD=secret"], "cwd": "/" },
            "root": { "path": "rootfs" },
            "annotations": {
                "io.kubernetes.cri.container-name": "app",
                "io.kubernetes.cri.container-type": "container",
                "io.kubernetes.cri.image-name": "registry.example/shop:1.4",
                "io.kubernetes.cri.sandbox-id": ID,
                "io.kubernetes.cri.sandbox-name": "shop-0",
                "io.kubernetes.cri.sandbox-namespace": "web",
                "io.kubernetes.cri.sandbox-uid": UID
            },
            "linux": { "cgroupsPath": "kubepods-besteffort-pod.slice:cri-containerd:5" }
        });
        let expected = Noted {
            name: Some("app".into()),
            image: Some("registry.example/shop:1.4".into()),
            runtime: Some(Runtime::Containerd),
            pod: Some(in_pod()),
        };
        assert_eq!(of_containerd(file.to_string().as_bytes()), Some(expected));
        let by_hand = json!({ "annotations": { "nerdctl/name": "sql1" } }).to_string();
        let noted = of_containerd(by_hand.as_bytes()).expect("read");
        assert_eq!((noted.name.as_deref(), noted.pod), (Some("sql1"), None));
    }

    #[test]
    fn podman_and_cri_o_have_their_containers_in_one_list() {
        let metadata = json!({ "image-name": "docker.io/library/shop:1.4", "image-id": "d7af", "name": "shop" });
        let stored = |id: &str, name: &str| {
            json!({ "id": id, "names": [name], "image": "d7af", "layer": "67b0", "metadata": metadata.to_string(),
                    "created": "2026-02-12T17:06:31Z", "flags": { "MountLabel": "" } })
        };
        let other = "0".repeat(64);
        for (name, runtime, pod) in [
            ("contenedor1".to_owned(), Runtime::Podman, None),
            (
                format!("k8s_app_shop-0_web_{UID}_2"),
                Runtime::CriO,
                Some(in_pod()),
            ),
        ] {
            let file = json!([stored(&other, "pause"), stored(ID, &name)]).to_string();
            let expected = Noted {
                name: Some(name.into()),
                image: Some("docker.io/library/shop:1.4".into()),
                runtime: Some(runtime),
                pod,
            };
            assert_eq!(of_storage(file.as_bytes(), ID), Some(expected));
            assert_eq!(of_storage(file.as_bytes(), UID), None);
        }
    }

    #[test]
    fn a_file_that_is_broken_says_nothing() {
        for broken in [
            "",
            "[",
            "{\"Name\":",
            "{\"Name\": 4}",
            "\u{0}",
            "[{}]",
            "null",
        ] {
            assert_eq!(of_docker(broken.as_bytes()), None, "{broken}");
            assert_eq!(of_storage(broken.as_bytes(), ID), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _read = (of_docker(&*bytes), of_containerd(&*bytes), of_storage(&*bytes, ID));
        }
    }
}
