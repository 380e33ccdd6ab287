//! TCX links (Linux 6.6).

use aya::{
    Ebpf,
    programs::{LinkOrder, tc::TcAttachOptions},
};

use super::{Attached, Hook, both};
use crate::probe::iface::Interface;

/// Attaches in front of other programs, which may drop or redirect a packet.
pub(super) fn attach(ebpf: &mut Ebpf, interface: &Interface) -> Result<Attached, String> {
    let links = both(ebpf, interface, |program, side| {
        let order = TcAttachOptions::TcxOrder(LinkOrder::first());
        program.attach_with_options(&interface.name, side, order)
    })?;
    Ok(Attached {
        hook: Hook::Tcx,
        interface: interface.clone(),
        links,
        added_qdisc: false,
        tcx_refusal: None,
        behind: None,
    })
}
