//! The hooks on sockets, at the root of the cgroup v2 hierarchy, where they see every process.

use std::fs::File;

use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, Program,
        SockOps,
    },
};

use crate::{
    host::Hierarchy,
    probe::load::{TRAFFIC, chain},
};

/// Attaches them; where some or all processes go unseen for it, why.
pub(in crate::probe) fn attach(ebpf: &mut Ebpf, groups: Option<&Hierarchy>) -> Option<String> {
    let Some(groups) = groups else {
        return Some(NO_HIERARCHY.to_owned());
    };
    match attach_at(ebpf, groups) {
        Ok(()) => groups.shortfall(),
        Err(reason) => Some(reason),
    }
}

/// Attaches what sees the packets of sockets; why not, where they cannot be had.
pub(in crate::probe) fn attach_traffic(
    ebpf: &mut Ebpf,
    groups: Option<&Hierarchy>,
) -> Result<(), String> {
    let groups = groups.ok_or_else(|| NO_HIERARCHY.to_owned())?;
    let root = open(groups)?;
    let sides = [CgroupSkbAttachType::Ingress, CgroupSkbAttachType::Egress];
    for (name, side) in TRAFFIC.into_iter().zip(sides) {
        let program: &mut CgroupSkb = find(ebpf, name)?;
        program
            .attach(&root, side, CgroupAttachMode::Single)
            .map_err(|error| refusal(name, &error))?;
    }
    Ok(())
}

/// Attaches what sees the processes that send datagrams; why not, where it cannot be had.
pub(in crate::probe) fn attach_senders(
    ebpf: &mut Ebpf,
    groups: Option<&Hierarchy>,
) -> Result<(), String> {
    let groups = groups.ok_or_else(|| NO_HIERARCHY.to_owned())?;
    addresses(ebpf, &open(groups)?, ["tds_sendmsg4", "tds_sendmsg6"])
}

const NO_HIERARCHY: &str = "no cgroup v2 hierarchy is mounted, and none may be";

fn open(groups: &Hierarchy) -> Result<File, String> {
    let root = File::open(groups.point());
    root.map_err(|error| format!("{}: {error}", groups.place()))
}

fn attach_at(ebpf: &mut Ebpf, groups: &Hierarchy) -> Result<(), String> {
    let root = open(groups)?;
    // A link (Linux 5.7) always stands beside others; it takes no flag that says so.
    let mode = CgroupAttachMode::Single;
    addresses(ebpf, &root, ["tds_connect4", "tds_connect6"])?;
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

/// Attaches what sees where a process goes to.
fn addresses(ebpf: &mut Ebpf, root: &File, names: [&str; 2]) -> Result<(), String> {
    for name in names {
        let program: &mut CgroupSockAddr = find(ebpf, name)?;
        program.load().map_err(|error| refusal(name, &error))?;
        program
            .attach(root, CgroupAttachMode::Single)
            .map_err(|error| refusal(name, &error))?;
    }
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
