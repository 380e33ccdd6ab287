//! The hooks on sockets, at the root of the cgroup v2 hierarchy, where they see every process.

use std::fs::File;

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, SockOps},
};

use crate::{host::cgroup_root, probe::load::chain};

/// Attaches them; why there is no process to be had where that fails.
pub(in crate::probe) fn attach(ebpf: &mut Ebpf) -> Result<(), String> {
    let root = cgroup_root().ok_or("no cgroup v2 hierarchy is mounted")?;
    let root = File::open(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    // A link (Linux 5.7) always stands beside others; it takes no flag that says so.
    let mode = CgroupAttachMode::Single;
    for name in ["tds_connect4", "tds_connect6"] {
        let program: &mut CgroupSockAddr = find(ebpf, name)?;
        program.load().map_err(|error| refusal(name, &error))?;
        program
            .attach(&root, mode)
            .map_err(|error| refusal(name, &error))?;
    }
    for name in ["tds_bind4", "tds_bind6"] {
        let program: &mut CgroupSock = find(ebpf, name)?;
        program.load().map_err(|error| refusal(name, &error))?;
        program
            .attach(&root, mode)
            .map_err(|error| refusal(name, &error))?;
    }
    let program: &mut SockOps = find(ebpf, "tds_sockets")?;
    program
        .load()
        .map_err(|error| refusal("tds_sockets", &error))?;
    program
        .attach(&root, mode)
        .map_err(|error| refusal("tds_sockets", &error))?;
    Ok(())
}

fn find<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| format!("{name} is not in the object"))
}

fn refusal(name: &str, error: &aya::programs::ProgramError) -> String {
    if let aya::programs::ProgramError::LoadError {
        io_error,
        verifier_log,
    } = error
    {
        tracing::debug!(name, %verifier_log, "the verifier's words");
        return format!("{name}: {io_error}");
    }
    format!("{name}: {}", chain(error))
}
