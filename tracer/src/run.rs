//! `tds-tracer run`: live connections, from the kernel's ring buffer to the output.

mod confinement;
mod datagrams;
mod health;
mod memory;
mod named;
mod opening;
mod owners;
mod ports;
mod recording;
mod records;
mod reload;
mod service;
mod status;
mod told;
mod watcher;
mod witnesses;

use std::{
    collections::BTreeMap, ffi::OsString, io, net::SocketAddr, path::PathBuf, process::ExitCode,
    sync::Arc, time::Duration,
};

use anyhow::Context;
use rustix::thread::disable_transparent_huge_pages;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracer_ebpf::config::requests;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    reload::Layer as Reloadable,
    util::SubscriberInitExt as _,
};

use self::watcher::{SetLogLevel, Watcher};
pub use self::{named::Wanted, recording::Recording, reload::Reread};
use crate::{
    confine::user,
    host::{self, Containers, Hierarchy, Processes},
    metrics::Metrics,
    ports::Ports,
    probe::{self, Probe, Selection, Source},
    record::{Event as EventName, Nanos, identity::Policy},
    session::IncidentLimits,
    sink::{Outputs, Settings},
};

/// Records handed to the writer at once at most: it begins while others are made.
const GATHERED: usize = 128;

/// What `run` is to do.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches something of its own"
)]
pub struct RunOptions {
    /// Watched TCP ports.
    pub ports: Ports,
    /// Watched interfaces.
    pub interfaces: Selection,
    /// The control group whose sockets' processes are told; the host's root unless given.
    pub cgroup: Option<PathBuf>,
    /// Where this host's own files are found: containers' names are among them.
    pub host_root: PathBuf,
    /// The container runtime's socket, where it is asked for names.
    pub cri_socket: Option<PathBuf>,
    /// What Kubernetes calls this node.
    pub node: Option<String>,
    /// Where packets are seen; the agent's choice where it is not said.
    pub source: Option<Source>,
    /// Whether interfaces are watched beside sockets.
    pub transit: bool,
    /// What is written, where and how; one at least.
    pub outputs: Vec<Settings>,
    /// Some of them are sinks, not the output alone.
    pub has_sinks: bool,
    /// From here on a login is slow; the engine's own limit where it is not said.
    pub slow: Option<Nanos>,
    /// What becomes of names of users, domains and workstations.
    pub identities: Policy,
    /// How long a login may be undecided before it is told as pending.
    pub pending_after: Nanos,
    /// What makes an incident.
    pub incidents: IncidentLimits,
    /// Bytes kept of each direction of a login.
    pub login_bytes: u32,
    /// Connections watched at once.
    pub max_flows: u32,
    /// Whether they are fewer than usual, since memory bears no more.
    pub is_bounded_by_memory: bool,
    /// Size of the ring buffer in bytes, a power of two.
    pub ring_bytes: u32,
    /// Which datagrams beside logins are told, by [`tracer_ebpf::datagram::level`].
    pub side_traffic: u32,
    /// Processes that are watched for what shows no packet.
    pub watched: Vec<Wanted>,
    /// When to stop.
    pub duration: Option<Duration>,
    /// Where is remembered what is usual at servers; nothing is where it is not given.
    pub state: Option<PathBuf>,
    /// Where metrics are asked for; nowhere unless given.
    pub metrics: Option<SocketAddr>,
    /// What is recorded of packets, and where; nothing unless given.
    pub recording: Option<Recording>,
    /// Level of the agent's own log.
    pub log_level: LevelFilter,
    /// Whether it is told which executable a process runs.
    pub executables: bool,
    /// Whether what is not needed any more is given up once it is at work.
    pub confine: bool,
    /// As whom the agent goes on where root has started it.
    pub user: user::Choice,
    /// The configuration's files, which are read anew when that is asked for.
    pub files: Vec<PathBuf>,
    /// Each option by its name, as it was said.
    pub said: BTreeMap<String, Vec<OsString>>,
}

impl RunOptions {
    /// What makes an incident, where anybody asks for those.
    fn incidents_told(&self) -> Option<IncidentLimits> {
        let asked = self.wants(EventName::Incident) || self.measures();
        asked.then_some(self.incidents)
    }

    /// Whether anybody is told what is counted and measured.
    fn measures(&self) -> bool {
        self.metrics.is_some() || self.outputs.iter().any(Settings::tells_figures)
    }

    /// Whether any output is to have the event.
    fn wants(&self, event: EventName) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.any(|output| output.filter.wants(event))
    }
}

/// Watches live connections until a signal, the duration, or the reader's end.
///
/// # Errors
/// Where this host does not allow it; nothing is left attached then.
pub fn run(options: &RunOptions, reread: Reread) -> anyhow::Result<ExitCode> {
    let (filter, reloaded) = Reloadable::new(log_filter(options.log_level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // It would be said on standard error that standard error is gone.
        .log_internal_errors(false)
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
    let set_log_level: SetLogLevel = Box::new(move |level| {
        // It fails only where nobody logs any more.
        drop(reloaded.reload(log_filter(level)));
    });
    // Pieces of two megabytes stay for the little that is left in them: 11 MB more at the start, a tenth more with many
    // connections.
    if let Err(reason) = disable_transparent_huge_pages(true) {
        tracing::debug!("memory is in huge pages where the kernel likes: {reason}");
    }
    // Before there is a second thread.
    confinement::change_user(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(watch(options, reread, set_log_level))
}

/// At `debug` the loader would bury what the programs say under every relocation.
fn log_filter(level: LevelFilter) -> Targets {
    let all = Targets::new().with_default(level);
    if level == LevelFilter::DEBUG {
        all.with_target("aya", LevelFilter::INFO)
    } else {
        all
    }
}

async fn watch(
    options: &RunOptions,
    reread: Reread,
    set_log_level: SetLogLevel,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("listening for signals")?;
    // Before anything is attached, so that nothing has to be undone.
    let output =
        Outputs::open(&options.outputs, &host::name(), GATHERED).context("opening the output")?;
    let metrics = metrics(options)?;
    if let Some(recording) = &options.recording {
        recording.prepare().context("the recorder's directory")?;
    }
    let groups = Hierarchy::choose(options.cgroup.as_deref())?;
    let probe = Probe::start(&probe_options(options, groups.clone())).await?;
    let mut containers = Containers::under(options.host_root.clone(), options.node.as_deref());
    if let Some(socket) = &options.cri_socket {
        containers = containers
            .asking(socket.clone(), options.confine)
            .context("asking a container runtime")?;
    }
    let mut processes = Processes::new(groups, containers);
    if !options.executables {
        processes = processes.without_executables();
    }
    let mut agent = Watcher::new(options, probe, processes, output, metrics);
    agent.may_reload(reread, set_log_level);
    agent.started();
    agent.confine();
    service::ready();
    agent.catch_up();
    let reason = agent.until_stopped(options.duration, &mut signals).await;
    service::stopping();
    Box::pin(agent.stop(reason)).await
}

/// What is counted and measured, where anybody is told.
fn metrics(options: &RunOptions) -> anyhow::Result<Option<Metrics>> {
    if !options.measures() {
        return Ok(None);
    }
    let mut metrics = Metrics::new(&host::name());
    if let Some(address) = options.metrics {
        metrics
            .listen(address, options.confine)
            .with_context(|| format!("listening at {address} for metrics"))?;
    }
    Ok(Some(metrics))
}

fn probe_options(options: &RunOptions, groups: Option<Arc<Hierarchy>>) -> probe::Options {
    probe::Options {
        ports: options.ports.known().into_iter().collect(),
        auto: options.ports.auto,
        interfaces: options.interfaces.clone(),
        login_bytes: options.login_bytes,
        max_flows: options.max_flows,
        ring_bytes: options.ring_bytes,
        requests: requests_of(options),
        clean_up: true,
        groups,
        source: options.source,
        transit: options.transit,
        datagrams: options.side_traffic,
        watches: !options.watched.is_empty(),
        ..probe::Options::default()
    }
}

/// What the kernel does with requests, for what is wanted of them.
fn requests_of(options: &RunOptions) -> u32 {
    if options.wants(EventName::Request) {
        requests::TOLD
    } else if options.wants(EventName::Close) || options.measures() {
        requests::COUNTED
    } else {
        requests::IGNORED
    }
}

/// Signals that mean something.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    freeze: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            freeze: signal(SignalKind::user_defined1())?,
        })
    }
}
