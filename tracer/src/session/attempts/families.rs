//! Connections of one client in both families, where its process is not known: it has two addresses then.

use super::{
    Attempts, Handle, MAX_RECENT, Verdict, Who, attempt::Attempt, client::Client, rules, tries::Try,
};

/// Connections of the other family that are looked at for one: the last ones.
const LATELY: usize = 32;

impl Attempts {
    /// Whose attempt a connection is part of: of another client, in appearance, where it has lost to its
    /// only rival of the other family. Then that is where its own attempt is from now on.
    pub(super) fn winners_client(&mut self, client: Who, handle: Handle, verdict: &Verdict) -> Who {
        let Some(one) = self.rival(client, handle, verdict) else {
            return client;
        };
        let own = self.clients.get_mut(&client);
        let attempt = own.and_then(|own| own.take(handle));
        if let (Some(attempt), Some(other)) = (attempt, self.clients.get_mut(&one)) {
            other.add(attempt);
            self.review(client, verdict.at);
            return one;
        }
        client
    }

    /// The client of the other family whose connection was faster, if there is one only.
    fn rival(&self, client: Who, handle: Handle, verdict: &Verdict) -> Option<Who> {
        let own = self.clients.get(&client).filter(|_| verdict.silent)?;
        if own.loses(handle, verdict) {
            return None;
        }
        let one = own.get(handle)?;
        let others = self.recent.iter();
        let others = others.filter(|opened| opened.who.is_of_other_family(client));
        let mut rivals = others.filter_map(|opened| {
            let other = self.clients.get(&opened.who)?.get(opened.handle)?;
            rules::has_lost_at_once(one, verdict, other).then_some((opened.who, opened.at))
        });
        let ((only, opened), None) = (rivals.next()?, rivals.next()) else {
            return None;
        };
        let is_alone = self.are_alone([client, only], [one.opened, opened]);
        is_alone.then_some(only)
    }

    /// Whether nobody else opened a connection between these moments, or at once before or after: where somebody
    /// did, a client of the one family may be anybody of the other.
    fn are_alone(&self, both: [Who; 2], moments: [u64; 2]) -> bool {
        let [first, last] = [moments[0].min(moments[1]), moments[0].max(moments[1])];
        for opened in self.recent.iter().rev() {
            if opened.at.saturating_add(rules::AT_ONCE) < first {
                return true;
            }
            if !both.contains(&opened.who) && opened.at <= last.saturating_add(rules::AT_ONCE) {
                return false;
            }
        }
        // Of more than are remembered nothing is known.
        self.recent.len() < MAX_RECENT
    }

    /// The client of the other family, of which one connection only was refused just now, goes on with this one:
    /// then its attempt is this one's.
    pub(super) fn goes_on_in_family(&mut self, client: Who, opened: &Try) {
        let lately = self.lately(client);
        let refused = lately.filter(|(_, _, other)| rules::goes_on_at_once(other, opened));
        let refused = refused.map(|(other, handle, one)| (other, handle, one.opened));
        let refused: Vec<_> = refused.collect();
        let [(other, handle, before)] = refused[..] else {
            return;
        };
        let own = self.clients.get(&client);
        let is_own = own.is_some_and(|own| own.may_await(opened));
        if is_own || !self.are_alone([client, other], [before, opened.opened]) {
            return;
        }
        let other = self.clients.get_mut(&other);
        if let Some(attempt) = other.and_then(|other| other.take_refused(handle)) {
            self.clients.entry(client).or_default().add(attempt);
        }
    }

    /// Connections of the other family that may turn out to have been given up for one of this client's.
    pub(super) fn rivals(&self, client: Who, now: u64) -> Vec<Try> {
        let lately = self.lately(client);
        let may_lose = lately.filter(|(_, _, one)| rules::may_be_tried_once(one, now));
        may_lose.map(|(_, _, one)| one.clone()).collect()
    }

    /// Connections that clients of the other family have opened lately.
    fn lately(&self, client: Who) -> impl Iterator<Item = (Who, Handle, &Try)> {
        let recent = self.recent.iter().rev().take(LATELY);
        let others = recent.filter(move |opened| opened.who.is_of_other_family(client));
        others.filter_map(|opened| {
            let one = self.clients.get(&opened.who)?.get(opened.handle)?;
            Some((opened.who, opened.handle, one))
        })
    }
}

impl Client {
    /// Whether a connection goes on with an attempt of this client's own.
    fn may_await(&self, opened: &Try) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| {
            let (server, at) = (&opened.server, opened.opened);
            attempt.expects(server, at) || attempt.tries_elsewhere(server, at)
        })
    }

    /// Takes out the attempt that waits for what follows a connection that was refused.
    fn take_refused(&mut self, handle: Handle) -> Option<Attempt> {
        let idle = |attempt: &Attempt| attempt.has(handle) && !attempt.is_open();
        let place = self.attempts.iter().position(idle)?;
        Some(self.attempts.remove(place))
    }
}

impl Attempt {
    /// Until when one of these may turn out to have been given up for a connection of this attempt.
    pub(super) fn held_by(&self, rivals: &[Try]) -> u64 {
        let each = rivals.iter().flat_map(|one| {
            let own = self.tries.iter();
            own.filter_map(move |own| rules::may_lose_at_once(one, own))
        });
        each.max().unwrap_or(0)
    }
}
