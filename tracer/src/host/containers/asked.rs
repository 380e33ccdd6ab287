//! A runtime that is asked for what it has not left on disk, by the interface by which Kubernetes asks it (CRI,
//! `runtime.v1`), where somebody names its socket.
//!
//! Whoever may ask there may also make containers. So a thread of its own asks, which has nothing else, and asks one
//! thing only.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use http_body_util::Full;
use prost::Message;
use tokio::{net::UnixStream, time::timeout};

use super::{InPod, Noted, names::label};
use crate::{
    confine::{Needs, confine},
    grpc,
    record::Text,
};

/// What is asked for of a container (`runtime.v1` of Kubernetes' CRI).
const METHOD: &str = "http://localhost/runtime.v1.RuntimeService/ContainerStatus";
/// Questions that wait.
const WAITING: usize = 64;
/// Answers that nobody has taken yet.
const ANSWERS: usize = 1024;
/// The longest answer, bytes: a container's annotations and mounts are in it.
const LONGEST: usize = 1 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long whoever asks waits for answers in each [`PERIOD`], all together; not at all once one has taken longer,
/// until one comes sooner.
const MOMENT: Duration = Duration::from_millis(50);
const PERIOD: Duration = Duration::from_secs(1);
/// Statuses of gRPC: what runtimes say of a container that is not theirs.
const UNKNOWN: u32 = 2;
const NOT_FOUND: u32 = 5;

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

/// A runtime that is asked.
#[derive(Debug)]
pub(super) struct Asked {
    questions: SyncSender<String>,
    answers: Arc<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    told: Mutex<Told>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    /// By the containers' ids: nothing yet where one is being asked for, and nothing in it where the runtime says nothing.
    noted: HashMap<String, Option<Noted>>,
    waits: Waits,
}

/// How long whoever asks has waited.
#[derive(Debug, Default)]
struct Waits {
    since: Option<Instant>,
    so_far: Duration,
    /// The last answer was not there in time.
    is_late: bool,
}

impl Waits {
    /// How long may be waited now.
    fn left(&mut self, now: Instant) -> Duration {
        let is_over = |since| now.saturating_duration_since(since) >= PERIOD;
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.so_far = Duration::ZERO;
        }
        if self.is_late {
            Duration::ZERO
        } else {
            MOMENT.saturating_sub(self.so_far)
        }
    }
}

impl Asked {
    /// The one at that socket; the thread that asks gives up all else where it is to be confined.
    pub(super) fn at(socket: PathBuf, confined: bool) -> io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING);
        let answers = Arc::new(Answers::default());
        let told = Arc::clone(&answers);
        let thread = thread::Builder::new().name("names".to_owned());
        thread.spawn(move || {
            if confined {
                for step in confine(&Needs::default()) {
                    tracing::debug!("names, {}: {:?}", step.what, step.held);
                }
            }
            ask(&socket, &asked, &told);
        })?;
        Ok(Self { questions, answers })
    }

    /// What it says of a container, where that comes in a moment; later at the next question.
    pub(super) fn about(&self, id: &str) -> Option<Noted> {
        let is_asked = |told: &mut Told| matches!(told.noted.get(id), Some(None));
        let mut told = self.answers.told();
        if is_asked(&mut told) {
            return None;
        }
        let before = told.noted.remove(id).flatten();
        if let Some(noted) = before.filter(|noted| *noted != Noted::default()) {
            return Some(noted);
        }
        self.questions.try_send(id.to_owned()).ok()?;
        told.noted.insert(id.to_owned(), None);
        let begun = Instant::now();
        let left = told.waits.left(begun);
        let arrived = &self.answers.arrived;
        let waited = arrived.wait_timeout_while(told, left, is_asked);
        let (mut told, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        told.waits.so_far += begun.elapsed();
        if ended.timed_out() {
            told.waits.is_late = true;
            return None;
        }
        told.noted.remove(id).flatten()
    }
}

impl Answers {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, id: String, noted: Noted, took: Duration) {
        let mut told = self.told();
        told.waits.is_late = took >= MOMENT;
        if told.noted.len() >= ANSWERS {
            told.noted.retain(|_, noted| noted.is_none());
        }
        told.noted.insert(id, Some(noted));
        self.arrived.notify_all();
    }
}

/// Asks until nobody has a question any more.
fn ask(socket: &Path, questions: &Receiver<String>, answers: &Answers) {
    let mut has_failed = false;
    for id in questions {
        let begun = Instant::now();
        let answered = answer(socket, &id);
        if let Err(error) = &answered
            && !has_failed
        {
            tracing::warn!("names of containers, from {}: {error}", socket.display());
        }
        has_failed = answered.is_err();
        let noted = answered.ok().flatten().unwrap_or_default();
        answers.tell(id, noted, begun.elapsed());
    }
}

/// What comes in time; `None` where the runtime knows no such container.
fn answer(socket: &Path, id: &str) -> io::Result<Option<Noted>> {
    // Whatever a question leaves behind is gone with it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answered = runtime.block_on(async { timeout(PATIENCE, status(socket, id)).await });
    answered.map_err(|_late| io::Error::other("it does not answer"))?
}

/// One question, on a connection of its own.
async fn status(socket: &Path, id: &str) -> io::Result<Option<Noted>> {
    let (mut sender, _carried) = grpc::open(UnixStream::connect(socket).await?).await?;
    let question = Question {
        container: id.to_owned(),
    };
    let body = grpc::framed(false, &question.encode_to_vec());
    let request = grpc::request(METHOD).body(Full::from(body));
    let response = sender.send_request(request.map_err(io::Error::other)?);
    let response = response.await.map_err(|error| grpc::other(&error))?;
    let (status, headers, body) = grpc::whole(response, LONGEST).await?;
    match grpc::status(&headers) {
        Some(0) => {
            let answer = Answer::decode(grpc::message(&body).unwrap_or_default())?;
            Ok(answer.status.map(Status::noted))
        }
        Some(UNKNOWN | NOT_FOUND) => Ok(None),
        Some(code) => Err(io::Error::other(format!(
            "it answers with gRPC's status {code}"
        ))),
        None => Err(io::Error::other(format!(
            "it answers {} without gRPC",
            status.as_u16()
        ))),
    }
}

#[cfg(test)]
mod tests;
