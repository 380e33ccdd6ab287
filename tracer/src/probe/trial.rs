//! The programs, run on packets that are made up, without any interface: `BPF_PROG_TEST_RUN`. For
//! tests and measurements.

pub mod sockets;

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, ProgramArray, RingBuf},
    programs::{Program, SchedClassifier, TestRun as _, TestRunOptions},
};
use tracer_ebpf::{flow::FlowKey, loss::LossReason};

use super::{
    Options, Record, Source, StartError,
    load::{self, Programs},
    losses::Losses,
};

/// An object, aligned as its reader asks.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static TRIALS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tds-trials")));

/// Loads what only measurements have: programs beside the agent's.
fn beside() -> Result<Ebpf, StartError> {
    Ebpf::load(&TRIALS.0).map_err(StartError::map)
}

/// The interface that a packet is on where none is given.
const LOOPBACK: u32 = 1;

/// The classifiers that only measurements have.
const BESIDE: [&str; 2] = ["tds_empty", "tds_advance"];

/// The loaded programs.
pub struct Trial {
    programs: Programs,
    beside: Ebpf,
    ring: RingBuf<MapData>,
    losses: Losses,
    decided: Array<MapData, u64>,
    advanced: ProgramArray<MapData>,
    _ports: Array<MapData, [u64; 1024]>,
    _interfaces: HashMap<MapData, u32, u8>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The program's verdict.
    pub verdict: i32,
    /// What one run took, on average.
    pub duration: Duration,
}

impl Trial {
    /// Loads the programs and attaches none.
    ///
    /// # Errors
    /// As [`super::Probe::start`].
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let options = &Options {
            // Packets that are made up come all at once.
            holds_syns: false,
            ..options.clone()
        };
        let mut programs = load::load(options, Source::Interfaces)?;
        let ring = load::map(&mut programs.ebpf, "EVENTS")?;
        let mut ports = load::array(&mut programs.ebpf, "PORTS")?;
        ports
            .set(0, load::bits(&options.ports), 0)
            .map_err(StartError::map)?;
        let mut interfaces: HashMap<MapData, u32, u8> =
            load::map(&mut programs.ebpf, "INTERFACES")?
                .try_into()
                .map_err(StartError::map)?;
        interfaces.insert(LOOPBACK, 1, 0).map_err(StartError::map)?;
        let mut beside = beside()?;
        for name in BESIDE {
            let program = load::classifier(&mut beside, name)?;
            program.load().map_err(StartError::map)?;
        }
        let advanced = load::map(&mut beside, "TRIAL")?;
        Ok(Self {
            ring: ring.try_into().map_err(StartError::map)?,
            losses: Losses::of(&mut programs.ebpf)?,
            decided: load::array(&mut programs.ebpf, "DECIDED")?,
            advanced: advanced.try_into().map_err(StartError::map)?,
            _ports: ports,
            _interfaces: interfaces,
            beside,
            programs,
        })
    }

    /// Takes away the programs that go on where a classifier ends: the kernel empties their map with its last user.
    pub fn take_parts_away(&mut self) {
        self.programs.stages.clear();
    }

    /// Runs a classifier on a packet, `repeat` times.
    ///
    /// # Errors
    /// [`StartError::Refused`] where the kernel does not run it.
    pub fn run(&mut self, name: &str, packet: &[u8], repeat: u32) -> Result<Outcome, StartError> {
        let program: &SchedClassifier = self.program(name)?;
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(packet),
                repeat,
                ..TestRunOptions::new()
            })
            .map_err(|error| StartError::Refused {
                name: name.to_owned(),
                reason: load::chain(&error),
            })?;
        Ok(Outcome {
            verdict: result.return_value.cast_signed(),
            duration: result.duration,
        })
    }

    fn program(&mut self, name: &str) -> Result<&mut SchedClassifier, StartError> {
        let ebpf = if BESIDE.contains(&name) {
            &mut self.beside
        } else {
            &mut self.programs.ebpf
        };
        load::classifier(ebpf, name)
    }

    /// The same, where each repetition goes on in the stream: its sequence number is moved by its
    /// payload before each run. The duration holds that too. Ethernet and IPv4 without options.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_on(
        &mut self,
        name: &str,
        packet: &[u8],
        repeat: u32,
    ) -> Result<Outcome, StartError> {
        let program = load::classifier(&mut self.programs.ebpf, name);
        let program = program.or_else(|_| load::classifier(&mut self.beside, name))?;
        let fd = program.fd().map_err(StartError::map)?;
        self.advanced.set(0, fd, 0).map_err(StartError::map)?;
        self.run("tds_advance", packet, repeat)
    }

    /// How many instructions the kernel's verifier walked for each program that is loaded; Linux
    /// 5.16 and later say.
    pub fn verified(&self) -> Vec<(String, u32)> {
        let programs = self.programs.ebpf.programs();
        let count = |program: &Program| program.info().ok()?.verified_instruction_count();
        programs
            .filter_map(|(name, program)| Some((name.to_owned(), count(program)?)))
            .collect()
    }

    /// Hands over the records that are there.
    pub fn drain(&mut self, mut tell: impl FnMut(Record<'_>)) {
        while let Some(item) = self.ring.next() {
            if let Some(record) = Record::read(&item) {
                tell(record);
            }
        }
    }

    /// See [`super::Probe::decide`].
    ///
    /// # Errors
    /// [`StartError::Map`] where the kernel refuses.
    pub fn decide(&mut self, key: FlowKey, born: u64) -> Result<(), StartError> {
        self.decided
            .set(key.slot(), born, 0)
            .map_err(StartError::map)
    }

    /// What was not told since the last call.
    pub fn losses(&mut self) -> Vec<(LossReason, u64)> {
        self.losses.since()
    }
}
