//! One question to SQL Browser, however often it was sent, and what came back.

use std::net::IpAddr;

use crate::{
    record::{Process, Text},
    tds::browser::{Answer, Instance, Kind, Question, Told},
};

/// How long an answer may take after the question was last sent, nanoseconds. Drivers wait one second
/// to five before they ask again or give up.
const PATIENCE: u64 = 5_000_000_000;
/// The same question sooner than this after the last is a copy of the packet, seen elsewhere on the
/// host: nobody has waited for an answer yet.
const COPY: u64 = 100_000_000;

/// Where an instance listens, by what a client was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::session) struct Announced {
    pub(in crate::session) client: IpAddr,
    pub(in crate::session) server: (IpAddr, u16),
    pub(in crate::session) instance: Text,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Fate {
    Open,
    Answered,
    Timeout,
    Unreachable,
}

/// A question, and what is known of its answers.
#[derive(Debug)]
pub(in crate::session) struct Exchange {
    pub(in crate::session) question: Question,
    /// The address that was asked.
    pub(in crate::session) browser: IpAddr,
    /// The process that asks, where it is known.
    pub(in crate::session) process: Option<Process>,
    /// When it was asked first.
    pub(in crate::session) asked: u64,
    /// And last.
    asked_last: u64,
    /// How often.
    pub(in crate::session) requests: u32,
    pub(in crate::session) fate: Fate,
    /// When the last answer came, or the wait was over.
    until: u64,
    /// Answers that came.
    pub(in crate::session) answers: u32,
    /// Instances they list.
    pub(in crate::session) instances: u32,
    /// The one that was asked for, else the first.
    pub(in crate::session) instance: Option<Instance>,
    /// The port for administrators.
    pub(in crate::session) dac_port: Option<u16>,
    /// From where the first answer came, where that is not the address that was asked.
    pub(in crate::session) answered_from: Option<IpAddr>,
    /// Something came back that is no answer, or not as long as it says.
    pub(in crate::session) malformed: bool,
    /// What came back is about another instance.
    pub(in crate::session) mismatch: bool,
}

impl Exchange {
    pub(in crate::session) fn new(
        question: Question,
        browser: IpAddr,
        asked: u64,
        process: Option<&Process>,
    ) -> Self {
        Self {
            question,
            browser,
            process: process.cloned(),
            asked,
            asked_last: asked,
            requests: 1,
            fate: Fate::Open,
            until: asked,
            answers: 0,
            instances: 0,
            instance: None,
            dac_port: None,
            answered_from: None,
            malformed: false,
            mismatch: false,
        }
    }

    /// Whether this is the question.
    pub(in crate::session) fn is_of(&self, question: &Question, browser: IpAddr) -> bool {
        self.question == *question && self.browser == browser
    }

    /// The same is asked once more; whether that is this exchange, and no next one.
    pub(in crate::session) fn asked_again(&mut self, at: u64) -> bool {
        if at.saturating_sub(self.asked_last) < COPY {
            return true;
        }
        if self.is_open() {
            self.asked_last = at;
            self.requests = self.requests.saturating_add(1);
            return true;
        }
        at.saturating_sub(self.until) < COPY
    }

    /// Whether more may come of it.
    pub(in crate::session) fn is_open(&self) -> bool {
        self.fate == Fate::Open
    }

    /// Whether an answer is of the kind that this question has.
    pub(in crate::session) fn is_answered_by(&self, told: &Told<'_>) -> bool {
        matches!(told, Told::Dac(_)) == (self.question.kind == Kind::Dac)
    }

    /// Whether an answer is one to this question. One that is cut may not come to the name.
    pub(in crate::session) fn fits(&self, told: &Told<'_>) -> bool {
        let is_about = match told {
            Told::Dac(_) => true,
            Told::Instances(instances) => {
                let mut listed = instances.clone();
                listed.any(|one| one.name.is_none() || self.is_about(&one))
            }
        };
        is_about && self.is_answered_by(told)
    }

    /// Whether an instance is one that was asked for.
    pub(in crate::session) fn is_about(&self, instance: &Instance) -> bool {
        let name = self.question.instance.as_deref();
        name.is_none_or(|name| instance.is_named(name))
    }

    /// An answer came.
    pub(in crate::session) fn answered(&mut self, answer: &Answer<'_>, from: IpAddr, at: u64) {
        self.malformed |= answer.lies;
        self.mismatch |= !self.fits(&answer.told);
        self.until = at;
        if self.answers == 0 && self.question.kind != Kind::Broadcast {
            self.answered_from = Some(from).filter(|from| *from != self.browser);
        }
        self.answers = self.answers.saturating_add(1);
        match &answer.told {
            Told::Dac(port) => self.dac_port = Some(*port),
            Told::Instances(instances) => {
                let count = u32::try_from(instances.clone().count()).unwrap_or(u32::MAX);
                self.instances = self.instances.saturating_add(count);
                if self.instance.is_none() {
                    let asked = instances.clone().find(|instance| self.is_about(instance));
                    self.instance = asked.or_else(|| instances.clone().next());
                }
            }
        }
    }

    /// Something came that is no answer. Drivers pass over it.
    pub(in crate::session) fn misunderstood(&mut self) {
        self.malformed = true;
    }

    /// Nothing more comes of it.
    pub(in crate::session) fn ends(&mut self, fate: Fate, at: u64) {
        self.fate = fate;
        if fate == Fate::Answered && self.answers > 0 {
            return;
        }
        self.until = at;
    }

    /// What it has come to when nothing more comes.
    pub(in crate::session) fn fate_in_time(&self) -> Fate {
        match self.fate {
            Fate::Open if self.answers > 0 => Fate::Answered,
            Fate::Open => Fate::Timeout,
            fate => fate,
        }
    }

    /// From the question to the last answer, or to when the wait for one was over.
    pub(in crate::session) fn duration(&self, now: u64) -> u64 {
        let until = if self.is_open() && self.answers == 0 {
            now
        } else {
            self.until
        };
        until.saturating_sub(self.asked)
    }

    /// When its wait is over, or it is forgotten.
    pub(in crate::session) fn due(&self) -> u64 {
        if self.is_open() {
            self.asked_last.saturating_add(PATIENCE)
        } else {
            self.until.max(self.asked_last).saturating_add(COPY)
        }
    }
}
