//! Connections, rebuilt from events: the way in.

use tracer_ebpf::{beside::port, flow::FlowKey};

use super::{
    attempts::Who,
    baselines::Baselines,
    input::{Adjustable, Beside, Config, Datagram, Input, Listener, Standing},
    lookups::Lookups,
    report::Shared,
    services::Owner,
    table::Table,
};

/// How often is looked after what need not be done at once, nanoseconds.
const TICK: u64 = 250_000_000;

/// Connections, rebuilt from events.
#[derive(Debug)]
pub struct Engine {
    shared: Shared,
    table: Table,
    lookups: Lookups,
    next_tick: u64,
}

impl Engine {
    /// An engine without connections.
    pub fn new(config: Config) -> Self {
        Self {
            shared: Shared::new(config),
            table: Table::default(),
            lookups: Lookups::default(),
            next_tick: 0,
        }
    }

    /// How many connections there are.
    pub fn standing(&self) -> Standing {
        self.shared.standing
    }

    /// The connections that are open.
    pub fn open(&self) -> Vec<FlowKey> {
        self.table.open()
    }

    /// What is usual by now, at each server and of logins that go wrong, to be kept.
    pub fn baselines(&self) -> Baselines {
        Baselines {
            troubles: self.shared.incidents.usual(),
            ..self.shared.neighbours.baselines()
        }
    }

    /// What was usual at servers before anything is told; of how many of them it could not be read.
    pub fn learn(&mut self, kept: &Baselines) -> usize {
        self.shared.incidents.learn(&kept.troubles);
        self.shared.neighbours.learn(kept)
    }

    /// Changes what is added to an event's time to get nanoseconds since 1970.
    pub fn set_wall_offset(&mut self, offset: i64) {
        self.shared.config.wall_offset = offset;
    }

    /// Takes other settings for what is told from here on.
    pub fn set(&mut self, adjusted: Adjustable) {
        self.shared.incidents.set_limits(adjusted.incidents);
        let config = &mut self.shared.config;
        config.incidents = adjusted.incidents;
        config.pending_after = adjusted.pending_after;
        config.slow = adjusted.slow;
        config.phases = adjusted.phases;
        config.requests = adjusted.requests;
        if let Some(identity) = adjusted.identity {
            config.identity = identity;
        }
    }

    /// The kernel could not hand over all records up to now, nanoseconds as in events: who was silent until then may have
    /// spoken.
    pub fn records_lost(&mut self, now: u64) {
        self.shared.records_lost(now);
    }

    /// Names an interface.
    pub fn name_interface(&mut self, index: u32, name: String) {
        self.shared.config.interfaces.insert(index, name);
    }

    /// Takes in what happened.
    pub fn on_event(&mut self, input: Input<'_>, listener: &mut dyn Listener) {
        match &input {
            Input::Event(event, _) => self.pass_time(event.time, listener),
            Input::Header(header) => self.pass_time(header.time, listener),
            Input::Browser(datagram) => {
                self.pass_time(datagram.time, listener);
                self.browser(datagram, listener);
                return;
            }
            Input::Dns(datagram) => {
                self.pass_time(datagram.time, listener);
                self.shared.resolutions.take(datagram);
                return;
            }
            Input::Beside(beside) => {
                self.pass_time(beside.time, listener);
                self.beside(beside);
                return;
            }
            _ => {}
        }
        match &input {
            Input::Event(event, _) => self.shared.now = event.time,
            Input::Header(header) => self.shared.now = header.time,
            _ => {}
        }
        let report = &mut self.shared.report(listener);
        match input {
            Input::Event(event, run) => self.table.event(event, run, report),
            Input::Header(header) => self.table.header(header, report),
            Input::Owner(owner) => self.table.owner(owner, report),
            Input::SocketEnd(end) => self.table.socket_end(&end, report),
            Input::Translated(translated) => self.table.translated(translated, report),
            Input::Checksum {
                key,
                direction,
                checksum,
            } => self.table.checksum(&key, direction, checksum),
            Input::CutLogin(key) => self.table.cut_login(&key),
            Input::Cut(key, _) => self.table.cut(&key),
            Input::Counted(key, born, carried) => {
                self.table.counted(&key, born, &carried, report);
            }
            Input::Untried(untried) => report.untried(&untried),
            Input::Loss(reason, count) => report.shared.lose(reason, count),
            Input::Browser(_) | Input::Dns(_) | Input::Beside(_) => {}
        }
    }

    /// What SQL Browser announces is known before anybody connects there.
    fn browser(&mut self, datagram: &Datagram<'_>, listener: &mut dyn Listener) {
        let mut report = self.shared.report(listener);
        for announced in self.lookups.take(datagram, &mut report) {
            report.announced(announced.server);
            self.table.announced(announced, datagram.time);
        }
    }

    /// A service is asked, for the sake of the only connection that its client has at work, or of one to come.
    fn beside(&mut self, beside: &Beside<'_>) {
        if !self.shared.config.attempts {
            return;
        }
        let Shared {
            attempts,
            resolutions,
            services,
            ..
        } = &mut self.shared;
        let who = Who::of(beside.client.0, beside.process);
        if beside.service.1 == port::DNS {
            resolutions.passes(who, beside);
            return;
        }
        services.take(who, beside, || {
            let owner = match attempts.at_work(who) {
                [None, _] => Owner::Nobody,
                [Some(only), None] => Owner::One(only),
                _ => Owner::Doubtful,
            };
            (owner, resolutions.name_of(who, beside.service.0))
        });
    }

    /// Lets time pass up to `now`, before what happens then is told: whoever has waited long enough
    /// hears of it at its own time, whether or not somebody looked at the clock then.
    pub fn pass_time(&mut self, now: u64, listener: &mut dyn Listener) {
        self.lookups
            .pass_time(now, &mut self.shared.report(listener));
        self.table.pass_time(now, &mut self.shared.report(listener));
        self.shared.attempts.pass_time(now);
        self.shared.now = now;
        self.shared.incidents.pass_time(now);
        let mut report = self.shared.report(listener);
        report.attempts();
        report.incidents();
        // A capture's clock may have been set back.
        self.next_tick = self.next_tick.min(now.saturating_add(TICK));
        if self.next_tick <= now {
            self.next_tick = now.saturating_add(TICK);
            self.table.tidy(now, &mut self.shared.report(listener));
            self.shared.resolutions.forget(now);
            self.shared.services.forget(now);
            self.shared.tell_losses(now, listener);
        }
    }

    /// Nobody watches any more, or the capture ended: every connection is told as far as it came.
    pub fn finish(&mut self, now: u64, listener: &mut dyn Listener) {
        self.lookups.finish(now, &mut self.shared.report(listener));
        self.table.finish(now, &mut self.shared.report(listener));
        self.shared.attempts.finish();
        self.shared.incidents.finish(now);
        let mut report = self.shared.report(listener);
        report.attempts();
        report.incidents();
        self.shared.tell_losses(now, listener);
    }
}
