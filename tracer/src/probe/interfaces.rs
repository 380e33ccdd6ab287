//! Interfaces that come, change and go while they are watched.

use super::{
    Notice, Probe,
    attach::{self, Hook},
    error::StartError,
    iface::{Change, Interface},
    notice::{FILTERS, FILTERS_REMOVED, INTERFACE, INTERFACES, TCX},
    source::Source,
};

impl Probe {
    /// Deals with the change that is at hand. It may be dropped while it waits, and called again.
    pub(super) async fn change(&mut self) {
        match self.change.clone() {
            Some(Change::Appeared(interface)) => self.appeared(interface).await,
            Some(Change::Gone(ifindex)) => self.gone(ifindex).await,
            Some(Change::Filters(ifindex)) => {
                if let Some(interface) = self.removed(ifindex).await {
                    // Put back by the next call, should this one be dropped.
                    self.change = Some(Change::Appeared(interface.clone()));
                    self.appeared(interface).await;
                }
            }
            Some(Change::Missed | Change::Selected) => self.list_again().await,
            Some(Change::Ended) => self.degraded(
                INTERFACES,
                "the kernel no longer tells of them: none that comes from now on is watched".into(),
            ),
            None => {}
        }
    }

    /// An interface is there, or has changed.
    pub(super) async fn appeared(&mut self, interface: Interface) {
        let (index, name) = (interface.index, interface.name.clone());
        if self.source == Source::Sockets {
            self.names.insert(index, name.clone());
            self.notices.push(Notice::Named {
                ifindex: index,
                name: name.clone(),
            });
            if !self.transit {
                return;
            }
        }
        if let Some(attached) = self.attached.get(&index) {
            let hook = attached.hook();
            self.renamed(index, name, hook).await;
            return;
        }
        if !self.selection.select(&name) || !interface.up {
            return;
        }
        self.names.insert(index, name.clone());
        let ebpf = &mut self.programs.ebpf;
        match attach::attach(ebpf, &self.links, &self.mark, &interface).await {
            Ok(attached) => {
                let hook = attached.hook();
                let refusal = attached.tcx_refusal().map(str::to_owned);
                let behind = attached.behind();
                self.attached.insert(index, attached);
                if let Err(error) = self.interfaces.insert(index, 1, 0) {
                    self.degraded(INTERFACE, format!("{name}: {error}"));
                }
                self.notices.push(Notice::Attached {
                    ifindex: index,
                    name: name.clone(),
                    hook,
                });
                if let Some(priority) = behind {
                    let reason = format!(
                        "{name}: at priority {priority}, behind another's filters: packets that those keep are not seen"
                    );
                    self.degraded(FILTERS, reason);
                }
                // Once: it is the kernel's lack, not the interface's.
                if let Some(reason) = refusal.filter(|_| !self.told_tcx) {
                    self.told_tcx = true;
                    self.degraded(TCX, reason);
                }
            }
            Err(error) => self.degraded(INTERFACE, format!("{name}: {error}")),
        }
    }

    /// An interface that is watched has this name now: it is watched on under a name that is
    /// wanted, and told as if it had come anew.
    async fn renamed(&mut self, ifindex: u32, name: String, hook: Hook) {
        let former = self.names.get(&ifindex).cloned().unwrap_or_default();
        if former == name {
            return;
        }
        if !self.selection.select(&name) {
            self.gone(ifindex).await;
            return;
        }
        self.names.insert(ifindex, name.clone());
        self.notices.push(Notice::Detached {
            ifindex,
            name: former,
        });
        self.notices.push(Notice::Attached {
            ifindex,
            name,
            hook,
        });
    }

    /// Finds out what changed where it was not told, and which interfaces are wanted.
    async fn list_again(&mut self) {
        let interfaces = match self.links.list().await {
            Ok(interfaces) => interfaces,
            Err(error) => {
                self.degraded(INTERFACES, format!("changes were missed: {error}"));
                return;
            }
        };
        // Refused at a start; here what was watched may be left for it.
        if let Some(Change::Selected) = self.change
            && let Err(error) = self.selection.all_found(&interfaces)
        {
            self.degraded(INTERFACES, error.to_string());
        }
        let there = |ifindex: &u32| interfaces.iter().any(|known| known.index == *ifindex);
        let is_wanted = |ifindex: &u32| {
            let name = self.names.get(ifindex);
            name.is_some_and(|name| self.selection.select(name))
        };
        let attached = self.attached.keys().copied();
        let gone: Vec<u32> = attached
            .filter(|ifindex| !there(ifindex) || !is_wanted(ifindex))
            .collect();
        for ifindex in gone {
            self.gone(ifindex).await;
        }
        let attached: Vec<u32> = self.attached.keys().copied().collect();
        for ifindex in attached {
            // Listed, so put back below.
            self.removed(ifindex).await;
        }
        for interface in interfaces {
            self.appeared(interface).await;
        }
    }

    /// Finds out whether somebody removed this agent's filters from an interface; says so, and gives up what is left
    /// of them.
    async fn removed(&mut self, ifindex: u32) -> Option<Interface> {
        let Ok(mark) = &self.mark else { return None };
        let attached = self.attached.get(&ifindex)?;
        if attached.hook() != Hook::Clsact
            || attach::clsact::are_there(&self.links, mark, ifindex).await
        {
            return None;
        }
        let mut interface = self
            .attached
            .remove(&ifindex)?
            .forget(&mut self.programs.ebpf);
        if let Some(name) = self.names.get(&ifindex) {
            interface.name.clone_from(name);
        }
        let name = interface.name.clone();
        let reason = format!(
            "{name}: somebody removed the programs' filters; what passed until they were put back was not seen"
        );
        self.degraded(FILTERS_REMOVED, reason);
        self.notices.push(Notice::Detached { ifindex, name });
        Some(interface)
    }

    async fn gone(&mut self, ifindex: u32) {
        let Some(attached) = self.attached.remove(&ifindex) else {
            return;
        };
        // Before anything is waited for: it would not be told by a second call.
        let name = self.names.get(&ifindex).cloned().unwrap_or_default();
        self.notices.push(Notice::Detached { ifindex, name });
        if let Err(error) = self.interfaces.remove(&ifindex) {
            tracing::debug!(%error, ifindex, "an interface was not known to the programs");
        }
        attached.detach(&mut self.programs.ebpf, &self.links).await;
    }

    /// Fails where all interfaces were refused, and there is nothing else to watch.
    pub(super) fn any_attached(&self) -> Result<(), StartError> {
        let refused = self.notices.iter().find_map(|notice| match notice {
            Notice::Degraded { what, reason } if *what == INTERFACE => Some(reason.clone()),
            _ => None,
        });
        match refused {
            Some(reason) if self.attached.is_empty() && self.source == Source::Interfaces => {
                Err(StartError::NothingAttached(reason))
            }
            _ => Ok(()),
        }
    }
}
