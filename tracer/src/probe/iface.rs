//! The host's interfaces: which there are, which come and go, and which are wanted.

use std::io;

use futures::{StreamExt as _, TryStreamExt as _, channel::mpsc::UnboundedReceiver};
use rtnetlink::{
    Handle, MulticastGroup, new_multicast_connection,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
        tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
    },
    sys::SocketAddr,
};

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
#[derive(Clone, Debug)]
pub(super) enum Change {
    Appeared(Interface),
    Gone(u32),
    /// Somebody removed a filter or a qdisc of this interface.
    Filters(u32),
    /// Changes came faster than they were read: only a list tells what there is.
    Missed,
    /// Others are wanted now.
    Selected,
    /// No change will be told any more.
    Ended,
}

/// A filter of a qdisc.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) handle: u32,
    pub(super) priority: u16,
    pub(super) ingress: bool,
    /// The name of its BPF program.
    pub(super) program: Option<String>,
}

impl Filter {
    fn of(message: &TcMessage, ingress: bool) -> Self {
        let options = message
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                TcAttribute::Options(options) => Some(options),
                _ => None,
            });
        let program = options.flatten().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.clone()),
            _ => None,
        });
        Self {
            handle: u32::from(message.header.handle),
            priority: (message.header.info >> 16) as u16,
            ingress,
            program,
        }
    }
}

/// The kernel's word on links, over rtnetlink.
pub(super) struct Links {
    handle: Handle,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    connection: tokio::task::JoinHandle<()>,
    ended: bool,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Links {
    /// Starts watching: what becomes of filters too, where any are put up.
    pub(super) fn watch(filters: bool) -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Tc];
        let groups = if filters { &groups[..] } else { &groups[..1] };
        let (connection, handle, messages) = new_multicast_connection(groups)?;
        Ok(Self {
            handle,
            messages,
            connection: tokio::spawn(connection),
            ended: false,
        })
    }

    /// The interfaces there are.
    pub(super) async fn list(&self) -> io::Result<Vec<Interface>> {
        let links = self.handle.link().get().execute();
        let links: Vec<LinkMessage> = links.try_collect().await.map_err(io::Error::other)?;
        Ok(links.iter().filter_map(Interface::of).collect())
    }

    /// The next change. It may be dropped while it waits, and called again.
    pub(super) async fn next(&mut self) -> Change {
        if self.ended {
            return std::future::pending().await;
        }
        while let Some((message, _)) = self.messages.next().await {
            if let Some(change) = change(&message.payload) {
                return change;
            }
        }
        self.ended = true;
        Change::Ended
    }

    /// The filters on both sides of an interface's clsact qdisc; none where it has no such qdisc.
    pub(super) async fn filters(&self, index: u32) -> io::Result<Vec<Filter>> {
        let index = i32::try_from(index).map_err(io::Error::other)?;
        let mut filters = Vec::new();
        for ingress in [true, false] {
            let mut handle = self.handle.traffic_filter(index);
            let request = handle.get();
            let request = if ingress {
                request.ingress()
            } else {
                request.egress()
            };
            let found: Vec<TcMessage> = request
                .execute()
                .try_collect()
                .await
                .map_err(io::Error::other)?;
            filters.extend(found.iter().map(|message| Filter::of(message, ingress)));
        }
        Ok(filters)
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

/// What a message changes.
fn change(message: &NetlinkPayload<RouteNetlinkMessage>) -> Option<Change> {
    match message {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            Interface::of(link).map(Change::Appeared)
        }
        // A bridge tells of a port that leaves it in the same words: the interface stays.
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            let of_bridge = link.header.interface_family == AddressFamily::Bridge;
            (!of_bridge).then_some(Change::Gone(link.header.index))
        }
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::DelTrafficFilter(message)
            | RouteNetlinkMessage::DelQueueDiscipline(message),
        ) => Some(Change::Filters(message.header.index.cast_unsigned())),
        NetlinkPayload::Overrun(_) => Some(Change::Missed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::{
        packet_core::NetlinkPayload,
        packet_route::{AddressFamily, RouteNetlinkMessage, link::LinkMessage},
    };

    use super::{Change, change};

    #[test]
    fn an_interface_that_leaves_a_bridge_is_not_gone() {
        let gone = |family| {
            let mut link = LinkMessage::default();
            link.header.interface_family = family;
            change(&NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(
                link,
            )))
        };
        assert!(gone(AddressFamily::Bridge).is_none());
        assert!(matches!(gone(AddressFamily::Unspec), Some(Change::Gone(0))));
    }

    #[test]
    fn an_overrun_is_a_change_of_unknown_kind() {
        let change = change(&NetlinkPayload::Overrun(Vec::new()));
        assert!(matches!(change, Some(Change::Missed)));
    }
}
