//! What a container runtime is asked at its socket: Kubernetes' interface to it (CRI, `runtime.v1`), as far as the status of
//! a container and the runtime's own version go.

use std::{collections::HashMap, io, path::Path, time::Duration};

use http_body_util::Full;
use prost::Message;
use tokio::{net::UnixStream, time::timeout};

use super::{InPod, Noted, names::label};
use crate::{
    grpc,
    record::{self, Text},
};

/// Where its methods are.
const SERVICE: &str = "http://localhost/runtime.v1.RuntimeService";
/// The longest answer, bytes: a container's annotations and mounts are in it.
const LONGEST: usize = 1 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Statuses of gRPC: what runtimes say of a container that is not theirs.
const UNKNOWN: u32 = 2;
const NOT_FOUND: u32 = 5;
/// The version that whoever asks for a runtime's says it has itself, as a kubelet does.
const ASKER: &str = "0.1.0";
/// Characters of a name or a version that are told.
const TOLD: usize = 64;

/// `ContainerStatusRequest`.
#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    container: String,
}

/// `ContainerStatusResponse`.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
}

/// `ContainerStatus`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "8")]
    image: Option<Image>,
    #[prost(map = "string, string", tag = "12")]
    labels: HashMap<String, String>,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Message)]
struct Image {
    /// A name of it, or its digest.
    #[prost(string, tag = "1")]
    known_as: String,
    /// What its user has called it.
    #[prost(string, tag = "18")]
    asked_for: String,
}

/// `VersionRequest`.
#[derive(Clone, PartialEq, Message)]
struct Greeting {
    #[prost(string, tag = "1")]
    version: String,
}

/// `VersionResponse`.
#[derive(Clone, PartialEq, Message)]
struct Runtime {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
    /// Of the interface.
    #[prost(string, tag = "4")]
    interface: String,
}

impl Status {
    /// By the labels that every kubelet gives its containers.
    fn noted(self) -> Noted {
        let label = |name: &str| label(self.labels.get(name)?);
        let text = |text: String| (!text.is_empty()).then(|| Text::from(text));
        let pod = InPod {
            namespace: label("io.kubernetes.pod.namespace"),
            pod: label("io.kubernetes.pod.name"),
            uid: label("io.kubernetes.pod.uid"),
            container: label("io.kubernetes.container.name"),
        };
        let image = |image: Image| text(image.asked_for).or_else(|| text(image.known_as));
        let own = self.metadata.and_then(|metadata| text(metadata.name));
        Noted {
            name: pod.container.clone().or(own),
            image: self.image.and_then(image),
            runtime: None,
            pod: (pod != InPod::default()).then_some(pod),
        }
    }
}

impl Runtime {
    /// Which it is of those that lines tell.
    fn told(&self) -> Option<record::Runtime> {
        match &*self.name {
            "containerd" => Some(record::Runtime::Containerd),
            "cri-o" => Some(record::Runtime::CriO),
            // As cri-dockerd says.
            "docker" => Some(record::Runtime::Docker),
            _ => None,
        }
    }

    /// For a person: as much of it as can be shown.
    fn said(&self) -> String {
        let shown = |text: &str| -> String {
            let shown = text.chars().filter(|one| !one.is_control());
            shown.take(TOLD).collect()
        };
        format!(
            "{} {} (CRI {})",
            shown(&self.name),
            shown(&self.version),
            shown(&self.interface)
        )
    }
}

/// What the runtime at a socket says of a container; `None` where it knows no such one.
///
/// # Errors
/// Where no answer comes in time, or another than there may be.
pub(super) fn status(socket: &Path, id: &str) -> io::Result<Option<Noted>> {
    let question = Question {
        container: id.to_owned(),
    };
    let answered: Result<Answer, u32> = asked(socket, "ContainerStatus", &question)?;
    match answered {
        Ok(answer) => Ok(answer.status.map(Status::noted)),
        Err(UNKNOWN | NOT_FOUND) => Ok(None),
        Err(code) => Err(refused(code)),
    }
}

/// What the runtime at a socket says that it is: its name and version, and the interface's.
///
/// # Errors
/// Where no answer comes in time, or another than there may be.
pub fn version(socket: &Path) -> io::Result<String> {
    greeted(socket).map(|runtime| runtime.said())
}

/// Which runtime the one at a socket is; `None` where it is another than those that lines tell.
///
/// # Errors
/// Where no answer comes in time, or another than there may be.
pub(super) fn runtime(socket: &Path) -> io::Result<Option<record::Runtime>> {
    greeted(socket).map(|runtime| runtime.told())
}

fn greeted(socket: &Path) -> io::Result<Runtime> {
    let greeting = Greeting {
        version: ASKER.to_owned(),
    };
    let answered: Result<Runtime, u32> = asked(socket, "Version", &greeting)?;
    answered.map_err(refused)
}

fn refused(code: u32) -> io::Error {
    io::Error::other(format!("it answers with gRPC's status {code}"))
}

/// The answer to a question, or gRPC's status in its place.
fn asked<A: Message + Default>(
    socket: &Path,
    method: &str,
    question: &impl Message,
) -> io::Result<Result<A, u32>> {
    // Whatever a question leaves behind is gone with it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answered = async { timeout(PATIENCE, answer(socket, method, question)).await };
    let answered = runtime.block_on(answered);
    answered.map_err(|_late| io::Error::other("it does not answer"))?
}

/// One question, on a connection of its own.
async fn answer<A: Message + Default>(
    socket: &Path,
    method: &str,
    question: &impl Message,
) -> io::Result<Result<A, u32>> {
    let (mut sender, _carried) = grpc::open(UnixStream::connect(socket).await?).await?;
    let body = grpc::framed(false, &question.encode_to_vec());
    let request = grpc::request(&format!("{SERVICE}/{method}")).body(Full::from(body));
    let response = sender.send_request(request.map_err(io::Error::other)?);
    let response = response.await.map_err(|error| grpc::other(&error))?;
    let (status, headers, body) = grpc::whole(response, LONGEST).await?;
    match grpc::status(&headers) {
        Some(0) => {
            let answer = A::decode(grpc::message(&body).unwrap_or_default())?;
            Ok(Ok(answer))
        }
        Some(code) => Ok(Err(code)),
        None => Err(io::Error::other(format!(
            "it answers {} without gRPC",
            status.as_u16()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(labels: &[(&str, &str)], known_as: &str, asked_for: &str) -> Status {
        let label =
            |&(name, value): &(&str, &str)| (format!("io.kubernetes.{name}"), value.to_owned());
        Status {
            metadata: Some(Metadata {
                name: "own".to_owned(),
            }),
            image: Some(Image {
                known_as: known_as.to_owned(),
                asked_for: asked_for.to_owned(),
            }),
            labels: labels.iter().map(label).collect(),
        }
    }

    #[test]
    fn a_container_of_a_pod_is_named_by_the_kubelets_labels_and_any_other_by_its_own_name() {
        let labels = [("pod.name", "shop-0"), ("container.name", "app")];
        let noted = status(&labels, "sha256:4f797c", "shop:1").noted();
        assert_eq!(noted.name.as_deref(), Some("app"));
        assert_eq!(noted.image.as_deref(), Some("shop:1"));
        assert_eq!(noted.pod.unwrap().pod.as_deref(), Some("shop-0"));
        let noted = status(&[("pod.name", "no name")], "shop:1", "").noted();
        assert_eq!(noted.name.as_deref(), Some("own"));
        assert_eq!(noted.image.as_deref(), Some("shop:1"));
        assert_eq!(noted.pod, None);
    }

    #[test]
    fn a_runtimes_version_is_shown_and_nothing_that_moves_a_terminals_cursor() {
        let runtime = Runtime {
            name: "cont\x1b[2Jainerd".to_owned(),
            version: "v".repeat(TOLD + 1),
            interface: "v1".to_owned(),
        };
        let expected = format!("cont[2Jainerd {} (CRI v1)", "v".repeat(TOLD));
        assert_eq!(runtime.said(), expected);
    }

    #[test]
    fn a_runtime_is_told_by_the_name_that_it_gives_itself() {
        for (name, told) in [
            ("containerd", Some(record::Runtime::Containerd)),
            ("cri-o", Some(record::Runtime::CriO)),
            ("docker", Some(record::Runtime::Docker)),
            ("another", None),
        ] {
            let runtime = Runtime {
                name: name.to_owned(),
                ..Runtime::default()
            };
            assert_eq!(runtime.told(), told, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_a_runtime_says_may_be_anything(bytes: Vec<u8>) {
            if let Ok(Answer { status: Some(status) }) = Answer::decode(&*bytes) {
                let _noted = status.noted();
            }
            if let Ok(runtime) = Runtime::decode(&*bytes) {
                let _said = (runtime.said(), runtime.told());
            }
        }
    }
}
