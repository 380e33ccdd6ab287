//! `tds-tracer run`.

use std::{collections::BTreeMap, env, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use glob::Pattern;
use tracer_ebpf::datagram::level;
use tracing_subscriber::filter::LevelFilter;

use super::{
    OutputArgs,
    config::ConfigFile,
    sinks::{self, SinkArg},
    values,
};
use crate::{
    confine::user::Choice,
    host,
    ports::Ports,
    probe::{Selection, Source},
    run::{Recording, RunOptions, Wanted},
    sink::Overflow,
};

/// Options of `run`, as typed.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// TCP ports of SQL Server, such as `1433,11000-11999`; may be given more than once. `auto`: 1433,
    /// those that are learned, and any on which a connection's first bytes prove to be TDS
    #[arg(long = "port", value_name = "PORTS", default_value = "auto")]
    ports: Vec<Ports>,

    /// Watch only interfaces of these names or patterns (`eth*,ens*`); may be given more than once
    #[arg(long = "iface", value_name = "PATTERNS", value_delimiter = ',')]
    interfaces: Vec<Pattern>,

    /// Leave out interfaces of these names or patterns; may be given more than once
    #[arg(long = "exclude-iface", value_name = "PATTERNS", value_delimiter = ',')]
    excluded: Vec<Pattern>,

    /// Watch the sockets of this control group, by its directory, instead of the host's root's
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,

    /// Read there what this host's container runtimes and kubelet write down of containers' names: where its root
    /// directory, or those parts of it, are mounted
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    host_root: PathBuf,

    /// Ask the container runtime at this socket (CRI) for the names of containers and pods that no file says. Whoever may
    /// ask there may also make containers, so nobody is asked unless given
    #[arg(long, value_name = "SOCKET")]
    cri_socket: Option<PathBuf>,

    /// What Kubernetes calls this node, for `k8s.node`
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// Where packets are seen: at all sockets of the host, or at the interfaces of this network namespace.
    /// `auto`: sockets where they can be had, unless interfaces or a network namespace were chosen
    #[arg(long, value_name = "SOURCE", value_enum, default_value = "auto")]
    source: SourceArg,

    /// Watch the interfaces of this network namespace beside the sockets: for what is forwarded, what a
    /// firewall drops, and SYNs to closed ports
    #[arg(long)]
    transit: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// Tell this one too, as `kind=KIND,KEY=VALUE,…`: `file`, `stdout`, `journald`, `syslog`, `socket`, `otlp`. In a file a
    /// table `[[sink]]`; may be given more than once. With one, standard output is written only as a sink.
    /// docs/sinks.md has all keys
    #[arg(long = "sink", value_name = "SINK")]
    sinks: Vec<SinkArg>,

    /// Bytes kept of each direction of a login
    #[arg(long, value_name = "BYTES", default_value = "16384", value_parser = values::login_bytes)]
    login_bytes: u32,

    /// Connections watched at once; the oldest gives way to the next. 65536, or as many as the control group's
    /// memory is enough for
    #[arg(long, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    max_flows: Option<u32>,

    /// Size of the buffer between kernel and agent: a power of two
    #[arg(long, value_name = "BYTES", default_value = "8M", value_parser = values::ring_bytes)]
    ring_bytes: u32,

    /// What beside the logins is looked at, where packets are seen at sockets: nothing, questions to SQL
    /// Browser (`sql`), or name resolution too (`full`)
    #[arg(long, value_name = "WHICH", value_enum, default_value = "full")]
    side_traffic: SideTrafficArg,

    /// Watch this process, by its name or id, also for what shows no packet: a connect that this host refuses, and
    /// that it tries nothing for as long as `--pending` says; may be given more than once
    #[arg(long = "watch-process", value_name = "NAME|PID", value_parser = values::process)]
    watched: Vec<Wanted>,

    /// Stop after this time, such as `30s` or `5m`
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    duration: Option<Duration>,

    /// Remember what is usual at each server in this directory, from one run to the next; systemd's
    /// `StateDirectory` unless given, else nothing is kept
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,

    /// Answer whoever asks for Prometheus metrics (`/metrics`) and the agent's health (`/-/healthy`,
    /// `/-/ready`) at this port of the loopback address, or at `ADDRESS:PORT`; nobody is answered unless given
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = values::listener)]
    metrics: Option<SocketAddr>,

    /// Keep what the kernel tells of packets, and write those of logins that were slow, failed or are undecided
    /// into this directory, as captures with what was said of them; nothing is kept unless given
    #[arg(long, value_name = "DIRECTORY")]
    recorder: Option<PathBuf>,

    /// Memory for what is kept, such as `32M`
    #[arg(long, value_name = "BYTES", default_value = "32M", value_parser = values::recorder_bytes)]
    recorder_bytes: u64,

    /// What is written takes no more than this; the oldest makes room
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = values::recorder_bytes)]
    recorder_max_bytes: u64,

    /// How much the agent says of its own work on standard error: off, error, warn, info, debug or
    /// trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,

    /// Tell which executable a process runs; without, `CAP_SYS_PTRACE` is given up too, and nothing is told of the
    /// network namespaces of other users' processes
    #[arg(long, value_name = "SWITCH", value_enum, default_value = "on")]
    executable: Switch,

    /// Give up, once at work, what is not needed any more: capabilities, system calls, files
    #[arg(long, value_name = "SWITCH", value_enum, default_value = "on")]
    confine: Switch,

    /// Go on as this user, by name or number, where root starts it. `auto`: as `tds-tracer`, which the packages bring,
    /// where it reaches all that is read and written later; `keep`: as whoever starts it
    #[arg(long, value_name = "USER", default_value = "auto", value_parser = values::user)]
    user: Choice,

    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Connections watched where nobody says how many.
const FLOWS: u32 = 65_536;
/// What one takes at most while its login is undecided, in the agent and in the kernel, bytes.
const FLOW_BYTES: u64 = 6 << 10;
/// What the agent takes without any, bytes.
const BASE_BYTES: u64 = 64 << 20;
/// The ring's part of these.
const RING_BYTES: u32 = 8 << 20;
/// However little memory there is, so many are watched.
const FEWEST: u32 = 1024;

/// As many as the memory is enough for that the control group leaves, with a ring of that size and so many bytes for
/// something else.
fn flows_in(memory: Option<u64>, ring: u32, else_taken: u64) -> u32 {
    let taken = BASE_BYTES + u64::from(ring.saturating_sub(RING_BYTES)) + else_taken;
    let room = memory.map(|bytes| bytes.saturating_sub(taken) / FLOW_BYTES);
    let flows = room.map_or(FLOWS, |room| u32::try_from(room).unwrap_or(FLOWS));
    flows.clamp(FEWEST, FLOWS)
}

/// See [`Source`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SourceArg {
    Auto,
    Sockets,
    Interfaces,
}

impl SourceArg {
    const fn meant(self) -> Option<Source> {
        match self {
            Self::Auto => None,
            Self::Sockets => Some(Source::Sockets),
            Self::Interfaces => Some(Source::Interfaces),
        }
    }
}

/// The first directory that systemd made for the service's state.
fn given_by_systemd() -> Option<PathBuf> {
    let directories = env::var_os("STATE_DIRECTORY")?;
    let first = env::split_paths(&directories).next()?;
    (!first.as_os_str().is_empty()).then_some(first)
}

/// See [`level`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideTrafficArg {
    Off,
    Sql,
    Full,
}

impl SideTrafficArg {
    const fn meant(self) -> u32 {
        match self {
            Self::Off => level::OFF,
            Self::Sql => level::SQL,
            Self::Full => level::FULL,
        }
    }
}

impl RunArgs {
    pub(super) fn meant(self) -> anyhow::Result<RunOptions> {
        let Self {
            ports,
            interfaces,
            excluded,
            cgroup,
            host_root,
            cri_socket,
            node,
            source,
            transit,
            output,
            sinks,
            login_bytes,
            max_flows,
            ring_bytes,
            side_traffic,
            watched,
            duration,
            state,
            metrics,
            recorder,
            recorder_bytes,
            recorder_max_bytes,
            log_level,
            executable,
            confine,
            user,
            config: _,
        } = self;
        let state = state.or_else(given_by_systemd);
        let usual = output.settings(Overflow::Drop)?;
        let slow = usual.filter.slow;
        let has_sinks = !sinks.is_empty();
        let place = sinks::Place {
            state: state.as_deref(),
            node: node.as_deref(),
        };
        let outputs = sinks::outputs(&sinks, usual, output.names_file(), place)?;
        let recorded = recorder.as_ref().map_or(0, |_| recorder_bytes);
        let bearable = flows_in(host::memory_limit(), ring_bytes, recorded);
        Ok(RunOptions {
            ports: Ports::all(ports),
            interfaces: Selection {
                selected: interfaces,
                excluded,
            },
            cgroup,
            host_root,
            cri_socket,
            node,
            source: source.meant(),
            transit,
            outputs,
            has_sinks,
            slow,
            identities: output.identities()?,
            pending_after: output.pending(),
            incidents: output.incidents(),
            login_bytes,
            max_flows: max_flows.unwrap_or(bearable),
            is_bounded_by_memory: max_flows.is_none() && bearable < FLOWS,
            ring_bytes,
            side_traffic: side_traffic.meant(),
            watched,
            duration,
            state,
            metrics,
            recording: recorder.map(|folder| Recording {
                folder,
                ring_bytes: usize::try_from(recorder_bytes).unwrap_or(usize::MAX),
                folder_bytes: recorder_max_bytes,
            }),
            log_level,
            executables: executable == Switch::On,
            confine: confine == Switch::On,
            user,
            files: Vec::new(),
            said: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RING_BYTES, flows_in};

    #[test]
    fn as_many_connections_are_watched_as_memory_is_enough_for() {
        let usual = |memory| flows_in(memory, RING_BYTES, 0);
        assert_eq!(usual(None), 65_536);
        assert_eq!(usual(Some(256 << 20)), 32_768);
        assert_eq!(usual(Some(1 << 40)), 65_536);
        assert_eq!(usual(Some(1 << 20)), 1024);
        // A larger ring and a recorder take of it.
        assert_eq!(flows_in(Some(256 << 20), 32 << 20, 0), 28_672);
        assert_eq!(flows_in(Some(256 << 20), 4096, 96 << 20), 16_384);
    }
}
