//! What a service manager is told (`sd_notify(3)`), where there is one.

use std::time::Duration;

use sd_notify::NotifyState;

/// It watches; also after it has read its configuration anew.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration anew.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It still takes its turns.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often it has to say so; `None` where nobody waits for it.
pub(super) fn watched_every() -> Option<Duration> {
    // In time also where a turn takes long.
    sd_notify::watchdog_enabled().map(|patience| patience / 3)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
