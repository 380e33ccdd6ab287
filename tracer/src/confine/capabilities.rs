//! The capabilities that are kept (capabilities(7)).

use std::{os::unix::fs::MetadataExt as _, thread};

use rustix::{
    process::geteuid,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    },
};

use super::{Needs, Programs};

/// What no program that is started may have again.
pub(super) fn empty_bounding_set() -> Result<String, String> {
    let mut left = Vec::new();
    for capability in CapabilitySet::all().iter() {
        // Of one that this kernel does not know there is nothing to give up.
        if capability_is_in_bounding_set(capability) == Ok(true)
            && remove_capability_from_bounding_set(capability).is_err()
        {
            left.extend(names(capability));
        }
    }
    if left.is_empty() {
        Ok("empty".to_owned())
    } else {
        Err(format!(
            "CAP_SETPCAP is not there to give up {}",
            left.join(", ")
        ))
    }
}

/// Gives up all that are not needed.
pub(super) fn keep(needs: &Needs) -> Result<String, String> {
    let held = capabilities(None).map_err(|error| error.to_string())?;
    let kept = held.permitted & wanted(needs, held.permitted);
    // Where they are ambient they would come back with a program that is started.
    clear_ambient_capability_set().map_err(|error| error.to_string())?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )
    .map_err(|error| error.to_string())?;
    Ok(match names(kept).as_slice() {
        [] => "none".to_owned(),
        names => format!("only {}", names.join(", ")),
    })
}

/// What a thread without any capability gets; `None` where there could be no such thread.
pub fn without<T: Send>(tries: impl FnOnce() -> T + Send) -> Option<T> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    thread::scope(|scope| {
        let thread = scope.spawn(|| set_capabilities(None, none).ok().map(|()| tries()));
        thread.join().ok().flatten()
    })
}

fn wanted(needs: &Needs, held: CapabilitySet) -> CapabilitySet {
    let mut wanted = CapabilitySet::empty();
    if needs.programs == Programs::Interfaces {
        wanted |= CapabilitySet::NET_ADMIN;
    }
    if matches!(needs.programs, Programs::Interfaces | Programs::GuardedMaps) {
        // The older one stands for it where it is not there.
        wanted |= if held.contains(CapabilitySet::BPF) {
            CapabilitySet::BPF
        } else {
            CapabilitySet::SYS_ADMIN
        };
    }
    if needs.processes {
        wanted |= CapabilitySet::SYS_PTRACE;
    }
    if needs.namespaces {
        wanted |= CapabilitySet::SYS_ADMIN;
    }
    let is_strangers = |folder: &std::path::PathBuf| {
        let owner = folder.metadata().map(|folder| folder.uid());
        owner.is_ok_and(|owner| owner != geteuid().as_raw())
    };
    if needs.writes.iter().any(is_strangers) {
        wanted |= CapabilitySet::DAC_OVERRIDE;
    }
    wanted
}

fn names(set: CapabilitySet) -> Vec<String> {
    set.iter_names()
        .map(|(name, _)| format!("CAP_{name}"))
        .collect()
}
