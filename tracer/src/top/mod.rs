//! `tds-tracer top`: what happens, to look at while it does.
//!
//! | module | |
//! |---|---|
//! | `source`, `head` | where lines come from, and which of them are passed over |
//! | `seen`, `history`, `state`, `filter` | what is known, without a clock or a terminal |
//! | `view` | what of it is looked at, and what keys change |
//! | `draw` | the picture |

mod draw;
mod filter;
mod head;
mod history;
mod seen;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use ratatui::{
    DefaultTerminal,
    crossterm::{
        event::{
            self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste,
            EnableMouseCapture, Event,
        },
        execute,
    },
};

use self::{
    draw::{Colours, draw},
    source::{Origin, Said, Source},
    state::State,
    view::View,
};
use crate::record::Nanos;

/// Between two pictures, unless a key asks for one.
const PERIOD: Duration = Duration::from_millis(500);
/// At least so often a key is looked for.
const KEYS: Duration = Duration::from_millis(50);
/// Events of the terminal that are taken between two pictures: more is a storm.
const EVENTS: usize = 256;

/// What `top` is to do.
#[derive(Clone, Debug)]
pub struct TopOptions {
    /// A file of lines, or `-`; an agent of this host unless given.
    pub file: Option<PathBuf>,
    /// How many times as fast as it was a file is shown; at once unless given.
    pub speed: Option<f64>,
    /// What takes longer is slow.
    pub slow: Nanos,
    /// Which logins are counted from the start.
    pub filter: String,
    /// Whether there are colours.
    pub colours: bool,
    /// Whether the mouse is taken.
    pub mouse: bool,
    /// Options of `run`, for the agent that is started.
    pub run: Vec<String>,
}

/// Shows what happens until somebody quits.
///
/// # Errors
/// Where there is nothing to show, or no terminal to show it on.
pub fn top(options: TopOptions) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() {
        bail!("standard output is no terminal: `tds-tracer report` makes a page instead");
    }
    let mut state = State::new(options.slow.0);
    let filter = filter::Filter::new(&options.filter).map_err(anyhow::Error::msg)?;
    state.set_filter(filter);
    let origin = match options.file {
        Some(file) => Origin::Lines(file, options.speed),
        None => Origin::Agent(options.run),
    };
    let source = Source::open(origin)?;
    let terminal = ratatui::try_init().context("the terminal")?;
    let shown = Screen {
        terminal,
        mouse: options.mouse,
        colours: Colours(options.colours),
    }
    .show(&mut state, source);
    ratatui::restore();
    shown?;
    Ok(ExitCode::SUCCESS)
}

struct Screen {
    terminal: DefaultTerminal,
    mouse: bool,
    colours: Colours,
}

impl Screen {
    fn show(mut self, state: &mut State, mut source: Source) -> anyhow::Result<()> {
        execute!(io::stdout(), EnableBracketedPaste)?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        let shown = self.until_quit(state, &mut source);
        // Taken back also where showing failed; whether the terminal hears it is all the same then.
        drop(execute!(
            io::stdout(),
            DisableBracketedPaste,
            DisableMouseCapture
        ));
        shown
    }

    fn until_quit(&mut self, state: &mut State, source: &mut Source) -> anyhow::Result<()> {
        let mut view = View::default();
        let mut drawn: Option<Instant> = None;
        loop {
            let mut changed = false;
            for _ in 0..EVENTS {
                if !event::poll(Duration::ZERO)? {
                    break;
                }
                let event = event::read()?;
                if matches!(event, Event::Resize(..)) {
                    // What a terminal makes of a picture whose size goes to and fro is not known.
                    self.terminal.clear()?;
                }
                view.on_event(&event, state);
                changed = true;
            }
            if view.quits {
                return Ok(());
            }
            take(state, source);
            if changed || drawn.is_none_or(|drawn| drawn.elapsed() >= PERIOD) {
                let standing = source.standing();
                let colours = self.colours;
                self.terminal
                    .draw(|frame| draw(frame, &view, state, &standing, colours))?;
                drawn = Some(Instant::now());
            }
        }
    }
}

/// Takes in what was said, until it is time to look for keys again.
fn take(state: &mut State, source: &mut Source) {
    let begins = Instant::now();
    source.each(begins + KEYS, |said| match said {
        Said::Line(line) => state.take(*line),
        Said::Passed(head) => state.number(&head.run, head.line),
        Said::Strange | Said::Ended(_) => state.strange(),
    });
    let left = KEYS.saturating_sub(begins.elapsed());
    if !left.is_zero() && event::poll(left).is_err() {
        // The terminal is gone, which reading it says next.
    }
    if let Some(now) = source.paced_ns() {
        state.pass(now);
    } else if let Some(quiet) = source.quiet_ns().filter(|_| state.now_ns > 0) {
        // What the lines' clock says now is their last time and what has passed since they came.
        state.pass_quiet(quiet);
    }
}
