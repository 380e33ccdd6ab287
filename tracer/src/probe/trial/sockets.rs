//! The programs at sockets, on real packets, each beside one that only returns. For measurements.

use std::{fs::File, os::fd::OwnedFd, time::Duration};

use aya::{
    Ebpf,
    maps::{Array, MapData, RingBuf},
    programs::{CgroupAttachMode, CgroupSkbAttachType, Program},
    sys::{Stats, enable_stats},
};
use tracer_ebpf::flow::FlowKey;

use crate::probe::{
    Options, Record, Source, StartError, attach,
    load::{self, Programs},
};

/// The program that only returns.
const EMPTY: &str = "tds_socket_empty";
/// The program that tells a record of each packet.
const BARE: &str = "tds_socket_bare";

/// Programs at the sockets of a control group.
pub struct AtSockets {
    programs: Programs,
    beside: Ebpf,
    ring: RingBuf<MapData>,
    decided: Array<MapData, u64>,
    _ports: Array<MapData, [u64; 1024]>,
    /// The kernel measures for as long as this is open.
    _stats: OwnedFd,
}

/// Runs, and what they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many.
    pub runs: u64,
    /// How long, the kernel's measuring included.
    pub time: Duration,
}

impl Spent {
    fn add(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            time: self.time + other.time,
        }
    }

    /// What was spent since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            runs: self.runs - earlier.runs,
            time: self.time.saturating_sub(earlier.time),
        }
    }

    /// One run, nanoseconds.
    pub fn each(self) -> f64 {
        self.time.as_nanos() as f64 / self.runs.max(1) as f64
    }
}

impl AtSockets {
    /// Attaches the programs to the control group that `options` name, or in their place the one that
    /// tells a record of each packet; and beside them the one that only returns.
    ///
    /// # Errors
    /// As [`crate::probe::Probe::start`].
    pub fn start(options: &Options, bare: bool) -> Result<Self, StartError> {
        let no_group = || StartError::NoSockets("no control group is named".to_owned());
        let groups = options.groups.as_deref().ok_or_else(no_group)?;
        let mut programs = load::load(options, Source::Sockets)?;
        let ring = load::map(&mut programs.ebpf, "EVENTS")?;
        let decided = load::array(&mut programs.ebpf, "DECIDED")?;
        let mut ports = load::array(&mut programs.ebpf, "PORTS")?;
        ports
            .set(0, load::bits(&options.ports), 0)
            .map_err(StartError::map)?;
        let root = File::open(groups.point()).map_err(StartError::map)?;
        let mut beside = super::beside()?;
        let names = if bare { &[EMPTY, BARE][..] } else { &[EMPTY] };
        for name in names {
            let program = load::traffic(&mut beside, name)?;
            program.load().map_err(StartError::map)?;
            for side in [CgroupSkbAttachType::Ingress, CgroupSkbAttachType::Egress] {
                let attached = program.attach(&root, side, CgroupAttachMode::Single);
                attached.map_err(StartError::map)?;
            }
        }
        if !bare {
            attach::sockets::attach(&mut programs.ebpf, Some(groups));
            attach::sockets::attach_traffic(&mut programs.ebpf, Some(groups))
                .map_err(StartError::NoSockets)?;
        }
        Ok(Self {
            ring: ring.try_into().map_err(StartError::map)?,
            decided,
            programs,
            beside,
            _ports: ports,
            _stats: enable_stats(Stats::RunTime).map_err(StartError::map)?,
        })
    }

    /// What the program that only returns has spent.
    pub fn empty(&self) -> Spent {
        self.spent(|name| name == EMPTY)
    }

    /// What the programs that see packets have spent.
    pub fn traffic(&self) -> Spent {
        self.spent(|name| load::TRAFFIC.contains(&name) || name == BARE)
    }

    /// What all have spent but the one that only returns.
    pub fn all(&self) -> Spent {
        self.spent(|name| name != EMPTY)
    }

    /// What each that has run has spent, by name.
    pub fn by_program(&self) -> Vec<(String, Spent)> {
        let programs = self.programs.ebpf.programs();
        let spent = programs.map(|(name, _)| (name.to_owned(), self.spent(|other| other == name)));
        spent.filter(|(_, spent)| spent.runs > 0).collect()
    }

    fn spent(&self, which: impl Fn(&str) -> bool) -> Spent {
        let spent = |program: &Program| {
            let info = program.info().ok()?;
            Some(Spent {
                runs: info.run_count(),
                time: info.run_time(),
            })
        };
        let programs = [&self.programs.ebpf, &self.beside].map(Ebpf::programs);
        let programs = programs.into_iter().flatten();
        programs
            .filter(|(name, _)| which(name))
            .filter_map(|(_, program)| spent(program))
            .fold(Spent::default(), Spent::add)
    }

    /// Hands over the records that are there.
    pub fn drain(&mut self, mut tell: impl FnMut(Record<'_>)) {
        while let Some(item) = self.ring.next() {
            if let Some(record) = Record::read(&item) {
                tell(record);
            }
        }
    }

    /// See [`crate::probe::Probe::decide`].
    ///
    /// # Errors
    /// [`StartError::Map`] where the kernel refuses.
    pub fn decide(&mut self, key: FlowKey, born: u64) -> Result<(), StartError> {
        self.decided
            .set(key.slot(), born, 0)
            .map_err(StartError::map)
    }
}
