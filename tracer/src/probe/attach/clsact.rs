//! Filters of a clsact qdisc (Linux 4.5). They outlive the process, so each bears a mark by which
//! the next run finds what a killed one left.

use aya::{
    Ebpf,
    programs::{
        Link as _, TcAttachType,
        tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
    },
};

use super::{Attached, Hook, both};
use crate::probe::{
    iface::{Filter, Interface, Links},
    load,
    mark::{Mark, Sign},
};

/// Before others, which may drop or redirect a packet.
const PRIORITY: u16 = 1;

pub(super) async fn attach(
    ebpf: &mut Ebpf,
    links: &Links,
    mark: &Mark,
    interface: &Interface,
) -> Result<Attached, String> {
    // A qdisc that another agent added goes with whichever of them leaves last.
    let shared = links
        .filters(interface.index)
        .await
        .is_ok_and(|filters| filters.iter().filter_map(sign).any(|sign| sign.added_qdisc));
    // Nothing is waited for from here on: a qdisc that nobody remembers would stay.
    // Where one is there the attempt fails in one of several ways; attaching tells.
    let added_qdisc = qdisc_add_clsact(&interface.name).is_ok() || shared;
    let handle = TcHandle::from(mark.handle(added_qdisc));
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
        tcx_refusal: None,
    })
}

/// Removes what killed runs left, and nothing else.
pub(in crate::probe) async fn clean_up(links: &Links, interface: &Interface) {
    let filters = match links.filters(interface.index).await {
        Ok(filters) => filters,
        Err(error) => {
            tracing::warn!(%error, name = interface.name, "the filters could not be listed");
            return;
        }
    };
    let mut added_qdisc = false;
    for filter in &filters {
        let Some(sign) = sign(filter).filter(|sign| sign.is_left()) else {
            continue;
        };
        added_qdisc |= sign.added_qdisc;
        if let Err(error) = remove(interface, filter) {
            tracing::warn!(%error, name = interface.name, "a filter that was left stays");
        }
    }
    if added_qdisc {
        remove_unused(links, interface).await;
    }
}

/// Removes the qdisc, unless somebody else has come to use it.
pub(super) async fn remove_unused(links: &Links, interface: &Interface) {
    match links.filters(interface.index).await {
        Ok(filters) if filters.is_empty() => links.remove_clsact(interface.index).await,
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, name = interface.name, "the clsact qdisc stays: it may be in use");
        }
    }
}

/// By its handle: a running agent has filters of the same names.
fn remove(interface: &Interface, filter: &Filter) -> Result<(), String> {
    let side = if filter.ingress {
        TcAttachType::Ingress
    } else {
        TcAttachType::Egress
    };
    let handle = TcHandle::from(filter.handle);
    SchedClassifierLink::attached(&interface.name, side, filter.priority, handle, None)
        .map_err(|error| error.to_string())?
        .detach()
        .map_err(|error| load::chain(&error))
}

/// What the handle of one of our programs says.
fn sign(filter: &Filter) -> Option<Sign> {
    let ours = filter
        .program
        .as_ref()
        .is_some_and(|name| name.starts_with("tds_"));
    Sign::of(filter.handle).filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::sign;
    use crate::probe::{iface::Filter, mark::Mark};

    #[test]
    fn a_strangers_filter_is_not_ours_whatever_its_handle() {
        let handle = Mark::take().expect("a number").handle(true);
        let filter = |program: Option<&str>| Filter {
            handle,
            priority: 1,
            ingress: true,
            program: program.map(str::to_owned),
        };
        assert!(sign(&filter(Some("tds_ether_in"))).is_some());
        assert!(sign(&filter(Some("cil_from_netdev"))).is_none());
        assert!(sign(&filter(None)).is_none());
    }
}
