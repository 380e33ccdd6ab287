//! What a logged-in client asks, answered just well enough for drivers.

use std::io;
use std::time::{Duration, Instant};

use super::attention;
use super::packet::{Link, Message, invalid, kind};
use super::token::{Reply, done, end};

const EXECUTE: u16 = 0xE0;
const BULK_INSERT: u16 = 0xF0;
const BEGIN: u16 = 5;
const COMMIT: u16 = 7;
const ROLLBACK: u16 = 8;

/// The state of one connection that commands change.
pub struct Commands {
    /// TDS 7.2 and later.
    pub wide: bool,
    /// Rows of the answer to a batch that says BIGRESULT.
    pub big: i32,
    transactions: u64,
}

impl Commands {
    /// Starts for a client just logged in.
    pub fn new(wide: bool, big: i32) -> Self {
        Self {
            wide,
            big,
            transactions: 0,
        }
    }

    /// Answers one message.
    pub fn answer(&mut self, link: &mut impl Link, message: &Message) -> io::Result<()> {
        let reply = Reply::new(self.wide);
        let reply = match message.kind {
            kind::BATCH => {
                let sql = super::login7::utf16(self.body(&message.payload)).to_uppercase();
                if sql.contains("WAITFOR") {
                    return self.wait_for(link, &sql);
                }
                self.batch(&sql)?
            }
            kind::RPC => self.procedure(self.body(&message.payload)),
            kind::ATTENTION => attention::answer(self.wide),
            kind::BULK => reply.end(end::BATCH, done::COUNT, BULK_INSERT, 2),
            kind::TRANSACTION => self.transaction(self.body(&message.payload)),
            other => return Err(invalid(format!("message type {other:#x}"))),
        };
        link.send(kind::REPLY, &reply.into_bytes())
    }

    /// The request after `ALL_HEADERS`, which TDS 7.2 put before it.
    fn body<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let headers = match payload.first_chunk() {
            Some(length) if self.wide => u32::from_le_bytes(*length) as usize,
            _ => 0,
        };
        payload.get(headers..).unwrap_or_default()
    }

    fn batch(&self, sql: &str) -> io::Result<Reply> {
        let reply = Reply::new(self.wide);
        let has = |word: &str| sql.contains(word);
        Ok(if has("KILLME") {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "asked to drop the session",
            ));
        } else if has("RAISERROR") {
            reply.error(50_000, 1, 16, "as you wish").done(done::ERROR)
        } else if has("BIGRESULT") {
            reply.integers(&(0..self.big).collect::<Vec<_>>(), end::BATCH, done::FINAL)
        } else if has("MAX_PRECISION") {
            reply.integers(&[38], end::BATCH, done::FINAL)
        } else if has("@@VERSION") || has("SERVERPROPERTY") {
            reply.text("16.0.4139.1")
        } else if has("FMTONLY") || has("0=1") {
            reply.integers(&[], end::BATCH, done::FINAL)
        } else if let Some(database) = sql.trim_start().strip_prefix("USE ") {
            let database = database.trim().trim_matches(['[', ']', ';']);
            reply
                .change(1, database, "master")
                .info(5701, 2, "Changed database context.")
                .done(done::FINAL)
        } else if has("SELECT") && !has("INSERT BULK") {
            reply.integers(&[1], end::BATCH, done::FINAL)
        } else {
            reply.done(done::FINAL)
        })
    }

    /// Any procedure succeeds; those that prepare hand out a handle.
    fn procedure(&self, body: &[u8]) -> Reply {
        const BY_ID: u16 = 0xFFFF;
        let word = |at: usize| Some(u16::from_le_bytes([*body.get(at)?, *body.get(at + 1)?]));
        let id = word(0)
            .filter(|length| *length == BY_ID)
            .and_then(|_| word(2))
            .unwrap_or(0);
        let reply = Reply::new(self.wide);
        let reply = match id {
            0 | 10 | 12 | 13 => reply.integers(&[1], end::STATEMENT, done::MORE),
            _ => reply,
        };
        let reply = reply.return_status();
        let reply = if matches!(id, 11..=13) {
            reply.return_value(1)
        } else {
            reply
        };
        reply.end(end::PROCEDURE, done::FINAL, EXECUTE, 0)
    }

    fn transaction(&mut self, body: &[u8]) -> Reply {
        let request = body
            .first_chunk()
            .map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let reply = Reply::new(self.wide);
        match request {
            BEGIN => {
                self.transactions += 1;
                reply.transaction(8, self.transactions)
            }
            COMMIT => reply.transaction(9, self.transactions),
            ROLLBACK => reply.transaction(10, self.transactions),
            _ => reply,
        }
        .done(done::FINAL)
    }

    /// Takes its time, as long as `DELAY 'h:m:s'` says, and stops at an
    /// attention.
    fn wait_for(&mut self, link: &mut impl Link, sql: &str) -> io::Result<()> {
        let end = Instant::now() + delay(sql);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if link.readable(left.min(Duration::from_millis(50)))? {
                let message = link.receive()?;
                return self.answer(link, &message);
            }
        }
        link.send(
            kind::REPLY,
            &Reply::new(self.wide).done(done::FINAL).into_bytes(),
        )
    }
}

fn delay(sql: &str) -> Duration {
    let quoted = sql.split('\'').nth(1).unwrap_or("00:00:08");
    let seconds = quoted
        .split(':')
        .filter_map(|part| part.parse::<f64>().ok())
        .fold(0.0, |sum, part| sum * 60.0 + part);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
