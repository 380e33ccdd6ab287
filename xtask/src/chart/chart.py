"""Renders the Helm chart by Helm's own library, and checks what comes out.

    chart.py CHART PLAIN

It lints the chart, renders it in every shape, checks each object by the schemas that Kubernetes publishes, sees that
wrong values are refused, has Prometheus read the alerts and what dashboards ask it, and writes the plain manifests to
PLAIN.
"""

import json
import re
import subprocess
import sys
import tempfile

import helm_python
import kubernetes_validate
import yaml

# The oldest that the chart takes and for which there is a schema, and the newest.
KUBERNETES = ["1.25", kubernetes_validate.latest_version()]
# Kinds that the cluster learns from Prometheus' operator, which publishes no such schemas.
LEARNED = {"ServiceMonitor", "PrometheusRule"}
PLAIN = {"namespace": {"create": True}}
# Labels of what Helm installs, and looks after.
HELMS = ["app.kubernetes.io/managed-by:", "helm.sh/chart:"]
MADE_BY = "# What the chart in packaging/helm/tds-tracer gives by itself: `cargo xtask chart --write`."
MONITORED = {
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
    }
}
# What waits for one sink has so many bytes unless the sink says so, and what is remembered has some more.
SPOOL = 256 << 20
UNITS = {"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
EVERYTHING = MONITORED | {
    "image": {"repository": "registry.example/tds-tracer", "tag": "9", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "config": 'slow = "250ms"\nport = [1433]\n',
    "extraArgs": ["--transit"],
    "extraEnv": [{"name": "TDS_TRACER_LOG_LEVEL", "value": "debug"}],
    "extraVolumes": [{"name": "collector", "secret": {"secretName": "collector", "defaultMode": 0o400}}],
    "extraVolumeMounts": [{"name": "collector", "mountPath": "/run/secrets/collector", "readOnly": True}],
    "names": {"logs": False, "runtime": "cri-o", "criSocket": "/run/crio/crio.sock"},
    "state": {"hostPath": "/var/lib/tds-tracer"},
    "extraCapabilities": ["SYS_RESOURCE"],
    "securityContext": {"seLinuxOptions": {"type": "spc_t"}},
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-node-critical",
    "serviceAccount": {"name": "watcher"},
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
}
SHAPES = {"plain": PLAIN, "defaults": {}, "monitored": MONITORED, "everything": EVERYTHING}
SHAPES |= {name: {"names": {"runtime": name}} for name in ["containerd", "k3s", "microk8s", "docker"]}
WRONG = [
    {"nmaes": {}},
    {"names": {"runtime": "rkt"}},
    {"names": {"criSocket": "crio.sock"}},
    {"metrics": {"port": "9433"}},
    {"metrics": {"port": 70000}},
    {"config": {"slow": "250ms"}},
    {"state": {"sizeLimit": "512 MB"}},
    {"extraVolumeMounts": [{"name": "collector"}]},
    {"extraVolumeMounts": [{"name": "collector", "mountPath": "/etc/tds-tracer/collector"}]},
    {"securityContext": {"privileged": True}},
]


def objects(chart, values):
    files = chart.render(values, name="tds-tracer", namespace="tds-tracer", is_install=True)
    texts = [files[name] for name in sorted(files) if name.endswith(".yaml")]
    documents = [document.strip() for text in texts for document in text.split("\n---\n")]
    return [document.removeprefix("---\n") for document in documents if document]


def check(documents):
    kinds = [yaml.safe_load(document) for document in documents]
    for found in kinds:
        if found["kind"] in LEARNED:
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(found, version, strict=True)
    return kinds


def pod_of(kinds):
    (pod,) = [found["spec"]["template"]["spec"] for found in kinds if found["kind"] == "DaemonSet"]
    return pod


def keeps(pod, values):
    """A full spool evicts no pod, and what is mounted is there."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (container,) = pod["containers"]
    mounts = [mount["name"] for mount in container["volumeMounts"]]
    assert len(volumes) == len(pod["volumes"]) and sorted(mounts) == sorted(volumes), (mounts, volumes)
    for volume in values.get("extraVolumes", []):
        assert volumes[volume["name"]] == volume, volumes
    if values.get("state", {}).get("hostPath"):
        assert "emptyDir" not in volumes["state"], volumes["state"]
        return
    limit = volumes["state"]["emptyDir"]["sizeLimit"]
    assert int(limit[:-2]) * UNITS[limit[-2:]] > SPOOL, limit


def privileges(pod, more):
    """What the pod may do on its node, which is to be as little as it needs."""
    (container,) = pod["containers"]
    context = container["securityContext"]
    needed = ["BPF", "NET_ADMIN", "PERFMON", "SYS_PTRACE"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": needed + more}
    assert context["privileged"] is False and context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    # A service called tds-tracer would have the agent refuse TDS_TRACER_PORT.
    assert pod["enableServiceLinks"] is False
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        if "hostPath" in volume and volume["name"] != "state":
            assert mounts[volume["name"]]["readOnly"] is True, volume
    return sorted(volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume)


def expressions(kinds):
    """What dashboards ask Prometheus, as it would be asked, and the alerts: all of it as rules."""
    groups = [group for found in kinds if found["kind"] == "PrometheusRule" for group in found["spec"]["groups"]]
    dashboards = [text for found in kinds if "dashboards" in found["metadata"]["name"] for text in found["data"].values()]
    panels = [panel for text in dashboards for panel in json.loads(text)["panels"]]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert groups and asked
    asked = [re.sub(r"\$__\w+", "5m", expression).replace("$server", ".*") for expression in asked]
    rules = [{"record": f"dashboard:{number}", "expr": expression} for number, expression in enumerate(asked)]
    return yaml.safe_dump({"groups": [*groups, {"name": "dashboards", "rules": rules}]})


def main():
    place, plain = sys.argv[1:]
    report = helm_python.lint(place, strict=True, namespace="tds-tracer")
    messages = [message for message in report["messages"] if message["severity"] > 1]
    assert not messages and not report["errors"], report
    chart = helm_python.Chart.load(place)
    for shape, values in SHAPES.items():
        documents = objects(chart, values)
        kinds = check(documents)
        keeps(pod_of(kinds), values)
        places = privileges(pod_of(kinds), values.get("extraCapabilities", []))
        print(f"{shape}: {len(kinds)} objects; of the node: {', '.join(places)}")
        if shape == "monitored":
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as rules:
                rules.write(expressions(kinds))
                rules.flush()
                subprocess.run(["promtool", "check", "rules", rules.name], check=True)
        if shape == "plain":
            # A namespace is there before what is in it.
            documents.sort(key=lambda document: yaml.safe_load(document)["kind"] != "Namespace")
            lines = "\n---\n".join(documents).splitlines()
            lines = [line for line in lines if not any(label in line for label in HELMS)]
            with open(plain, "w", encoding="utf-8") as file:
                file.write("\n".join([MADE_BY, *lines]) + "\n")
    for values in WRONG:
        try:
            chart.validate_schema(values)
        except helm_python.HelmError:
            continue
        sys.exit(f"these values are not refused: {values}")


main()
