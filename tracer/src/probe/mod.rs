//! The kernel side of the agent: all of aya, all sockets of the host, all `unsafe`.
//!
//! [`Probe::start`] loads the programs and attaches them; [`Probe::ready`] waits for something to
//! happen; [`Probe::drain`] hands over what did.

mod at_once;
mod attach;
mod clock;
mod drops;
mod error;
mod figures;
mod flows;
mod held;
mod iface;
mod interfaces;
mod load;
mod losses;
mod mark;
mod memory;
mod notice;
mod object;
mod refused;
mod ring;
mod selection;
mod source;
pub mod trial;
mod tries;

use std::{collections::BTreeMap, thread, time::Duration};

use aya::maps::{Array, HashMap, MapData};
use tracer_ebpf::{
    datagram::level,
    event::Counters,
    flow::FlowKey,
    loss::LossReason,
    tally::Tally,
    tries::{Tried, Try},
};

pub use attach::Hook;
pub use drops::{Drops, Loss};
pub use error::StartError;
pub use figures::{InKernel, ProgramRun};
pub use load::{Options, has_ring_buffer};
pub use notice::Notice;
pub use ring::Record;
pub use selection::Selection;
pub use source::Source;

use attach::Attached;
use figures::Runs;
use flows::Flows;
use iface::{Change, Links};
use losses::Losses;
use mark::Mark;
use notice::{INTERFACES, SENDERS, SIDE_TRAFFIC, SOCKETS, WATCHED};
use ring::Ring;
use source::Choice;
use tries::Tries;

/// The loaded programs, and what they say.
pub struct Probe {
    programs: load::Programs,
    ring: Ring,
    losses: Losses,
    flows: Flows,
    ports: Array<MapData, [u64; 1024]>,
    /// Those both of whose sides are watched.
    interfaces: HashMap<MapData, u32, u8>,
    decided: Array<MapData, u64>,
    links: Links,
    /// A change that is not dealt with yet: [`Self::ready`] may be dropped meanwhile.
    change: Option<Change>,
    mark: Result<Mark, String>,
    source: Source,
    /// Whether interfaces are watched beside sockets.
    transit: bool,
    selection: Selection,
    attached: BTreeMap<u32, Attached>,
    names: BTreeMap<u32, String>,
    notices: Vec<Notice>,
    told_tcx: bool,
    /// Calls of watched processes, where any are watched.
    tries: Option<Tries>,
    runs: Runs,
    clock: clock::Clock,
}

impl Probe {
    /// Loads the programs and attaches them: to the host's sockets, or to every interface that
    /// `options` select.
    ///
    /// # Errors
    /// A [`StartError`] that names the mend; nothing is left attached then.
    pub async fn start(options: &Options) -> Result<Self, StartError> {
        let instead = match Choice::of(options) {
            Choice::Only(source) => return Self::start_at(options, source).await,
            Choice::InterfacesInstead(reason) => reason,
            Choice::SocketsFirst => match Self::start_at(options, Source::Sockets).await {
                Err(error) if source::is_of_sockets(&error) => error.to_string(),
                started => return started,
            },
        };
        let mut probe = Self::start_at(options, Source::Interfaces).await?;
        probe.degraded(SOCKETS, instead);
        Ok(probe)
    }

    async fn start_at(options: &Options, source: Source) -> Result<Self, StartError> {
        let filters = source == Source::Interfaces || options.transit;
        let links = Links::watch(filters).map_err(StartError::Interfaces)?;
        let interfaces = links.list().await.map_err(StartError::Interfaces)?;
        options.interfaces.all_found(&interfaces)?;
        let mut probe = Self::load(options, source, links)?;
        if options.clean_up {
            for interface in &interfaces {
                attach::clsact::clean_up(&probe.links, interface).await;
            }
        }
        let groups = options.groups.as_deref();
        if let Some(reason) = attach::sockets::attach(&mut probe.programs.ebpf, groups) {
            probe.degraded("process", reason);
        }
        if source == Source::Sockets {
            attach::sockets::attach_traffic(&mut probe.programs.ebpf, groups)
                .map_err(StartError::NoSockets)?;
        }
        if source == Source::Sockets
            && options.datagrams != level::OFF
            && let Err(reason) = attach::sockets::attach_senders(&mut probe.programs.ebpf, groups)
        {
            probe.degraded(SENDERS, reason);
        }
        if source == Source::Interfaces && options.datagrams != level::OFF {
            let reason = "names, SQL Browser and other services that logins wait for are told at sockets only";
            probe.degraded(SIDE_TRAFFIC, reason.to_owned());
        }
        if options.watches {
            match Tries::watch(&mut probe.programs.ebpf) {
                Ok(tries) => probe.tries = Some(tries),
                Err(reason) => probe.degraded(WATCHED, reason),
            }
        }
        for interface in interfaces {
            probe.appeared(interface).await;
        }
        probe.any_attached()?;
        probe.runs = Runs::of(&probe.programs.ebpf);
        memory::give_back();
        // Last, and at once: no connection is seen by some of the hooks only.
        probe.set_ports(&options.ports)?;
        Ok(probe)
    }

    /// Loads the programs and attaches none.
    fn load(options: &Options, source: Source, links: Links) -> Result<Self, StartError> {
        let mut programs = load::load(options, source)?;
        let ring = Ring::of(&mut programs.ebpf, options.ring_bytes)?;
        let losses = Losses::of(&mut programs.ebpf)?;
        let flows = Flows::of(&mut programs.ebpf)?;
        let ports = load::array(&mut programs.ebpf, "PORTS")?;
        let decided = load::array(&mut programs.ebpf, "DECIDED")?;
        let interfaces = load::map(&mut programs.ebpf, "INTERFACES")?;
        Ok(Self {
            programs,
            ring,
            losses,
            flows,
            ports,
            interfaces: interfaces.try_into().map_err(StartError::map)?,
            decided,
            links,
            change: None,
            mark: Mark::take().map_err(|error| format!("no mark for the filters: {error}")),
            source,
            transit: options.transit,
            selection: options.interfaces.clone(),
            attached: BTreeMap::new(),
            names: BTreeMap::new(),
            notices: Vec::new(),
            told_tcx: false,
            tries: None,
            runs: Runs::default(),
            clock: clock::Clock::now(),
        })
    }

    /// Watches these ports from now on, and no others.
    ///
    /// # Errors
    /// [`StartError::Map`] where the kernel refuses.
    pub fn set_ports(&mut self, ports: &[u16]) -> Result<(), StartError> {
        self.ports
            .set(0, load::bits(ports), 0)
            .map_err(StartError::map)
    }

    /// Tells the kernel that the login of the connection born then is decided: from its next
    /// segment on no bytes are copied. Where it cannot be told, it goes on copying, up to its own
    /// bounds.
    pub fn decide(&mut self, key: FlowKey, born: u64, without_sessions: bool) {
        let value = if without_sessions { !born } else { born };
        if let Err(error) = self.decided.set(key.slot(), value, 0) {
            tracing::debug!(%error, "a decided login could not be handed to the kernel");
        }
    }

    /// Whether it goes on attaching: to interfaces that come. At sockets all that come later are watched by what is
    /// attached already.
    pub fn attaches(&self) -> bool {
        self.source == Source::Interfaces || self.transit
    }

    /// Watches these interfaces from now on: those that are no longer wanted are given up, and others are looked for, by the
    /// next [`ready`](Self::ready). Only where it [attaches](Self::attaches).
    pub fn select(&mut self, interfaces: Selection) {
        self.selection = interfaces;
        self.change = Some(Change::Selected);
    }

    /// A trial whether its maps may be asked by whoever calls it.
    pub fn may_be_asked(&self) -> impl FnOnce() -> bool + Send {
        let ports = &self.ports;
        || ports.get(&0, 0).is_ok()
    }

    /// Waits until there is something to [`drain`](Self::drain), or to read from
    /// [`notices`](Self::notices). It may be dropped while it waits, and called again.
    pub async fn ready(&mut self) {
        if self.change.is_none() {
            tokio::select! {
                () = self.ring.readable() => return,
                change = self.links.next() => self.change = Some(change),
            }
            if let Some(Change::Missed) = self.change {
                let reason = "they changed faster than that was read: all are looked at anew";
                self.degraded(INTERFACES, reason.into());
            }
        }
        self.change().await;
        self.change = None;
    }

    /// Hands over the records that are there, at most `limit`; how many there were.
    pub fn drain(&mut self, limit: usize, tell: impl FnMut(Record<'_>)) -> usize {
        self.programs.flush_log();
        self.ring.drain(limit, tell)
    }

    /// Does something that takes long, on a thread of its own, and makes room for records meanwhile: they are handed over
    /// afterwards, by [`drain`](Self::drain). Nothing where that thread panicked.
    pub fn meanwhile<T: Send>(&mut self, does: impl FnOnce() -> T + Send) -> Option<T> {
        /// A buffer of the smallest size takes longer to fill.
        const OFTEN: Duration = Duration::from_millis(5);
        thread::scope(|scope| {
            let busy = scope.spawn(does);
            while !busy.is_finished() {
                self.ring.hold();
                thread::sleep(OFTEN);
            }
            busy.join().ok()
        })
    }

    /// Makes room for records, which are handed over later, by [`drain`](Self::drain).
    pub fn hold(&mut self) {
        self.ring.hold();
    }

    /// Whether records wait for which room was made.
    pub fn holds(&self) -> bool {
        self.ring.holds()
    }

    /// When a connection was born, and what the client and the server have sent in it up to now, the
    /// packets included of which nothing was told; nothing where the kernel does not know it.
    pub fn carried(&self, key: FlowKey) -> impl Iterator<Item = (u64, [Counters; 2])> {
        self.flows.carried(key)
    }

    /// The requests of a connection that the kernel has in its table, where it counts them.
    pub fn tally(&self, key: FlowKey) -> Option<Tally> {
        self.flows.tally(key)
    }

    /// Watches what a process tries, and others of this name.
    pub fn watch(&mut self, pid: Option<u32>, name: Option<&str>) {
        let watched = self.tries.as_mut().map(|tries| tries.add(pid, name));
        if let Some(Err(error)) = watched {
            tracing::debug!(%error, "a process could not be handed to the programs");
        }
    }

    /// What watched processes have tried since the last call.
    pub fn tries(&mut self) -> Vec<(Try, Tried)> {
        self.tries.as_mut().map(Tries::take).unwrap_or_default()
    }

    /// What waits in the ring, and what the programs took.
    pub fn in_kernel(&self) -> InKernel {
        InKernel {
            ring: self.ring.waiting(),
            ring_size: self.ring.size(),
            programs: self.runs.so_far(),
        }
    }

    /// What changed about the probe since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What was not seen since the last call, by reason.
    pub fn losses(&mut self) -> Vec<(LossReason, u64)> {
        self.losses.since()
    }

    /// Records that could not be read since the last call.
    pub fn unreadable(&mut self) -> u64 {
        self.ring.take_unreadable()
    }

    /// The kernel's time now, as in records: nanoseconds of `CLOCK_BOOTTIME`.
    pub fn now(&self) -> u64 {
        clock::boot_now()
    }

    /// The hooks in use, by name.
    pub fn hooks(&self) -> Vec<&'static str> {
        let mut hooks: Vec<_> = self.attached.values().map(|at| at.hook().name()).collect();
        if self.source == Source::Sockets {
            hooks.push("cgroup_skb");
        }
        hooks.sort_unstable();
        hooks.dedup();
        hooks
    }

    /// Nanoseconds to add to a record's time (`CLOCK_BOOTTIME`) for the wall clock's, refreshed at
    /// most once a second.
    pub fn wall_offset(&mut self) -> i64 {
        i64::try_from(self.clock.offset()).unwrap_or(i64::MAX)
    }

    /// The name of an interface that is or was watched.
    pub fn interface(&self, ifindex: u32) -> Option<&str> {
        self.names.get(&ifindex).map(String::as_str)
    }

    /// Detaches everything, and removes the qdiscs that were added.
    pub async fn stop(mut self) {
        for (_, attached) in std::mem::take(&mut self.attached) {
            attached.detach(&mut self.programs.ebpf, &self.links).await;
        }
    }

    fn degraded(&mut self, what: &'static str, reason: String) {
        self.notices.push(Notice::Degraded { what, reason });
    }
}
