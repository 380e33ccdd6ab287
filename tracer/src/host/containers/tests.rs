use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::json;

use super::*;
use crate::record::Runtime;

const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
const UID: &str = "ccf19bc6-503b-4dd0-b33d-e5717fe6613c";

/// A host's files, gone with this.
struct Host(PathBuf);

impl Host {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tds-tracer-host-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }

    fn containers(&self) -> Containers {
        Containers::under(self.0.clone(), Some("node-1"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn pods_path() -> String {
    format!("/kubepods/burstable/pod{UID}/{ID}")
}

fn named(containers: &mut Containers, path: &str) -> Process {
    let mut process = Process::default();
    containers.name(&mut process, &Place::of(path).unwrap());
    process
}

/// The names as they are told, in one text.
fn shown(process: &Process) -> String {
    json!([process.container, process.k8s]).to_string()
}

#[test]
fn without_any_file_the_path_is_told() {
    let host = Host::new();
    let path = format!("/system.slice/docker-{ID}.scope");
    let process = named(&mut host.containers(), &path);
    assert_eq!(process.container_id.as_deref(), Some(ID));
    assert_eq!(shown(&process), r#"[{"runtime":"docker"},null]"#);
    let process = named(&mut host.containers(), &pods_path());
    let expected = format!(r#"[null,{{"node":"node-1","pod_uid":"{UID}"}}]"#);
    assert_eq!(shown(&process), expected);
}

#[test]
fn logs_name_the_pod_and_its_only_container() {
    let host = Host::new();
    let folder = format!("var/log/pods/web_shop-0_{UID}");
    host.write(&format!("{folder}/app/0.log"), "");
    host.write("var/log/pods/web_shop-1_0/other/0.log", "");
    let k8s = named(&mut host.containers(), &pods_path()).k8s.unwrap();
    assert_eq!(k8s.namespace.as_deref(), Some("web"));
    assert_eq!(k8s.pod.as_deref(), Some("shop-0"));
    assert_eq!(k8s.container.as_deref(), Some("app"));

    // Which of two it is, only its link says.
    host.write(&format!("{folder}/sidecar/0.log"), "");
    let k8s = named(&mut host.containers(), &pods_path()).k8s.unwrap();
    assert_eq!(
        (k8s.pod.as_deref(), &k8s.container),
        (Some("shop-0"), &None)
    );
    host.write(
        &format!("var/log/containers/shop-0_web_sidecar-{ID}.log"),
        "",
    );
    let process = named(&mut host.containers(), &pods_path());
    let k8s = process.k8s.unwrap();
    assert_eq!(k8s.container.as_deref(), Some("sidecar"));
    assert_eq!(
        process.container.as_ref().unwrap().name.as_deref(),
        Some("sidecar")
    );
}

#[test]
fn every_runtimes_own_file_names_a_container() {
    let docker = json!({ "Name": "/sql1", "Config": { "Image": "sql:1", "Env": ["A=secret"] } });
    let metadata = json!({ "image-name": "sql:1" }).to_string();
    let list = json!([{ "id": ID, "names": ["sql1"], "metadata": metadata }]);
    let nerdctl = json!({ "annotations": {
        "nerdctl/name": "sql1", "io.kubernetes.cri.image-name": "sql:1" } });
    for (file, text, path, runtime) in [
        (
            format!("var/lib/docker/containers/{ID}/config.v2.json"),
            docker,
            format!("/docker/{ID}"),
            Runtime::Docker,
        ),
        (
            "var/lib/containers/storage/overlay-containers/containers.json".to_owned(),
            list.clone(),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            Runtime::Podman,
        ),
        (
            "var/lib/containers/storage/overlay-containers/volatile-containers.json".to_owned(),
            list,
            format!("/other/{ID}"),
            Runtime::Podman,
        ),
        (
            format!("run/k3s/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json"),
            nerdctl,
            format!("/default/{ID}"),
            Runtime::Containerd,
        ),
    ] {
        let host = Host::new();
        host.write(&file, &text.to_string());
        let container = named(&mut host.containers(), &path).container.unwrap();
        assert_eq!(container.name.as_deref(), Some("sql1"), "{file}");
        assert_eq!(container.image.as_deref(), Some("sql:1"), "{file}");
        assert_eq!(container.runtime, Some(runtime), "{file}");
    }
}

#[test]
fn what_another_pods_file_says_is_not_told_of_this_one() {
    let host = Host::new();
    let task = "run/containerd/io.containerd.runtime.v2.task/k8s.io";
    let annotations = |uid: &str| {
        json!({ "annotations": {
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "shop-0",
            "io.kubernetes.cri.sandbox-namespace": "web", "io.kubernetes.cri.sandbox-uid": uid } })
    };
    let file = format!("{task}/{ID}/config.json");
    host.write(&file, &annotations("0").to_string());
    let k8s = named(&mut host.containers(), &pods_path()).k8s.unwrap();
    assert_eq!((&k8s.pod, &k8s.container), (&None, &None));
    host.write(&file, &annotations(UID).to_string());
    let k8s = named(&mut host.containers(), &pods_path()).k8s.unwrap();
    assert_eq!(k8s.pod.as_deref(), Some("shop-0"));
}

#[test]
fn names_that_come_late_are_found_and_those_of_a_pod_that_is_gone_are_kept() {
    let host = Host::new();
    let mut containers = host.containers();
    let path = pods_path();
    let place = Place::of(&path).unwrap();
    let start = Instant::now();
    assert_eq!(containers.named(&place, start).pod.pod, None);
    let link = format!("var/log/containers/shop-0_web_app-{ID}.log");
    host.write(&link, "");
    let before = SOON.saturating_sub(Duration::from_nanos(1));
    assert_eq!(containers.named(&place, start + before).pod.pod, None);
    let soon = start + SOON;
    let pod = |containers: &mut Containers, at| containers.named(&place, at).pod.pod;
    assert_eq!(pod(&mut containers, soon).as_deref(), Some("shop-0"));
    fs::remove_file(host.0.join(link)).unwrap();
    let later = soon + LIFETIME;
    assert_eq!(pod(&mut containers, later).as_deref(), Some("shop-0"));
}

#[test]
fn what_is_remembered_is_bounded() {
    let host = Host::new();
    let mut containers = host.containers();
    for number in 0..=2 * MAX_KNOWN {
        named(&mut containers, &format!("/docker/{number:064x}"));
        assert!(containers.known.len() <= MAX_KNOWN);
    }
}
