//! containerd as a node of a cluster has it, and what its kubelet asks it for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::contained::UNIFIED;
use crate::drivers::python;
use crate::net::Namespace;
use crate::node::Node;
use crate::peer::workspace;
use crate::process::{Running, run};

/// The name of the image that it has: a shell, which sleeps where nothing else is asked of it.
pub const IMAGE: &str = "registry.example/shop:1.4";
/// The shell in it.
pub const SHELL: &str = "/bin/busybox";
const LIMIT: Duration = Duration::from_mins(1);
/// Where it and those that it starts have what they leave at work, wherever it is told to have it.
const STATE: &str = "run/containerd";
/// With a `/run` of its own, in which only that directory is.
const OWN_RUN: &str = r#"mount -t tmpfs none /run && mkdir /run/containerd \
    && mount --bind "$1" /run/containerd && shift && exec "$@""#;

/// A running containerd. Its mounts are gone with its processes, and these with the node.
pub struct Containerd {
    socket: PathBuf,
    _running: Running,
}

/// A pod with one container.
pub struct Pod {
    kubelet: Running,
    container: String,
}

impl Containerd {
    /// Starts it on the network of that host, with its files and groups on that node. Each container's group is in that
    /// one, as its kubelet would say: its own is another therein. So none of them needs any controller, of which a host
    /// may have none for groups of version 2.
    pub fn start(host: &Namespace, node: &Node, group: &str) -> Result<Self> {
        let root = node.root();
        let state = root.join(STATE);
        fs::create_dir_all(&state)?;
        node.write("containerd.toml", &configuration(root))?;
        let line = format!(
            r#"{} && exec "$@""#,
            node.enter(&format!("{group}/containerd"))?
        );
        let mut command = host.command("bash");
        command.args(["-c", &line, "bash", "unshare", "--mount"]);
        command.args(["bash", "-c", UNIFIED, "bash"]);
        command.args(["bash", "-c", OWN_RUN, "bash"]).arg(&state);
        command.args(["containerd", "--config"]);
        command.arg(root.join("containerd.toml"));
        let running = Running::start(&mut command)?;
        let is_up = running.wait_errors("successfully booted", LIMIT);
        ensure!(is_up, "containerd does not start: {}", running.errors());
        let containerd = Self {
            socket: state.join("containerd.sock"),
            _running: running,
        };
        containerd.import(&root.join("image.tar"))?;
        Ok(containerd)
    }

    /// Where it answers, as seen from outside.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Has it run that command in the one container of a pod, which can read these paths of the host too: as a kubelet
    /// would, with such a `name`, `namespace`, `uid` and `container`.
    pub fn run(&self, mut pod: Value, command: &[&str], mounts: &[&Path]) -> Result<Pod> {
        pod["image"] = json!(IMAGE);
        pod["command"] = json!(command);
        pod["mounts"] = json!(mounts);
        let mut kubelet = driver("kubelet.py");
        kubelet.arg(&self.socket).arg(pod.to_string());
        let mut kubelet = Running::start_held(&mut kubelet)?;
        kubelet.wait_lines(LIMIT, |lines| !lines.is_empty());
        let container = kubelet.lines().first().cloned();
        let container = container.with_context(|| kubelet.errors())?;
        Ok(Pod { kubelet, container })
    }

    fn import(&self, file: &Path) -> Result<()> {
        let mut image = driver("image.py");
        image.arg(file).args([IMAGE, SHELL]);
        let mut import = Command::new("ctr");
        import.arg("--address").arg(&self.socket);
        import.args(["--namespace", "k8s.io", "images", "import"]);
        for command in [&mut image, import.arg(file)] {
            let (status, told) = run(command, "", LIMIT)?;
            ensure!(status.success(), "{command:?}: {told}");
        }
        Ok(())
    }
}

impl Pod {
    /// The id that its container has.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Stops it, and removes all that there is of it.
    pub fn remove(self) -> Result<()> {
        let ended = self.kubelet.release_within(LIMIT)?;
        ensure!(ended.status.success(), "{}", ended.errors);
        Ok(())
    }
}

fn configuration(root: &Path) -> String {
    let root = root.display();
    format!(
        r#"
version = 2
root = "{root}/var/lib/containerd"
state = "/{STATE}"
[grpc]
address = "/{STATE}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{root}/opt/containerd"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
disable_apparmor = true
disable_cgroup = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
conf_dir = "{root}/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"#
    )
}

fn driver(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(workspace().join("tests/drivers").join(name));
    command
}
