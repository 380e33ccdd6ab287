//! Filters of a clsact qdisc (Linux 4.5). They outlive the process, so each bears a mark by which
//! the next run finds what a killed one left.

use aya::{
    Ebpf,
    programs::tc::{
        NlOptions, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact, qdisc_detach_program,
    },
};

use super::{Attached, Hook, both, sides};
use crate::probe::iface::{Filter, Interface, Links};

/// The handle of a filter on a qdisc that was there before.
const GUEST: u32 = 0x7464_0001;
/// The handle of a filter on a qdisc that was added for it.
const OWNER: u32 = 0x7464_0002;
/// Before others, which may drop or redirect a packet.
const PRIORITY: u16 = 1;

pub(super) async fn attach(
    ebpf: &mut Ebpf,
    links: &Links,
    interface: &Interface,
) -> Result<Attached, String> {
    let added_qdisc = match qdisc_add_clsact(&interface.name) {
        Ok(()) => true,
        Err(TcError::AlreadyAttached) => false,
        // Where it is there the attempt fails in one of several ways; attaching tells.
        Err(_) => !links.has_clsact(interface.index).await,
    };
    let handle = TcHandle::from(if added_qdisc { OWNER } else { GUEST });
    let attached = both(ebpf, interface, |program, side| {
        let options = TcAttachOptions::Netlink(NlOptions {
            priority: PRIORITY,
            handle,
            ..NlOptions::default()
        });
        program.attach_with_options(&interface.name, side, options)
    });
    if attached.is_err() && added_qdisc {
        remove_unused(links, interface).await;
    }
    Ok(Attached {
        hook: Hook::Clsact,
        interface: interface.clone(),
        links: attached?,
        added_qdisc,
    })
}

/// Removes what a killed run left, and nothing else.
pub(super) async fn clean_up(links: &Links, interface: &Interface) {
    let filters = links.filters(interface.index).await;
    let Some(left) = filters.iter().find(|filter| is_ours(filter)) else {
        return;
    };
    for (side, name) in sides(true).into_iter().chain(sides(false)) {
        if let Err(error) = qdisc_detach_program(&interface.name, side, name) {
            tracing::debug!(%error, name, "no filter left by that name");
        }
    }
    if left.handle == OWNER {
        remove_unused(links, interface).await;
    }
}

/// Removes the qdisc, unless somebody else has come to use it.
pub(super) async fn remove_unused(links: &Links, interface: &Interface) {
    if links.filters(interface.index).await.is_empty() {
        links.remove_clsact(interface.index).await;
    }
}

fn is_ours(filter: &Filter) -> bool {
    filter.handle == GUEST || filter.handle == OWNER
}
