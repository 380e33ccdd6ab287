//! The package on a host with systemd: installed, started, asked, hindered, upgraded, removed.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{PATIENCE, check};
use crate::process::{command, output, succeeds};

const UNIT: &str = "tds-tracer.service";
/// What a package has for whoever configures more, and where that goes.
const DROP_IN: &str = "/usr/share/doc/tds-tracer/examples/network.conf";
const DROP_INS: &str = "/etc/systemd/system/tds-tracer.service.d";
const OWN: &str = "/trial/xtask";
const ADDRESS: &str = "127.0.0.1:1433";
const CONFIGURATION: &str = "/etc/tds-tracer/config.toml";
/// Of what `systemd-analyze security` counts, from 0 to 10, no more than this.
const EXPOSURE: f64 = 1.5;
/// A limit of memory for which few connections are enough, and as many as fill every table then.
const MEMORY: &str = "MemoryMax=96M";
const CONNECTIONS: &str = "7000";

/// Emulation is slow, the verifier most of all. Where it is gone with the guest.
const SLOWLY: (&str, &str) = (
    "/run/systemd/system/tds-tracer.service.d",
    "[Service]\nTimeoutStartSec=20min\nWatchdogSec=20min\n",
);

pub(super) fn checks() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("kernel {}", release.trim());
    let mut server = command(OWN, ["vm-guest", "serve", ADDRESS])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    check("installed, and not started by that", || {
        fs::create_dir_all(SLOWLY.0)?;
        fs::write(format!("{}/slowly.conf", SLOWLY.0), SLOWLY.1)?;
        output(&mut command("dpkg", ["--install", "/trial/package.deb"]))?;
        is("ActiveState", "inactive")
    });
    check("started as its own user", started);
    check("a login is in the journal", login);
    check("what it may do is little", little_exposed);
    check("reload", || {
        systemctl(&["reload", UNIT])?;
        told("a reload", |event| event["agent"]["action"] == "reload")
    });
    check("the journal is started anew", || {
        let before = show("MainPID")?;
        systemctl(&["restart", "systemd-journald.service"])?;
        login()?;
        is("MainPID", &before)
    });
    check("killed, it is started again", || {
        let before = show("MainPID")?;
        systemctl(&["kill", "--signal=KILL", UNIT])?;
        until("another process", || {
            Ok(show("MainPID")? != before && is_active()?)
        })?;
        login()
    });
    check("every table full, within its memory", full);
    check(
        "upgraded: what was configured stays, and it goes on",
        upgraded,
    );
    check(
        "a configuration that is wrong is not tried again and again",
        wrong,
    );
    check("purged: nothing is left", purged);
    server.kill()?;
    server.wait()?;
    Ok(())
}

fn started() -> Result<()> {
    systemctl(&["start", UNIT])?;
    is("ActiveState", "active")?;
    let status = fs::read_to_string(format!("/proc/{}/status", show("MainPID")?))?;
    let user = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .context("no user")?;
    ensure!(!user.split_whitespace().any(|id| id == "0"), "root: {user}");
    told("a start", |event| event["agent"]["action"] == "start")
}

/// One login by a process of its own; it is in the journal.
fn login() -> Result<()> {
    let success = |event: &Value| event["login"]["outcome"] == "success";
    let before = all(success)?;
    output(&mut command(OWN, ["vm-guest", "login", ADDRESS]))?;
    until("a login", || Ok(all(success)? > before))
}

fn little_exposed() -> Result<()> {
    let told = output(&mut command(
        "systemd-analyze",
        ["security", "--no-pager", UNIT],
    ))?;
    let line = told
        .lines()
        .rev()
        .find(|line| line.contains("exposure level"));
    let figure = line.and_then(|line| line.split_once(".service: "));
    let figure = figure.and_then(|(_, rest)| rest.split_whitespace().next());
    let figure: f64 = figure.context(told.clone())?.parse()?;
    ensure!(figure <= EXPOSURE, "{figure}: {told}");
    Ok(())
}

/// More connections than it watches stay undecided at once: it goes on within its memory, and says what gave way.
fn full() -> Result<()> {
    systemctl(&["set-property", "--runtime", UNIT, MEMORY])?;
    systemctl(&["restart", UNIT])?;
    let before = show("MainPID")?;
    let line = format!("ulimit -n 100000; exec {OWN} vm-guest crowd {CONNECTIONS}");
    let mut crowd = command("sh", ["-c", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let crowded = until("word of a full table", || {
        is("MainPID", &before).context("it was killed, as for its memory")?;
        let is_full = |event: &Value| {
            let reason = event["loss"]["reason"].as_str();
            reason.is_some_and(|reason| ["flow_table_full", "connection_evicted"].contains(&reason))
        };
        Ok(all(is_full)? > 0)
    });
    crowd.kill()?;
    crowd.wait()?;
    crowded?;
    // Lines about the crowd's end come faster than the journal takes them here; a login that has no room among them is
    // counted as lost. Once the agent tells how it does, they are through.
    let status = |event: &Value| event["agent"]["action"] == "status";
    let said = all(status)?;
    until("status", || Ok(all(status)? > said))?;
    login()?;
    is("MainPID", &before)?;
    let group = show("ControlGroup")?;
    let events = fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.events"))?;
    ensure!(events.contains("oom_kill 0"), "{events}");
    Ok(())
}

fn upgraded() -> Result<()> {
    let mut text = fs::read_to_string(CONFIGURATION)?;
    // A key that changes nothing of which logins are told.
    text.push_str("pending = \"45s\"\n");
    fs::write(CONFIGURATION, &text)?;
    let before = show("MainPID")?;
    output(&mut command("dpkg", ["--install", "/trial/later.deb"]))?;
    ensure!(fs::read_to_string(CONFIGURATION)? == text, "not kept");
    is("ActiveState", "active")?;
    ensure!(show("MainPID")? != before, "the earlier version goes on");
    let shown = output(&mut command("tds-tracer", ["config", "show"]))?;
    ensure!(shown.contains("pending = \"45s\""), "{shown}");
    login()
}

fn wrong() -> Result<()> {
    let file = "/etc/tds-tracer/conf.d/wrong.toml";
    fs::write(file, "slwo = \"3s\"\n")?;
    let started = succeeds(&mut command("systemctl", ["restart", UNIT]));
    fs::remove_file(file)?;
    ensure!(!started, "it starts with an unknown key");
    is("ActiveState", "failed")?;
    systemctl(&["reset-failed", UNIT])?;
    systemctl(&["start", UNIT])
}

fn purged() -> Result<()> {
    fs::create_dir_all(DROP_INS)?;
    fs::copy(DROP_IN, format!("{DROP_INS}/network.conf"))?;
    systemctl(&["enable", UNIT])?;
    output(&mut command("dpkg", ["--purge", "tds-tracer"]))?;
    let left = output(&mut command(
        "find",
        [
            "/",
            "-xdev",
            "-path",
            "/trial",
            "-prune",
            "-o",
            "-name",
            "*tds-tracer*",
            "-print",
        ],
    ))?;
    ensure!(left.is_empty(), "left: {left}");
    for file in ["/etc/passwd", "/etc/group"] {
        ensure!(
            !fs::read_to_string(file)?.contains("tds-tracer"),
            "a user is left"
        );
    }
    ensure!(
        !succeeds(&mut command("systemctl", ["is-active", UNIT])),
        "it runs still"
    );
    Ok(())
}

fn systemctl(words: &[&str]) -> Result<()> {
    let done = output(&mut command("systemctl", words));
    if done.is_err() {
        eprintln!("{}", journal(&["--lines", "40"])?);
    }
    done.map(drop)
}

/// A property of the unit.
fn show(property: &str) -> Result<String> {
    let words = ["show", "--value", "--property", property, UNIT];
    Ok(output(&mut command("systemctl", words))?.trim().to_owned())
}

fn is(property: &str, wanted: &str) -> Result<()> {
    let found = show(property)?;
    ensure!(found == wanted, "{property} is {found}, not {wanted}");
    Ok(())
}

fn is_active() -> Result<bool> {
    Ok(show("ActiveState")? == "active")
}

fn journal(more: &[&str]) -> Result<String> {
    let mut words = vec!["--unit", UNIT, "--output", "cat", "--no-pager"];
    words.extend(more);
    output(&mut command("journalctl", words))
}

/// So many of its events in the journal are such.
fn all(wanted: impl Fn(&Value) -> bool) -> Result<usize> {
    let text = journal(&[])?;
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(events.filter(|event| wanted(event)).count())
}

fn told(what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    until(what, || Ok(all(&wanted)? > 0))
}

fn until(what: &str, done: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if done()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("no {what}: {}", journal(&["--lines", "20"])?)
}
