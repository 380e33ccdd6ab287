#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::host::containers::{
    Place, of_container, of_container_link, of_containerd, of_docker, of_pod_folder, of_storage,
};

const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

fuzz_target!(|bytes: &[u8]| {
    for noted in [
        of_docker(bytes),
        of_containerd(bytes),
        of_storage(bytes, ID),
    ] {
        let noted = noted.unwrap_or_default();
        for text in [noted.name, noted.image].into_iter().flatten() {
            assert!(!text.is_empty() && text.len() <= 4 * bytes.len());
        }
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Some(place) = Place::of(text) {
        assert!(text.contains(place.id) && place.id.len() == 64);
        assert!(place.pod.is_none_or(|pod| text.contains(pod.container)));
    }
    for named in [
        of_pod_folder(text),
        of_container_link(text, ID),
        of_container(text),
    ] {
        let named = named.unwrap_or_default();
        for name in [named.namespace, named.pod, named.uid, named.container] {
            assert!(name.is_none_or(|name| text.contains(&*name)));
        }
    }
});
