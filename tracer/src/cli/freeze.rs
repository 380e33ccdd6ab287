//! `tds-tracer freeze`: lets an agent that runs hand over all that its flight recorder holds.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{print, reload::running};

/// Options of `freeze`, as typed.
#[derive(Clone, Debug, Args)]
pub struct FreezeArgs {
    /// The agent's process, where several run
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
}

impl FreezeArgs {
    /// Sends the signal.
    pub(super) fn send(&self) -> anyhow::Result<ExitCode> {
        let pid = match self.pid {
            Some(pid) => pid,
            None => running()?,
        };
        let process = Pid::from_raw(pid).context("no process has that number")?;
        kill_process(process, Signal::USR1).with_context(|| format!("process {pid}"))?;
        let text =
            format!("{pid}: told; what it holds is written into the folder of its --recorder\n");
        print(text.as_bytes())
    }
}
