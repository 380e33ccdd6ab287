//! The host's interfaces: which there are, which come and go, and which are wanted.

use std::{collections::BTreeMap, io};

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
        tc::{TcHandle, TcMessage},
    },
    sys::SocketAddr,
};

use super::{Options, StartError};

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) up: bool,
    /// Whether its packets start with an Ethernet header.
    pub(super) has_link_header: bool,
}

impl Interface {
    fn of(link: &LinkMessage) -> Option<Self> {
        let name = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            })?;
        Some(Self {
            index: link.header.index,
            name,
            up: link.header.flags.contains(LinkFlags::Up),
            has_link_header: matches!(
                link.header.link_layer_type,
                LinkLayerType::Ether | LinkLayerType::Loopback
            ),
        })
    }
}

/// A change among the interfaces.
pub(super) enum Change {
    Appeared(Interface),
    Gone(u32),
}

/// A filter of a qdisc.
pub(super) struct Filter {
    pub(super) handle: u32,
}

/// The kernel's word on links, over rtnetlink.
pub(super) struct Links {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Links {
    /// Starts watching.
    pub(super) fn watch() -> io::Result<Self> {
        let (connection, handle, messages) = new_multicast_connection(&[MulticastGroup::Link])?;
        Ok(Self {
            handle,
            messages,
            connection: tokio::spawn(connection),
        })
    }

    /// The interfaces there are.
    pub(super) async fn list(&self) -> io::Result<Vec<Interface>> {
        let links = self.handle.link().get().execute();
        let links: Vec<LinkMessage> = links.try_collect().await.map_err(io::Error::other)?;
        Ok(links.iter().filter_map(Interface::of).collect())
    }

    /// The next change; `None` where there will be none.
    pub(super) async fn next(&mut self) -> Option<Change> {
        loop {
            let (message, _) = self.messages.next().await?;
            let NetlinkPayload::InnerMessage(message) = message.payload else {
                continue;
            };
            match message {
                RouteNetlinkMessage::NewLink(link) => {
                    if let Some(interface) = Interface::of(&link) {
                        return Some(Change::Appeared(interface));
                    }
                }
                RouteNetlinkMessage::DelLink(link) => {
                    return Some(Change::Gone(link.header.index));
                }
                _ => {}
            }
        }
    }

    /// The filters on both sides of an interface's clsact qdisc.
    pub(super) async fn filters(&self, index: u32) -> Vec<Filter> {
        let Ok(index) = i32::try_from(index) else {
            return Vec::new();
        };
        let mut filters = Vec::new();
        for ingress in [true, false] {
            let mut handle = self.handle.traffic_filter(index);
            let request = handle.get();
            let request = if ingress {
                request.ingress()
            } else {
                request.egress()
            };
            let found: Result<Vec<TcMessage>, _> = request.execute().try_collect().await;
            for message in found.unwrap_or_default() {
                let handle = u32::from(message.header.handle);
                if handle != 0 {
                    filters.push(Filter { handle });
                }
            }
        }
        filters
    }

    /// Whether an interface has a clsact qdisc.
    pub(super) async fn has_clsact(&self, index: u32) -> bool {
        let Ok(index) = i32::try_from(index) else {
            return false;
        };
        let found: Result<Vec<TcMessage>, _> =
            self.handle.qdisc().get().execute().try_collect().await;
        found.unwrap_or_default().iter().any(|qdisc| {
            qdisc.header.index == index
                && u32::from(qdisc.header.parent) == u32::from(TcHandle::CLSACT)
        })
    }

    /// Removes an interface's clsact qdisc.
    pub(super) async fn remove_clsact(&self, index: u32) {
        let Ok(index) = i32::try_from(index) else {
            return;
        };
        let mut request = self.handle.qdisc().del(index);
        request.message_mut().header.parent = TcHandle::CLSACT;
        request.message_mut().header.handle = TcHandle::from(0xFFFF_0000);
        if let Err(error) = request.execute().await {
            tracing::debug!(%error, index, "the qdisc was removed already");
        }
    }
}

/// Which interfaces are wanted.
pub(super) struct Selection {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Selection {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            include: options.include.clone(),
            exclude: options.exclude.clone(),
        }
    }

    pub(super) fn wants(&self, name: &str) -> bool {
        let matches = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, name));
        (self.include.is_empty() || matches(&self.include)) && !matches(&self.exclude)
    }

    /// Whether each name that is no pattern was found: a pattern may match what comes later.
    pub(super) fn all_found(&self, names: &BTreeMap<u32, String>) -> Result<(), StartError> {
        let missing = self.include.iter().find(|pattern| {
            !pattern.contains(['*', '?']) && !names.values().any(|name| name == *pattern)
        });
        match missing {
            Some(name) => Err(StartError::UnknownInterface(name.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a name matches a pattern of `*` (any characters) and `?` (one).
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|left| *left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_a_shell_has_it() {
        for (pattern, name, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("veth*", "veth", true),
            ("veth*", "veth12ab", true),
            ("*b*d", "abcabd", true),
            ("e?h?", "eth1", true),
            ("e?h?", "eth", false),
            ("*", "lo", true),
            ("", "lo", false),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
