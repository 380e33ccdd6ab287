//! The agent in a container, as the manifests for Kubernetes have it: by an OCI runtime, with the manifest's own
//! capabilities, mounts, variables and namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::net::Namespace;
use crate::node::Node;
use crate::peer::{program, workspace};

const MANIFESTS: &str = "packaging/kubernetes/tds-tracer.yaml";
/// As a node of today has them, whatever this machine has besides.
pub(crate) const UNIFIED: &str =
    r#"umount -l -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@""#;
/// What container runtimes hide of `/proc` and `/sys`.
const MASKED: [&str; 6] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The daemon set's pod, and where its container is put together.
pub struct Contained {
    pod: Value,
    bundle: PathBuf,
    name: String,
}

impl Contained {
    /// As the plain manifests say, on that node, with more arguments.
    pub fn new(node: &Node, arguments: &[&str]) -> Result<Self> {
        let text = fs::read_to_string(workspace().join(MANIFESTS))?;
        let documents = serde_yaml_ng::Deserializer::from_str(&text);
        let documents: Vec<Value> = documents
            .map(Value::deserialize)
            .collect::<Result<_, _>>()?;
        let find = |kind: &str| documents.iter().find(|document| document["kind"] == kind);
        let set = find("DaemonSet").context("no daemon set")?;
        let configuration = find("ConfigMap").context("no configuration")?;
        let name = node.root().file_name().context("a name")?;
        let contained = Self {
            pod: set["spec"]["template"]["spec"].clone(),
            bundle: node.root().join("bundle"),
            name: name.to_string_lossy().into_owned(),
        };
        fs::create_dir_all(contained.bundle.join("rootfs"))?;
        let volumes = contained.bundle.join("volumes");
        fs::create_dir_all(volumes.join("config"))?;
        fs::create_dir_all(volumes.join("state"))?;
        let data = configuration["data"].as_object().context("no data")?;
        for (file, text) in data {
            let text = text.as_str().context("no text")?;
            fs::write(volumes.join("config").join(file), text)?;
        }
        let specification = contained.specification(node, arguments)?;
        fs::write(
            contained.bundle.join("config.json"),
            specification.to_string(),
        )?;
        Ok(contained)
    }

    /// What starts it, on the network of that host.
    pub fn command(&self, host: &Namespace) -> Command {
        let mut command = crun(host.command("unshare"), "run");
        command.arg("--bundle").arg(&self.bundle).arg(&self.name);
        command
    }

    /// What runs something else in it.
    pub fn exec(&self, host: &Namespace, words: &[&str]) -> Command {
        let mut command = crun(host.command("unshare"), "exec");
        command.arg(&self.name).args(words);
        command
    }

    /// The process in it, by the host's number.
    pub fn pid(&self) -> Result<u32> {
        let told = crun(Command::new("unshare"), "state")
            .arg(&self.name)
            .output()?;
        let state: Value = serde_json::from_slice(&told.stdout)?;
        let pid = state["pid"].as_u64().context("no process")?;
        Ok(u32::try_from(pid)?)
    }

    /// The addresses that its kubelet asks for its health.
    pub fn probes(&self) -> Result<BTreeSet<String>> {
        let container = self.container();
        let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
        let addresses = probes.into_iter().map(|probe| {
            let get = &container[probe]["httpGet"];
            let host = get["host"].as_str().context("no host")?;
            let path = get["path"].as_str().context("no path")?;
            Ok(format!("http://{host}:{}{path}", get["port"]))
        });
        addresses.collect()
    }

    fn container(&self) -> &Value {
        &self.pod["containers"][0]
    }

    fn specification(&self, node: &Node, more: &[&str]) -> Result<Value> {
        let container = self.container();
        let context = &container["securityContext"];
        let capabilities = context["capabilities"]["add"]
            .as_array()
            .context("no capabilities")?;
        let capabilities: Vec<String> = capabilities
            .iter()
            .filter_map(Value::as_str)
            .map(|name| format!("CAP_{name}"))
            .collect();
        let mut arguments = vec![json!("/tds-tracer")];
        arguments.extend(container["args"].as_array().cloned().unwrap_or_default());
        arguments.extend(more.iter().map(|word| json!(word)));
        let mut namespaces = vec!["mount", "ipc", "uts", "cgroup"];
        if self.pod["hostPID"] != true {
            namespaces.push("pid");
        }
        if self.pod["hostNetwork"] != true {
            namespaces.push("network");
        }
        let namespaces: Vec<_> = namespaces
            .iter()
            .map(|kind| json!({ "type": kind }))
            .collect();
        Ok(json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": context["runAsUser"], "gid": context["runAsGroup"] },
                "args": arguments,
                "env": self.variables()?,
                "cwd": "/",
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities
                },
                "noNewPrivileges": context["allowPrivilegeEscalation"] == false,
            },
            "root": { "path": "rootfs", "readonly": context["readOnlyRootFilesystem"] },
            "mounts": self.mounts(node)?,
            "linux": {
                "cgroupsPath": format!("/{}-agent", self.name),
                "namespaces": namespaces,
                "maskedPaths": MASKED,
                "readonlyPaths": READ_ONLY,
            },
        }))
    }

    fn variables(&self) -> Result<Vec<String>> {
        let variables = self.container()["env"].as_array().context("no variables")?;
        let written = variables.iter().map(|variable| {
            let name = variable["name"].as_str().context("no name")?;
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("spec.nodeName") => "node-1",
                Some("metadata.name") => "tds-tracer-7k2xq",
                Some("metadata.namespace") => "monitoring",
                Some(field) => bail!("what is {field}?"),
                None => variable["value"].as_str().context("no value")?,
            };
            Ok(format!("{name}={value}"))
        });
        written.collect()
    }

    fn mounts(&self, node: &Node) -> Result<Vec<Value>> {
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc",
                    "options": ["nosuid", "noexec", "nodev"] }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                    "options": ["nosuid", "mode=755"] }),
            json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs",
                    "options": ["nosuid", "noexec", "nodev", "ro"] }),
            json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                    "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }),
        ];
        // The image holds the agent alone, without libraries: here it is one that needs them.
        let agent = program("tds-tracer")?;
        let agent = agent.to_str().context("a path")?;
        for (from, to) in [
            (agent, "/tds-tracer"),
            ("/lib", "/lib"),
            ("/lib64", "/lib64"),
        ] {
            mounts.push(bind(to, Path::new(from), true));
        }
        let volumes = self.pod["volumes"].as_array().context("no volumes")?;
        let wanted = self.container()["volumeMounts"].as_array();
        for mount in wanted.context("no mounts")? {
            let name = mount["name"].as_str().context("no name")?;
            let volume = volumes.iter().find(|volume| volume["name"] == name);
            let volume = volume.context("no such volume")?;
            let source = match volume["hostPath"]["path"].as_str() {
                Some(path @ "/sys/fs/cgroup") => path.into(),
                Some(path) => node.root().join(path.trim_start_matches('/')),
                None => self.bundle.join("volumes").join(name),
            };
            let place = mount["mountPath"].as_str().context("no place")?;
            mounts.push(bind(place, &source, mount["readOnly"] == true));
        }
        Ok(mounts)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let mut delete = crun(Command::new("unshare"), "delete");
        delete.args(["--force", &self.name]).output().ok();
    }
}

/// `crun` where the control groups are of version 2 alone, by an `unshare`.
fn crun(mut unshare: Command, action: &str) -> Command {
    unshare.args(["--mount", "bash", "-c", UNIFIED, "bash"]);
    unshare.args(["crun", "--cgroup-manager=cgroupfs", action]);
    unshare
}

fn bind(to: &str, from: &Path, read_only: bool) -> Value {
    let access = if read_only { "ro" } else { "rw" };
    json!({ "destination": to, "type": "bind", "source": from, "options": ["rbind", "rprivate", access] })
}
