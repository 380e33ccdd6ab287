//! The object, loaded.

use std::{error::Error, iter, os::fd::AsRawFd as _, sync::Arc};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, Map, MapData, ProgramArray},
    programs::{CgroupSkb, SchedClassifier},
};
use aya_log::{EbpfLogger, Level};
use log::Log;
use tracer_ebpf::datagram::level;

use super::{
    Selection, Source, StartError, at_once,
    object::Object,
    refused::{is_permission, refused},
};
use crate::host::{Hierarchy, missing_capabilities};

/// What the probe is to do.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switches something of its own"
)]
pub struct Options {
    /// The TCP ports of servers.
    pub ports: Vec<u16>,
    /// Whether connections on other ports are watched too, once their first bytes prove that they are SQL
    /// Server's.
    pub auto: bool,
    /// The interfaces to watch.
    pub interfaces: Selection,
    /// Bytes of a login copied per direction.
    pub login_bytes: u32,
    /// Connections remembered at a time.
    pub max_flows: u32,
    /// The ring's size; a power of two.
    pub ring_bytes: u32,
    /// Whether the SYNs of a flood are held back until their connection is established.
    pub holds_syns: bool,
    /// What becomes of requests once a login is decided: see [`tracer_ebpf::config::requests`].
    pub requests: u32,
    /// Whether filters that killed runs left are removed.
    pub clean_up: bool,
    /// The control groups whose sockets are watched.
    pub groups: Option<Arc<Hierarchy>>,
    /// Where packets are seen; the agent's choice where it is not said.
    pub source: Option<Source>,
    /// Whether interfaces are watched beside sockets, for what these do not show.
    pub transit: bool,
    /// Which datagrams are told, by [`tracer_ebpf::datagram::level`].
    pub datagrams: u32,
    /// Whether the calls of some processes are watched that fail before any packet.
    pub watches: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: vec![1433],
            auto: false,
            interfaces: Selection::default(),
            login_bytes: tracer_ebpf::config::Config::LOGIN_BYTES,
            max_flows: 65_536,
            ring_bytes: 8 * 1024 * 1024,
            holds_syns: true,
            requests: tracer_ebpf::config::requests::COUNTED,
            clean_up: true,
            groups: None,
            source: None,
            transit: false,
            datagrams: level::OFF,
            watches: false,
        }
    }
}

/// The programs that go on where a classifier ends, in the order of their map.
const STAGES: [&str; 5] = [
    "tds_opening",
    "tds_login",
    "tds_command",
    "tds_ending",
    "tds_runs",
];
/// The same where packets are seen at sockets: of connections in the table, on their socket, and of those that
/// may be SQL Server's.
const SOCKET_STAGES: [&str; 12] = [
    "tds_socket_opening",
    "tds_socket_login",
    "tds_socket_command",
    "tds_socket_ending",
    "tds_socket_runs",
    "tds_owned_opening",
    "tds_owned_login",
    "tds_owned_command",
    "tds_owned_ending",
    "tds_owned_runs",
    "tds_ask_in",
    "tds_ask_out",
];
/// What looks at the datagrams of sockets, behind those and [`TRAFFIC`] in their map.
const DATAGRAMS: [&str; 3] = ["tds_datagram_in", "tds_datagram_out", "tds_announced"];
/// What looks at connections to other services, behind those.
const BESIDE: [&str; 2] = ["tds_beside_in", "tds_beside_out"];
/// The classifiers.
const CLASSIFIERS: [&str; 4] = ["tds_ether_in", "tds_ether_out", "tds_ip_in", "tds_ip_out"];
/// What sees the packets of sockets, on their way in and out.
pub(super) const TRAFFIC: [&str; 2] = ["tds_socket_in", "tds_socket_out"];

/// The ring of the programs' own log; the least there can be where nobody reads it.
const LOG_BYTES: u32 = 1 << 17;
const NO_LOG_BYTES: u32 = 4096;

/// SYNs that listeners were given, remembered where interfaces are watched beside sockets.
const HEARD: u32 = 4096;
/// The size of a map that is not used.
const UNUSED: u32 = 64;

/// What telling a SYN uses up of a processor's time for that, nanoseconds: 1,900 a second are told.
const SYN_COST: u64 = 1 << 19;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tds-programs"));

/// The loaded object.
pub(super) struct Programs {
    pub(super) ebpf: Ebpf,
    /// Keeps the stages in their places.
    pub(super) stages: Vec<ProgramArray<MapData>>,
    log: Option<EbpfLogger<&'static dyn Log>>,
}

impl Programs {
    /// Passes on what the programs have logged.
    pub(super) fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }
}

pub(super) fn load(options: &Options, source: Source) -> Result<Programs, StartError> {
    let object = Object::unpacked(OBJECT)?;
    if !options.ring_bytes.is_power_of_two() || options.ring_bytes < 4096 {
        return Err(StartError::RingSize(options.ring_bytes));
    }
    allow_locked_memory();
    let config = [options.login_bytes, options.requests, 1];
    let logs = tracing::enabled!(tracing::Level::DEBUG);
    // Zero: below every level, so that the verifier leaves the log out.
    let level: u8 = if logs { Level::Debug as u8 } else { 0 };
    let log_bytes = if logs { LOG_BYTES } else { NO_LOG_BYTES };
    let sockets = u32::from(source == Source::Sockets);
    let beside = source == Source::Sockets && options.transit;
    let (passing, heard) = if beside {
        (options.max_flows, HEARD)
    } else {
        (UNUSED, UNUSED)
    };
    let datagrams = match source {
        Source::Sockets => options.datagrams,
        Source::Interfaces => level::OFF,
    };
    let home = namespace_cookie();
    let syn_cost = if options.holds_syns { SYN_COST } else { 0 };
    let mut ebpf = EbpfLoader::new()
        .override_global("CONFIG", &config, true)
        .override_global("SOCKETS", &sockets, true)
        .override_global("BESIDE", &u32::from(beside), true)
        .override_global("AUTO", &u32::from(options.auto), true)
        .override_global("HOME", &home, true)
        .override_global("SYN_COST", &syn_cost, true)
        .override_global("DATAGRAMS", &datagrams, true)
        .override_global("WATCHES", &u32::from(options.watches), true)
        .override_global(aya_log::LEVEL, &level, true)
        .map_max_entries("AYA_LOGS", log_bytes)
        .map_max_entries("FLOWS", options.max_flows)
        .map_max_entries("PASSING", passing)
        .map_max_entries("HEARD", heard)
        .map_max_entries("TABLE_TALLIES", options.max_flows)
        .map_max_entries("EVENTS", options.ring_bytes)
        .load(&object)
        .map_err(|error| refusal(&error))?;
    let mut stages = Vec::new();
    if source == Source::Sockets {
        stages.push(socket_programs(&mut ebpf, datagrams)?);
    }
    if source == Source::Interfaces || beside {
        stages.push(classifiers(&mut ebpf)?);
    }
    let log = if logs {
        Some(EbpfLogger::init(&mut ebpf).map_err(StartError::map)?)
    } else {
        None
    };
    Ok(Programs { ebpf, stages, log })
}

fn classifiers(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, StartError> {
    let mut stages = ProgramArray::try_from(map(ebpf, "STAGES")?).map_err(StartError::map)?;
    at_once::load(ebpf, &[&STAGES[..], &CLASSIFIERS].concat())?;
    for (index, name) in (0..).zip(STAGES) {
        let program = classifier(ebpf, name)?;
        let fd = program.fd().map_err(|error| refused(name, &error))?;
        stages.set(index, fd, 0).map_err(StartError::map)?;
    }
    Ok(stages)
}

fn socket_programs(ebpf: &mut Ebpf, datagrams: u32) -> Result<ProgramArray<MapData>, StartError> {
    let mut stages =
        ProgramArray::try_from(map(ebpf, "SOCKET_STAGES")?).map_err(StartError::map)?;
    let beside = BESIDE.into_iter().filter(|_| datagrams == level::FULL);
    let beside = DATAGRAMS
        .into_iter()
        .filter(|_| datagrams != level::OFF)
        .chain(beside);
    let all = SOCKET_STAGES.into_iter().chain(TRAFFIC).chain(beside);
    let all: Vec<_> = all.collect();
    at_once::load(ebpf, &all)?;
    for (index, name) in (0..).zip(all) {
        let program = traffic(ebpf, name)?;
        let fd = program.fd().map_err(|error| refused(name, &error))?;
        stages.set(index, fd, 0).map_err(StartError::map)?;
    }
    Ok(stages)
}

/// A program of the object that sees the packets of sockets.
pub(super) fn traffic<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut CgroupSkb, StartError> {
    let program = ebpf.program_mut(name).ok_or(StartError::NoPrograms)?;
    program.try_into().map_err(|error| refused(name, &error))
}

/// The cookie of this process's network namespace; 0 where the kernel does not say it (before 5.14).
fn namespace_cookie() -> u64 {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    // Of a family that nobody keeps it from.
    let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() else {
        return 0;
    };
    let (mut cookie, mut size) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the pointers are to a value of that size, and to its size.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    if failed == 0 { cookie } else { 0 }
}

/// A classifier of the object.
pub(super) fn classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<&'a mut SchedClassifier, StartError> {
    let program = ebpf.program_mut(name).ok_or(StartError::NoPrograms)?;
    program.try_into().map_err(|error| refused(name, &error))
}

/// A map of the object.
pub(super) fn map(ebpf: &mut Ebpf, name: &str) -> Result<Map, StartError> {
    ebpf.take_map(name)
        .ok_or_else(|| StartError::Map(format!("{name} is not in the object")))
}

pub(super) fn array<V: Pod>(ebpf: &mut Ebpf, name: &str) -> Result<Array<MapData, V>, StartError> {
    map(ebpf, name)?.try_into().map_err(StartError::map)
}

/// The watched ports, one bit each.
pub(super) fn bits(ports: &[u16]) -> [u64; 1024] {
    let mut bits = [0; 1024];
    for port in ports {
        bits[usize::from(port >> 6)] |= 1 << (port & 63);
    }
    bits
}

/// Why the object as a whole was refused: its maps come first.
fn refusal(error: &aya::EbpfError) -> StartError {
    let missing = missing_capabilities();
    if missing.contains(&"CAP_BPF") {
        return StartError::NoPrivilege(missing.join(", "));
    }
    if has_ring_buffer() == Some(false) {
        return StartError::NoRingBuffer;
    }
    if causes(error).any(|cause| cause.downcast_ref().is_some_and(is_permission)) {
        return StartError::NotTrusted;
    }
    StartError::map(chain(error))
}

/// Whether the kernel has ring buffers; `None` where it does not say.
pub fn has_ring_buffer() -> Option<bool> {
    aya::sys::is_map_supported(aya::maps::MapType::RingBuf).ok()
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// An error, and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |cause| (*cause).source())
}

/// Kernels before 5.11 count maps as locked memory, of which a process has little. Where the limit
/// may not be raised, the load says so.
fn allow_locked_memory() {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the struct is valid for reading.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) } != 0 {
        tracing::debug!("the limit of locked memory could not be raised");
    }
}
