//! A command that goes on beside others: what it says is kept until it is waited for.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::process::{command, shown, target};

/// A command at work; stopped where nobody waits for it any more.
pub(crate) struct Beside {
    line: String,
    process: Child,
    output: PathBuf,
}

impl Beside {
    /// Starts a command, whose output is kept in the target directory under `name`.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let line = shown(command);
        let place = target().join("beside");
        fs::create_dir_all(&place)?;
        let output = place.join(name).with_extension("log");
        let said = File::create(&output)?;
        let process = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("cannot run `{line}`"))?;
        eprintln!("  $ {line} &");
        Ok(Self {
            line,
            process,
            output,
        })
    }

    /// Waits for its end, and repeats what it said.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.process.wait()?;
        print!("{}", fs::read_to_string(&self.output)?);
        if !status.success() {
            bail!("`{}` ended with {status}", self.line);
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The same command, on what others leave of the processors (`SCHED_IDLE`, sched(7)).
pub(crate) fn idly(of: &Command) -> Command {
    let mut idle = command("chrt", ["--idle", "0"]);
    idle.arg(of.get_program()).args(of.get_args());
    if let Some(folder) = of.get_current_dir() {
        idle.current_dir(folder);
    }
    for (name, value) in of.get_envs() {
        match value {
            Some(value) => idle.env(name, value),
            None => idle.env_remove(name),
        };
    }
    idle
}
