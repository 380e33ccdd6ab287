//! Filters of a clsact qdisc (Linux 4.5). They outlive the process, so each bears a mark by which
//! the next run finds what a killed one left.

use std::ops::RangeInclusive;

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

/// Where the filters are put: before others, which may keep a packet from them. A priority at which
/// somebody has filters of another kind or protocol takes no more; then the next is tried.
const PRIORITIES: RangeInclusive<u16> = 1..=16;

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
    let attached = first_free(|priority| {
        both(ebpf, interface, |program, side| {
            let options = TcAttachOptions::Netlink(NlOptions {
                priority,
                handle,
                ..NlOptions::default()
            });
            program.attach_with_options(&interface.name, side, options)
        })
    });
    if attached.is_err() && added_qdisc {
        remove_unused(links, interface).await;
    }
    let (priority, attached) = attached?;
    Ok(Attached {
        hook: Hook::Clsact,
        interface: interface.clone(),
        links: attached,
        added_qdisc,
        tcx_refusal: None,
        behind: (priority > *PRIORITIES.start()).then_some(priority),
    })
}

/// Attaches by `one` at the first priority that takes it; where none does, why the first did not.
fn first_free<T>(mut one: impl FnMut(u16) -> Result<T, String>) -> Result<(u16, T), String> {
    let mut refusal = None;
    for priority in PRIORITIES {
        match one(priority) {
            Ok(attached) => return Ok((priority, attached)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_default())
}

/// Whether this agent's filters are on both sides of an interface still. Of one that cannot be asked nothing is known:
/// it may be on its way out.
pub(in crate::probe) async fn are_there(links: &Links, mark: &Mark, ifindex: u32) -> bool {
    let Ok(filters) = links.filters(ifindex).await else {
        return true;
    };
    let is_ours = |filter: &&Filter| sign(filter).is_some_and(|sign| mark.is_of(sign));
    let ours = || filters.iter().filter(is_ours);
    ours().any(|filter| filter.ingress) && ours().any(|filter| !filter.ingress)
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
    use super::{first_free, sign};
    use crate::probe::{iface::Filter, mark::Mark};

    #[test]
    fn where_a_priority_is_taken_the_next_is_tried() {
        let refusing = |taken: u16| {
            move |priority: u16| {
                let refused = format!("{priority} is taken");
                (priority > taken).then_some(()).ok_or(refused)
            }
        };
        assert_eq!(first_free(refusing(0)), Ok((1, ())));
        assert_eq!(first_free(refusing(2)), Ok((3, ())));
        assert_eq!(first_free(refusing(u16::MAX)), Err("1 is taken".into()));
    }

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
