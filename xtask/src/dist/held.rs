//! What a package has to hold, whoever's it is: files with their bits, all of them root's, and a page of the manual for
//! each command.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{arch::Arch, process::output};

/// Files, with the bits that they have to have.
const HELD: &[(&str, &str)] = &[
    ("usr/bin/tds-tracer", "-rwxr-xr-x"),
    ("etc/tds-tracer/config.toml", TEXT),
    ("etc/tds-tracer/conf.d", "drwxr-xr-x"),
    ("usr/lib/systemd/system/tds-tracer.service", TEXT),
    ("usr/lib/sysusers.d/tds-tracer.conf", TEXT),
    ("usr/share/bash-completion/completions/tds-tracer", TEXT),
    ("usr/share/fish/vendor_completions.d/tds-tracer.fish", TEXT),
    ("usr/share/doc/tds-tracer/copyright", TEXT),
];
const TEXT: &str = "-rw-r--r--";

/// A file in a package.
pub(super) struct Held {
    /// Its bits, as `ls` writes them.
    pub(super) bits: String,
    /// `USER/GROUP`.
    pub(super) owner: String,
    /// Below `/`.
    pub(super) name: String,
}

impl Held {
    /// A line with bits, owner and, last of all, the name.
    pub(super) fn of(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let mut next = || words.next().context(format!("no file: {line}"));
        let (bits, owner) = (next()?.to_owned(), next()?.to_owned());
        let name = words.next_back().context(format!("no name: {line}"))?;
        let name = name.trim_start_matches('.').trim_matches('/').to_owned();
        Ok(Self { bits, owner, name })
    }
}

/// Fails where something is missing, may be written by others, or belongs to somebody else than root. `zsh` is where
/// that shell looks for completions.
pub(super) fn check(files: &[Held], arch: Arch, agent: &Path, zsh: &str) -> Result<()> {
    let completion = format!("{zsh}/_tds-tracer");
    let mut wanted: Vec<(String, &str)> = pages(arch, agent)?.map(|page| (page, TEXT)).collect();
    wanted.push((completion, TEXT));
    wanted.extend(HELD.iter().map(|&(name, bits)| (name.to_owned(), bits)));
    for (name, bits) in wanted {
        let found = files.iter().find(|file| file.name == name);
        let found = found.context(format!("{name} is missing in the package"))?;
        ensure!(found.bits == bits, "{name} is {}, not {bits}", found.bits);
    }
    if let Some(file) = files.iter().find(|file| file.owner != "root/root") {
        bail!("{} is {}'s", file.name, file.owner);
    }
    Ok(())
}

/// The manual's pages: the agent's own, and those of all its commands, as its help has them.
fn pages(arch: Arch, agent: &Path) -> Result<impl Iterator<Item = String>> {
    let mut names = vec!["tds-tracer".to_owned()];
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        let words = name.split('-').skip(2).chain(["--help"]);
        let help = output(arch.program(agent).args(words))?;
        names.extend(commands(&help).map(|word| format!("{name}-{word}")));
        at += 1;
    }
    ensure!(names.len() > 10, "few commands: {names:?}");
    let page = |name| format!("usr/share/man/man1/{name}.1.gz");
    Ok(names.into_iter().map(page))
}

/// The commands that a help lists, but for `help` itself.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
}

#[cfg(test)]
mod tests {
    use super::{Held, commands};

    #[test]
    fn the_lines_of_both_tools_are_read() {
        let debian = "-rw-r--r-- root/root  12 2026-11-29 03:44 ./etc/tds-tracer/config.toml";
        let fedora = "drwxr-xr-x root/root /etc/tds-tracer/conf.d";
        for (line, name) in [
            (debian, "etc/tds-tracer/config.toml"),
            (fedora, "etc/tds-tracer/conf.d"),
        ] {
            let held = Held::of(line).expect("a file");
            assert_eq!(
                (held.name.as_str(), held.owner.as_str()),
                (name, "root/root")
            );
        }
    }

    #[test]
    fn a_help_lists_its_commands() {
        let help = "Says\n\nCommands:\n  run     Watch\n          and say\n  replay  Say\n  help    Print\n\nOptions:\n  -h  x\n";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["run", "replay"]);
    }
}
