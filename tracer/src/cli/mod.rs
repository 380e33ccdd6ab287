//! The command line: what was typed, turned into what is meant.
//!
//! Exit status: 0 where everything was done, 1 where part of it was, 2 where nothing could be, 75 where
//! that may pass.

mod config;
mod doctor;
mod extract;
mod freeze;
mod output;
mod pairs;
mod reload;
mod replay;
mod report;
mod run;
mod settings;
mod sinks;
mod top;
mod typed;
mod values;

use std::{
    env,
    io::{self, Read as _, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use flate2::read::GzDecoder;

use self::typed::{NotTyped, Typed, run_of, typed};
pub use self::{
    config::{ConfigCommand, ConfigFile},
    doctor::DoctorArgs,
    extract::ExtractArgs,
    freeze::FreezeArgs,
    output::OutputArgs,
    reload::ReloadArgs,
    replay::ReplayArgs,
    report::ReportArgs,
    run::RunArgs,
    top::TopArgs,
};
use crate::{
    exit::{FOR_NOW, UNUSABLE},
    run::RunOptions,
    session,
};

/// Says of every SQL Server login how long each phase took, who was waited for, and why.
#[derive(Debug, Parser)]
#[command(name = "tds-tracer", version, about, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  everything was done; also when the output's reader left or a signal asked to stop
  1  part of it was done: a capture of several could not be read
  2  nothing could be done: the command line or this host does not allow it
  75 nothing could be done for now: an address is not there yet or in use, a disk is full";

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch live connections from inside the kernel.
    Run(Box<RunArgs>),
    /// Say about captures what would have been said live.
    Replay(ReplayArgs),
    /// Make a page of what happened, from lines or captures, to look at and to hand on.
    Report(ReportArgs),
    /// Look at what happens while it does, on this host, or by lines that come from another.
    Top(TopArgs),
    /// Take connections out of captures, without what is secret, to hand them on.
    Extract(ExtractArgs),
    /// Say what is configured, and by what.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Let the agent that runs read its configuration anew.
    Reload(ReloadArgs),
    /// Let the agent that runs write down all that its flight recorder holds.
    Freeze(FreezeArgs),
    /// Print the JSON Schema of the output.
    Schema,
    /// Say what a cause in `diagnosis` means, how to confirm it, and what helps.
    Explain {
        /// The cause, as `diagnosis` has it; without it all are listed.
        #[arg(value_name = "CAUSE")]
        cause: Option<String>,
        /// Print the pages of all causes as one document.
        #[arg(long, conflicts_with = "cause")]
        all: bool,
    },
    /// Say what this host allows, what the rest costs, and the mend.
    Doctor(DoctorArgs),
    /// Print a shell's completions.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a folder.
    #[command(hide = true)]
    Man {
        /// The folder.
        #[arg(value_name = "DIRECTORY")]
        into: Option<PathBuf>,
    },
}

/// Does what the command line asks.
pub fn main() -> ExitCode {
    let done = match typed(env::args_os()) {
        Ok(typed) => dispatch(typed),
        Err(NotTyped::Line(error)) if !error.use_stderr() => error
            .print()
            .map_err(Into::into)
            .map(|()| ExitCode::SUCCESS),
        Err(error) => Err(in_one_line(&error)),
    };
    done.unwrap_or_else(|error| complain(&error))
}

fn in_one_line(error: &NotTyped) -> anyhow::Error {
    match error {
        NotTyped::Line(error) => anyhow::Error::msg(one_line(error)),
        files @ NotTyped::Files(_) => anyhow::Error::msg(files.to_string()),
    }
}

/// What `run` is to do by the command line of this process, and the files and the environment as they are now.
fn run_options() -> anyhow::Result<RunOptions> {
    let typed = typed(env::args_os()).map_err(|error| in_one_line(&error))?;
    let said = typed.said().collect();
    match typed.cli.command {
        Command::Run(args) => Ok(RunOptions {
            said,
            files: typed.settings.files,
            ..args.meant()?
        }),
        _ => anyhow::bail!("this process is no `run`"),
    }
}

fn config(command: &ConfigCommand, typed: &Typed) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check(_) => config::checked(&typed.settings),
        ConfigCommand::Show(_) => config::show(&typed.options, typed.of_options(), &typed.settings),
        ConfigCommand::Template => config::print_template(&run_of(&Cli::command())),
        ConfigCommand::Schema => config::print_schema(&run_of(&Cli::command())),
    }
}

fn dispatch(typed: Typed) -> anyhow::Result<ExitCode> {
    if let Command::Config(command) = &typed.cli.command {
        return config(command, &typed);
    }
    match typed.cli.command {
        Command::Run(_) => crate::run::run(&run_options()?, run_options),
        Command::Config(_) => Ok(ExitCode::SUCCESS),
        Command::Reload(args) => args.send(),
        Command::Freeze(args) => args.send(),
        Command::Replay(args) => crate::replay::replay(&args.meant()?),
        Command::Report(args) => crate::report::report(&args.meant()),
        Command::Top(args) => crate::top::top(args.meant()),
        Command::Extract(args) => crate::extract::extract(&args.meant()?),
        Command::Doctor(args) => crate::doctor::doctor(&args.meant()),
        Command::Schema => print(&schema()?),
        Command::Explain { cause, all } => explain(cause.as_deref(), all),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tds-tracer", &mut script);
            print(&script)
        }
        Command::Man { into: Some(into) } => {
            clap_mangen::generate_to(Cli::command(), into)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { into: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&page)
        }
    }
}

/// The schema as it is checked in: what makes it from the types is left out of the agent by that.
fn schema() -> io::Result<Vec<u8>> {
    const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema"));
    let mut text = Vec::new();
    GzDecoder::new(PACKED).read_to_end(&mut text)?;
    Ok(text)
}

fn explain(cause: Option<&str>, all: bool) -> anyhow::Result<ExitCode> {
    let text = match cause {
        None if all => session::reference(),
        None => session::list(),
        Some(cause) => session::explain(cause).ok_or_else(|| {
            anyhow::anyhow!("there is no cause `{cause}`: `tds-tracer explain` lists them")
        })?,
    };
    print(text.as_bytes())
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// One line on standard error; a reader that left is none.
fn complain(error: &anyhow::Error) -> ExitCode {
    let kinds = error
        .chain()
        .filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    let kinds: Vec<io::ErrorKind> = kinds.collect();
    if kinds.contains(&io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to tell where standard error is gone too.
    drop(writeln!(io::stderr(), "tds-tracer: {error:#}"));
    ExitCode::from(if kinds.iter().any(may_pass) {
        FOR_NOW
    } else {
        UNUSABLE
    })
}

/// Whether the same may go well the next time: an address that is not there yet as the host starts, a full disk.
fn may_pass(kind: &io::ErrorKind) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, OutOfMemory, QuotaExceeded, StorageFull};
    matches!(
        kind,
        AddrInUse | AddrNotAvailable | OutOfMemory | QuotaExceeded | StorageFull
    )
}

/// clap's message without its layout and the reminder of `--help`.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said: Vec<&str> = lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .collect();
    let line = said.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, one_line};

    fn complaint(line: &str) -> String {
        one_line(&Cli::try_parse_from(line.split(' ')).expect_err("an error"))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_value_is_one_line_that_names_the_mend() {
        for (line, mend) in [
            ("tds-tracer run --port 0", "0 is not in 1..=65535"),
            ("tds-tracer run --port 70000", "70000 is not in 1..=65535"),
            ("tds-tracer run --ring-bytes 100000", "use 131072"),
            ("tds-tracer run --events logn", "use login, pending, close"),
            ("tds-tracer run --slow soon", "250ms or 2s"),
            ("tds-tracer run --duration soon", "30s"),
            ("tds-tracer run --pending 0", "30s"),
            ("tds-tracer run --format xml", "json, pretty"),
            ("tds-tracer run --iface [", "pattern"),
            ("tds-tracer run --prot 1433", "'--port'"),
            ("tds-tracer replay", "<FILE>"),
        ] {
            let complaint = complaint(line);
            assert!(complaint.contains(mend), "{line}: {complaint}");
            assert!(!complaint.contains('\n'), "{complaint}");
        }
    }
}
