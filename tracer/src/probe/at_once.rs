//! Programs of the object, handed to the kernel as many at a time as there are processors: its verifier walks
//! each by itself, and that is nearly all of what starting takes.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

use super::{StartError, refused::refused};

/// More at a time gain little: one program is a quarter of the work.
const WORKERS: usize = 4;

/// Loads the programs of these names.
pub(super) fn load(ebpf: &mut Ebpf, names: &[&str]) -> Result<(), StartError> {
    let programs = ebpf.programs_mut();
    let wanted: Vec<_> = programs.filter(|(name, _)| names.contains(name)).collect();
    if wanted.len() != names.len() {
        return Err(StartError::NoPrograms);
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = Mutex::new(wanted);
    let work = || {
        loop {
            let next = wanted.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, program)) = next else {
                return Ok(());
            };
            load_one(program).map_err(|error| refused(name, &error))?;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (1..processors.min(WORKERS))
            .map(|_| scope.spawn(work))
            .collect();
        let own = work();
        let others = workers.into_iter().map(|worker| {
            // A panic goes on where it would have been without threads.
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        others.fold(own, Result::and)
    })
}

fn load_one(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSkb(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
