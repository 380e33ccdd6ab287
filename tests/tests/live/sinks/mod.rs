//! Several sinks at once: what each gets through outages, kills and refusals is what another one gets.

mod answers;
mod collector;
mod identities;
mod journal;
mod leaks;
mod otlp;
mod outages;
mod place;
mod storm;
mod syslog;
