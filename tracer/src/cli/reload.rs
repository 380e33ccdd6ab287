//! `tds-tracer reload`: lets an agent that runs read its configuration anew.

use std::{ffi::OsStr, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::{config::ConfigFile, print};

/// Options of `reload`, as typed.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// The agent's process, where several run
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,

    #[command(flatten)]
    config: ConfigFile,
}

impl ReloadArgs {
    /// Sends the signal; the files were found right before.
    pub(super) fn send(&self) -> anyhow::Result<ExitCode> {
        let pid = match self.pid {
            Some(pid) => pid,
            None => running()?,
        };
        let process = Pid::from_raw(pid).context("no process has that number")?;
        kill_process(process, Signal::HUP).with_context(|| format!("process {pid}"))?;
        print(format!("{pid}: told; an `agent` line says what came of it\n").as_bytes())
    }
}

/// The one agent that runs.
pub(super) fn running() -> anyhow::Result<i32> {
    let own = getpid().as_raw_nonzero().get();
    let processes = procfs::process::all_processes().context("the list of processes")?;
    let agents: Vec<i32> = processes
        .filter_map(Result::ok)
        .filter(|process| process.pid != own && is_agent(process))
        .map(|process| process.pid)
        .collect();
    match agents.as_slice() {
        [] => bail!("no agent runs"),
        [pid] => Ok(*pid),
        several => bail!("several agents run: {several:?}; choose one by --pid"),
    }
}

fn is_agent(process: &procfs::process::Process) -> bool {
    process.cmdline().is_ok_and(|line| {
        let program = line.first().map(std::path::Path::new);
        program.and_then(std::path::Path::file_name) == Some(OsStr::new("tds-tracer"))
            && line.get(1).is_some_and(|command| command == "run")
    })
}
