//! `tds-tracer doctor`: what this host allows, found out by trying it.

mod evidence;

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::ValueEnum;
use glob::Pattern;
use serde::Serialize;

use crate::{
    confine::{Needs, Programs, Step, confine, user},
    exit::UNUSABLE,
    host::{self, Hierarchy, containers::Readable},
    probe::{self, Notice, Probe, Selection, Source},
};

/// The interface everything is tried on: it is on every host, and carries no stranger's traffic.
const TRIED_ON: &str = "lo";
/// The oldest kernel that is supported, as major and minor.
const OLDEST: (u32, u32) = (5, 10);

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Good,
    /// The agent does with less.
    Degraded,
    /// The agent cannot run.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// What its lack costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Good,
            found: found.into(),
            cost: None,
            mend: None,
        }
    }

    fn lacking(
        what: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        cost: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            what,
            verdict,
            found: found.into(),
            cost: Some(cost),
            mend: Some(mend.into()),
        }
    }
}

/// How `doctor` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// What `doctor` is to do.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    /// How it answers.
    pub format: DoctorFormat,
    /// The control group whose sockets' processes are told; the host's root unless given.
    pub cgroup: Option<PathBuf>,
    /// Where this host's own files are found.
    pub host_root: PathBuf,
    /// The container runtime's socket, where it is to be asked for names.
    pub cri_socket: Option<PathBuf>,
}

/// Says what this host allows; the status is 0 where the agent can run.
///
/// # Errors
/// Where nothing can be written, and where the control group is none.
pub fn doctor(options: &DoctorOptions) -> anyhow::Result<ExitCode> {
    let missing = host::missing_capabilities();
    let groups = Hierarchy::choose(options.cgroup.as_deref())?;
    let mut findings = vec![
        kernel(),
        capabilities(&missing),
        cgroup(groups.as_deref()),
        pids(),
        evidence::names(&options.host_root),
    ];
    findings.extend(options.cri_socket.as_deref().map(evidence::runtime));
    findings.extend([
        evidence::evidence(),
        evidence::drops(),
        evidence::calls(),
        btf(),
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    findings.extend(ring_buffer());
    if missing.is_empty() {
        findings.push(runtime.block_on(sockets(groups.clone())));
    }
    let at_sockets = groups.is_some();
    findings.extend(runtime.block_on(trial(groups)));
    findings.push(given_up(as_whom(options)));
    findings.extend(confinement(at_sockets));
    let usable = findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Missing);
    let text = match options.format {
        DoctorFormat::Text => as_text(&findings, usable)?,
        DoctorFormat::Json => {
            serde_json::to_string(&serde_json::json!({ "usable": usable, "findings": findings }))?
                + "\n"
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(if usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNUSABLE)
    })
}

fn as_text(findings: &[Finding], usable: bool) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for finding in findings {
        let sign = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Degraded => "less",
            Verdict::Missing => "NO  ",
        };
        writeln!(text, "{sign}  {:<13} {}", finding.what, finding.found)?;
        if let (Some(cost), Some(mend)) = (finding.cost, &finding.mend) {
            writeln!(
                text,
                "      {:<13} costs: {cost}\n      {:<13} mend:  {mend}",
                "", ""
            )?;
        }
    }
    writeln!(text, "{}", if usable { "usable" } else { "not usable" })?;
    Ok(text)
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    // An unreadable one is no reason to worry: the trial decides, here as elsewhere.
    if version(release).is_none_or(|version| version >= OLDEST) {
        return Finding::good("kernel", release);
    }
    Finding::lacking(
        "kernel",
        Verdict::Degraded,
        format!("{release}, which is not supported"),
        "whatever it has not taken from later ones",
        "Linux 5.10 or later",
    )
}

/// Major and minor of a release such as `5.10.0-28-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Without privilege the kernel does not say.
fn ring_buffer() -> Option<Finding> {
    Some(if probe::has_ring_buffer()? {
        Finding::good("ring buffer", "there")
    } else {
        Finding::lacking(
            "ring buffer",
            Verdict::Missing,
            "none",
            "the agent does not start",
            "Linux 5.8 or later, with CONFIG_BPF_SYSCALL",
        )
    })
}

fn capabilities(missing: &[&str]) -> Finding {
    if missing.is_empty() {
        return Finding::good("capabilities", "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
    }
    // What that costs depends on the kernel's verifier: the trial decides.
    let (verdict, cost) = if missing == ["CAP_PERFMON"] {
        (
            Verdict::Degraded,
            "connections without process, and on some kernels the programs",
        )
    } else {
        (Verdict::Missing, "nothing can be loaded or attached")
    };
    Finding::lacking(
        "capabilities",
        verdict,
        format!("without {}", missing.join(", ")),
        cost,
        "run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
    )
}

fn cgroup(groups: Option<&Hierarchy>) -> Finding {
    const WHAT: &str = "cgroup v2";
    let Some(groups) = groups else {
        return Finding::lacking(
            WHAT,
            Verdict::Degraded,
            "not mounted",
            "no process, no cgroup, and the vantage only by guess",
            "mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2",
        );
    };
    match groups.shortfall() {
        None => Finding::good(WHAT, groups.place()),
        Some(shortfall) => Finding::lacking(
            WHAT,
            Verdict::Degraded,
            shortfall,
            "of all other sockets the process, how they end, and the vantage but by guess",
            "run in the host's cgroup namespace (`--cgroupns=host`), or mount the host's /sys/fs/cgroup anywhere in the container",
        ),
    }
}

fn pids() -> Finding {
    const WHAT: &str = "pid namespace";
    if host::has_the_hosts_pids() {
        return Finding::good(WHAT, "the host's");
    }
    Finding::lacking(
        WHAT,
        Verdict::Degraded,
        "not the host's",
        "executables, and the processes of sockets older than the agent",
        "run in the host's pid namespace (`--pid=host`, `hostPID: true`)",
    )
}

fn btf() -> Finding {
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    Finding::good(
        "BTF",
        if there {
            "there; not needed"
        } else {
            "none; not needed"
        },
    )
}

/// Watches sockets for a moment, on no port.
async fn sockets(groups: Option<Arc<Hierarchy>>) -> Finding {
    let options = probe::Options {
        ports: Vec::new(),
        clean_up: false,
        groups,
        source: Some(Source::Sockets),
        ..probe::Options::default()
    };
    let shortfall = options.groups.as_deref().and_then(Hierarchy::shortfall);
    let tried = match (Probe::start(&options).await, shortfall) {
        (Ok(probe), shortfall) => {
            probe.stop().await;
            shortfall.map_or(Ok(()), Err)
        }
        (Err(error), _) => Err(error.to_string()),
    };
    match tried {
        Ok(()) => Finding::good(
            "sockets",
            "their packets are seen, in every network namespace",
        ),
        Err(reason) => Finding::lacking(
            "sockets",
            Verdict::Degraded,
            reason,
            "only what passes interfaces of this network namespace is seen, and where addresses are rewritten more than once",
            "the host's cgroup v2 root, which docs/containers.md says how to reach; Linux 5.10 or later, with CONFIG_CGROUP_BPF",
        ),
    }
}

/// Loads the programs and attaches them for a moment.
async fn trial(groups: Option<Arc<Hierarchy>>) -> Vec<Finding> {
    let Ok(pattern) = Pattern::new(TRIED_ON) else {
        return Vec::new();
    };
    let options = probe::Options {
        interfaces: Selection {
            selected: vec![pattern],
            excluded: Vec::new(),
        },
        // No port: it looks at nobody's traffic.
        ports: Vec::new(),
        // Nor does it change anything.
        clean_up: false,
        groups,
        source: Some(Source::Interfaces),
        ..probe::Options::default()
    };
    let mut probe = match Probe::start(&options).await {
        Ok(probe) => probe,
        Err(error) => {
            return vec![Finding::lacking(
                "programs",
                Verdict::Missing,
                error.to_string(),
                "the agent does not start",
                "the capabilities above; Linux 5.10 or later, with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF",
            )];
        }
    };
    let mut findings = vec![Finding::good("programs", "loaded")];
    let notices = probe.notices();
    findings.extend(notices.iter().filter_map(attachment));
    if !notices.iter().any(|notice| {
        matches!(
            notice,
            Notice::Degraded {
                what: "process",
                ..
            }
        )
    }) {
        findings.push(Finding::good("process", "told by socket hooks"));
    }
    probe.stop().await;
    findings
}

/// As whom it goes on where nobody says so, and writes no file.
fn as_whom(options: &DoctorOptions) -> Step {
    let reached = user::Reached {
        reads: Readable::read_under(&options.host_root).collect(),
        // Whoever opens a socket writes to it.
        writes: options.cri_socket.iter().cloned().collect(),
    };
    Step {
        what: "user",
        held: user::usual_instead_of_root(&reached),
    }
}

/// What the agent can give up once it is at work, tried on a thread that then ends. Whether this kernel wants `CAP_BPF` for
/// maps is tried by an agent that has some: here it is kept.
fn confinement(at_sockets: bool) -> Vec<Finding> {
    let needs = move |processes| Needs {
        programs: match (processes, at_sockets) {
            (false, _) => Programs::None,
            (true, true) => Programs::GuardedMaps,
            (true, false) => Programs::Interfaces,
        },
        processes,
        reads: processes,
        ..Needs::default()
    };
    let reading = thread::spawn(move || confine(&needs(true))).join();
    // The thread that writes reaches no process, so files can be kept from it.
    let writing = thread::spawn(move || confine(&needs(false))).join();
    let of = |steps: thread::Result<Vec<Step>>| steps.unwrap_or_default().into_iter();
    let files = of(writing).filter(|step| step.what == "landlock");
    let files = files.map(|step| Step {
        held: step
            .held
            .map(|held| format!("{held} by threads that write")),
        ..step
    });
    let others = of(reading).filter(|step| step.what != "landlock");
    others.chain(files).map(given_up).collect()
}

fn given_up(step: Step) -> Finding {
    match step.held {
        Ok(held) => Finding::good(step.what, held),
        Err(reason) => Finding::lacking(
            step.what,
            Verdict::Degraded,
            reason,
            "that step towards least privilege; the others hold",
            "SECURITY.md says what each one needs",
        ),
    }
}

fn attachment(notice: &Notice) -> Option<Finding> {
    match notice {
        Notice::Attached {
            hook: probe::Hook::Tcx,
            ..
        } => Some(Finding::good("attaching", "TCX links")),
        // Said with the reason, in a notice of its own.
        Notice::Attached { .. } | Notice::Named { .. } | Notice::Detached { .. } => None,
        Notice::Degraded {
            what: "tcx",
            reason,
        } => Some(Finding::lacking(
            "attaching",
            Verdict::Degraded,
            format!("clsact filters, since TCX is refused: {reason}"),
            "after a SIGKILL the filters stay until the next start",
            "Linux 6.6 or later has TCX",
        )),
        Notice::Degraded {
            what: what @ "filters",
            reason,
        } => Some(Finding::lacking(
            what,
            Verdict::Degraded,
            reason.clone(),
            "connections whose packets another filter keeps",
            "priority 1 left free on both sides (`tc filter show`), or Linux 6.6 or later, which has TCX",
        )),
        Notice::Degraded { what, reason } => Some(Finding::lacking(
            what,
            Verdict::Degraded,
            reason.clone(),
            "events without process, and the vantage only by guess",
            "all of the cgroup v2 hierarchy, as above, and Linux 5.10 or later",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, Verdict, capabilities, version};

    #[test]
    fn a_release_is_read_whatever_its_tail() {
        assert_eq!(version("5.10.0-28-amd64"), Some((5, 10)));
        assert_eq!(version("6.18-rc1"), Some((6, 18)));
        assert_eq!(version("5.4.0-150-generic"), Some((5, 4)));
        assert!(version("5.4.0") < Some(OLDEST));
        assert!(version("5.10.1") >= Some(OLDEST));
        assert!(version("6.1") >= Some(OLDEST));
        assert_eq!(version(""), None);
    }

    #[test]
    fn the_trial_decides_about_a_missing_cap_perfmon() {
        for (missing, verdict) in [
            (&[][..], Verdict::Good),
            (&["CAP_PERFMON"], Verdict::Degraded),
            (&["CAP_BPF"], Verdict::Missing),
            (&["CAP_BPF", "CAP_PERFMON"], Verdict::Missing),
        ] {
            assert_eq!(capabilities(missing).verdict, verdict, "{missing:?}");
        }
    }
}
