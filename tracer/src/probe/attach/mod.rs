//! The classifiers on an interface: by TCX where the kernel has it, else by a clsact qdisc. Which
//! is found by trying.

pub(super) mod clsact;
pub(super) mod sockets;
mod tcx;

use aya::{
    Ebpf,
    programs::{ProgramError, TcAttachType, tc::SchedClassifierLinkId},
};

use super::{
    StartError,
    iface::{Interface, Links},
    load,
    mark::Mark,
};

/// How the programs are attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TCX links: gone with the process, whatever ends it.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl Hook {
    /// The name in the event stream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// Why an interface is not watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("by TCX: {tcx}; by clsact: {clsact}")]
    Neither { tcx: String, clsact: String },
}

/// The two sides of an interface, with the program for each.
const fn sides(has_link_header: bool) -> [(TcAttachType, &'static str); 2] {
    if has_link_header {
        [
            (TcAttachType::Ingress, "tds_ether_in"),
            (TcAttachType::Egress, "tds_ether_out"),
        ]
    } else {
        [
            (TcAttachType::Ingress, "tds_ip_in"),
            (TcAttachType::Egress, "tds_ip_out"),
        ]
    }
}

/// What is attached to an interface.
pub(super) struct Attached {
    hook: Hook,
    interface: Interface,
    links: Vec<(&'static str, SchedClassifierLinkId)>,
    added_qdisc: bool,
    tcx_refusal: Option<String>,
    /// The filters' priority, where somebody else's are before them.
    behind: Option<u16>,
}

/// Attaches to both sides of an interface.
pub(super) async fn attach(
    ebpf: &mut Ebpf,
    links: &Links,
    mark: &Result<Mark, String>,
    interface: &Interface,
) -> Result<Attached, AttachError> {
    let tcx = match tcx::attach(ebpf, interface) {
        Ok(attached) => return Ok(attached),
        Err(error) => error,
    };
    let clsact = match mark {
        Ok(mark) => clsact::attach(ebpf, links, mark, interface).await,
        Err(error) => Err(error.clone()),
    };
    match clsact {
        Ok(attached) => Ok(Attached {
            tcx_refusal: Some(tcx),
            ..attached
        }),
        Err(clsact) => Err(AttachError::Neither { tcx, clsact }),
    }
}

impl Attached {
    pub(super) const fn hook(&self) -> Hook {
        self.hook
    }

    /// Why it is not by TCX.
    pub(super) fn tcx_refusal(&self) -> Option<&str> {
        self.tcx_refusal.as_deref()
    }

    /// The filters' priority, where somebody else's are before them.
    pub(super) const fn behind(&self) -> Option<u16> {
        self.behind
    }

    /// Lets go of what somebody else removed a part of, or all; which interface that was.
    pub(super) fn forget(self, ebpf: &mut Ebpf) -> Interface {
        release(ebpf, self.links);
        self.interface
    }

    /// Detaches; what is gone already is no error.
    pub(super) async fn detach(self, ebpf: &mut Ebpf, links: &Links) {
        let Self {
            interface,
            links: attached,
            added_qdisc,
            ..
        } = self;
        release(ebpf, attached);
        if added_qdisc {
            clsact::remove_unused(links, &interface).await;
        }
    }
}

/// Lets go of links.
fn release(ebpf: &mut Ebpf, links: Vec<(&'static str, SchedClassifierLinkId)>) {
    for (name, link) in links {
        let Ok(program) = load::classifier(ebpf, name) else {
            continue;
        };
        if let Err(error) = program.detach(link) {
            tracing::debug!(%error, name, "a program was detached already");
        }
    }
}

/// Attaches both sides by `one`; none is left where one fails.
fn both(
    ebpf: &mut Ebpf,
    interface: &Interface,
    mut one: impl FnMut(
        &mut aya::programs::SchedClassifier,
        TcAttachType,
    ) -> Result<SchedClassifierLinkId, ProgramError>,
) -> Result<Vec<(&'static str, SchedClassifierLinkId)>, String> {
    let mut links = Vec::with_capacity(2);
    for (side, name) in sides(interface.has_link_header) {
        let link = load::classifier(ebpf, name)
            .map_err(|error: StartError| error.to_string())
            .and_then(|program| one(program, side).map_err(|error| load::chain(&error)));
        match link {
            Ok(link) => links.push((name, link)),
            Err(error) => {
                release(ebpf, links);
                return Err(error);
            }
        }
    }
    Ok(links)
}
