//! The files that are reached (landlock(7)).

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};

use super::Needs;

/// The newest rules that are asked for; an older kernel keeps those that it knows.
const NEWEST: ABI = ABI::V5;

/// Where names are resolved: the host's settings, the C library's modules, and its own resolver's files.
const RESOLVES: &[&str] = &[
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/run/systemd/resolve",
];
/// Of an answer that does not fit into a datagram.
const NAME_SERVER: u16 = 53;

/// Writes go to some folders only, nothing is executed, and no TCP connection is made or taken, but to the ports that
/// are needed.
pub(super) fn restrict(needs: &Needs) -> Result<String, String> {
    if needs.processes {
        // Whoever is so restricted sees of a process that is not no more than of a stranger's (landlock(7)).
        return Err("it would hide the processes behind connections".to_owned());
    }
    match ruleset(needs).map_err(|error| error.to_string())? {
        RulesetStatus::FullyEnforced => Ok(held(needs)),
        RulesetStatus::PartiallyEnforced => {
            Ok(format!("{}, as far as this kernel can", held(needs)))
        }
        RulesetStatus::NotEnforced => {
            Err("this kernel has none, or has it switched off".to_owned())
        }
    }
}

fn held(needs: &Needs) -> String {
    let folders: Vec<String> = needs
        .writes
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    match folders.as_slice() {
        [] => "no file is written or executed".to_owned(),
        folders => format!(
            "files are written in {} only, and none executed",
            folders.join(", ")
        ),
    }
}

fn ruleset(needs: &Needs) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::from_read(NEWEST) & !AccessFs::Execute;
    let everywhere: &[&str] = if needs.reads { &["/"] } else { &[] };
    let to_resolve: &[&str] = if needs.resolves { RESOLVES } else { &[] };
    let asked = needs.resolves.then_some(NAME_SERVER);
    let ports = needs.connects.iter().copied().chain(asked);
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(everywhere, read))?
        .add_rules(path_beneath_rules(to_resolve, read))?
        .add_rules(
            ports.map(|port| Ok::<_, RulesetError>(NetPort::new(port, AccessNet::ConnectTcp))),
        )?
        .add_rules(path_beneath_rules(
            &needs.writes,
            AccessFs::from_all(NEWEST) & !AccessFs::Execute,
        ))?;
    Ok(ruleset.restrict_self()?.ruleset)
}
