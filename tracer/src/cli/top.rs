//! `tds-tracer top`.

use std::{env, path::PathBuf};

use clap::{Args, ValueEnum};

use super::values;
use crate::{record::Nanos, top::TopOptions};

/// Options of `top`, as typed.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Lines of the agent (`run --output`); `-` is standard input, such as of `ssh HOST tds-tracer run`.
    /// Without it an agent is started on this host
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Show a file as it happened, so many times as fast; without it all of it at once
    #[arg(long, value_name = "TIMES", requires = "file", value_parser = speed)]
    speed: Option<f64>,

    /// A login that took longer is slow, such as `250ms` or `2s`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::milliseconds)]
    slow: Nanos,

    /// Count and show these logins only, such as `server:sql1 phase:auth`; `/` changes it
    #[arg(
        long,
        value_name = "TERMS",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,

    /// Whether there are colours; `auto` heeds `NO_COLOR`
    #[arg(long, value_enum, default_value_t = ColourName::Auto)]
    color: ColourName,

    /// Take the mouse: its wheel moves through the table
    #[arg(long)]
    mouse: bool,

    /// Options of `run` for the agent that is started, behind `--`
    #[arg(last = true, value_name = "OPTIONS", conflicts_with = "file")]
    run: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColourName {
    Auto,
    Always,
    Never,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    speed
        .filter(|speed| (0.01..=100_000.0).contains(speed))
        .ok_or_else(|| "give a number such as 1, 10 or 0.5".to_owned())
}

impl TopArgs {
    pub(super) fn meant(self) -> TopOptions {
        let Self {
            file,
            speed,
            slow,
            filter,
            color,
            mouse,
            run,
        } = self;
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        TopOptions {
            file,
            speed,
            slow,
            filter,
            colours: match color {
                ColourName::Auto => !unwanted,
                ColourName::Always => true,
                ColourName::Never => false,
            },
            mouse,
            run,
        }
    }
}
