//! Who says all this, by the semantic conventions: the service, the host, and the agent's own container and pod.
//!
//! What else is to be said stands in `OTEL_RESOURCE_ATTRIBUTES`, as for every program of OpenTelemetry's
//! (`KEY=VALUE,KEY=VALUE`, percent-encoded): its pod's name in Kubernetes, a cluster, an environment.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::resource::v1::Resource;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Otlp, values};
use crate::host::containers::Place;

/// Where OpenTelemetry's programs are told more of themselves.
const VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// Which service this is can not be said otherwise: queries go by it.
const SERVICE: [(&str, &str); 2] = [
    ("service.name", "tds-tracer"),
    ("service.version", env!("CARGO_PKG_VERSION")),
];

/// The resource of this agent on this host.
pub(super) fn resource(otlp: &Otlp) -> Resource {
    let more = std::env::var(VARIABLE).unwrap_or_default();
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Resource {
        attributes: attributes(otlp, &more, &groups)
            .iter()
            .map(|(name, value)| values::attribute(name, &Value::from(value.as_str())))
            .collect(),
        ..Resource::default()
    }
}

/// `more` as the variable has it, `groups` as `/proc/self/cgroup` does: nothing of the container where the agent sees
/// its own control group as the root.
fn attributes(otlp: &Otlp, more: &str, groups: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
    put("host.name", otlp.host.to_string());
    put("host.arch", architecture().to_owned());
    put("os.type", "linux".to_owned());
    put("service.instance.id", otlp.run.to_string());
    if let Some(node) = &otlp.node {
        put("k8s.node.name", node.to_string());
    }
    if let Some(place) = groups.lines().find_map(Place::of) {
        put("container.id", place.id.to_owned());
        if let Some(pod) = place.pod {
            put("k8s.pod.uid", pod.uid.to_string());
        }
    }
    for pair in more.split(',') {
        // Whoever writes it wrongly gets the rest of it.
        if let Some((name, value)) = pair.split_once('=')
            && let Ok(value) = percent_decode_str(value.trim()).decode_utf8()
            && !name.trim().is_empty()
        {
            put(name.trim(), value.into_owned());
        }
    }
    for (name, value) in SERVICE {
        put(name, value.to_owned());
    }
    attributes
}

/// What this is built for (semantic conventions, `host.arch`).
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::RunId,
        sink::{Protocol, Tls},
    };

    #[test]
    fn the_resource_says_service_host_node_container_and_what_the_environment_adds() {
        let otlp = Otlp {
            url: "http://127.0.0.1:4318".parse().expect("a URL"),
            protocol: Protocol::Http,
            gzip: true,
            headers: None,
            proxy: None,
            tls: Tls::default(),
            logs: true,
            traces: true,
            metrics: None,
            attempts: true,
            host: "app1".into(),
            node: Some("node-7".into()),
            run: RunId(0x5d0c),
        };
        let id = "a".repeat(64);
        let groups = format!(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12345678_1234_1234_1234_123456789abc.slice/cri-containerd-{id}.scope\n"
        );
        let more = "deployment.environment=a%2Cb, k8s.pod.name=tds-1,service.name=other,wrong";
        let told = attributes(&otlp, more, &groups);
        let value = |name: &str| told.get(name).map(String::as_str);
        for (name, expected) in [
            ("service.name", "tds-tracer"),
            ("service.instance.id", "0000000000005d0c"),
            ("host.name", "app1"),
            ("k8s.node.name", "node-7"),
            ("k8s.pod.uid", "12345678-1234-1234-1234-123456789abc"),
            ("container.id", id.as_str()),
            ("deployment.environment", "a,b"),
            ("k8s.pod.name", "tds-1"),
        ] {
            assert_eq!(value(name), Some(expected), "{name}");
        }
        assert_eq!(value("wrong"), None);
        assert_eq!(attributes(&otlp, "", "0::/\n").get("container.id"), None);
    }
}
