//! Connections that pass on what a client says on another one.

use super::{Attempts, Handle, Role, Said, Who};

impl Attempts {
    /// The client says who it is, and how it names the connection. Where it has named another one so that
    /// was there before this one was opened, a proxy passes on what it hears there.
    pub(in crate::session) fn says(&mut self, handle: Handle, said: Said, at: u64) {
        let Some(who) = self.homes.get(&handle).copied() else {
            return;
        };
        if let Some(own) = self.clients.get_mut(&who) {
            own.says(handle, said);
        }
        if let Some(guid) = said.connection
            && let Some(other) = self.guids.insert(guid, handle)
        {
            // A capture's connections are told once they prove to be SQL Server's.
            self.passes_on(other, handle, at);
            self.passes_on(handle, other, at);
        }
        self.review(who, at);
    }

    /// What is said on one connection may be passed on on the other one.
    fn passes_on(&mut self, outer: Handle, inner: Handle, at: u64) {
        let homes = self.homes.get(&outer).zip(self.homes.get(&inner));
        let Some((client, proxy)) = homes.map(|(client, proxy)| (*client, *proxy)) else {
            return;
        };
        let ends = |who: &Who, handle| self.clients.get(who).and_then(|own| own.get(handle));
        let both = ends(&client, outer).zip(ends(&proxy, inner));
        let follows = both.is_some_and(|(outer, inner)| {
            let there = outer.established.is_some_and(|there| there <= inner.opened);
            there && outer.server != inner.server
        });
        if !follows {
            return;
        }
        let own = self.clients.get_mut(&proxy);
        let Some(mut attempt) = own.and_then(|own| own.take_alone(inner)) else {
            return;
        };
        for one in &mut attempt.tries {
            one.role = Role::Proxied;
        }
        if let Some(own) = self.clients.get_mut(&client) {
            own.goes_through(outer, attempt);
            self.homes.insert(inner, client);
        }
        self.review(proxy, at);
    }
}
