//! What was counted, as a part of a page.

use std::fmt::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::score::{BINS, Runs};
use super::verdict::SLOW;
use super::{FAULTS, Score, Verdict};

/// Between these lines of the page all is written by the laboratory.
const MARKS: [&str; 2] = [
    "<!-- written by `cargo xtask lab --write` -->",
    "<!-- up to here -->",
];
/// The same for healthy logins.
const MARKS_OF_HEALTHY: [&str; 2] = [
    "<!-- written by `cargo xtask lab --healthy 10000 --write` -->",
    "<!-- up to here, healthy ones -->",
];

/// Writes it into a page, where its marks are.
pub fn write(score: &Score, page: &Path) -> Result<()> {
    write_between(MARKS, &text(score)?, page)
}

/// The same of what was told of healthy logins.
pub fn write_healthy(text: &str, page: &Path) -> Result<()> {
    write_between(MARKS_OF_HEALTHY, text, page)
}

fn write_between(marks: [&str; 2], text: &str, page: &Path) -> Result<()> {
    let old = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let missing = || format!("{} has no place for it", page.display());
    let (before, rest) = old.split_once(marks[0]).with_context(missing)?;
    let (_, after) = rest.split_once(marks[1]).with_context(missing)?;
    std::fs::write(
        page,
        format!("{before}{}\n\n{text}\n{}{after}", marks[0], marks[1]),
    )?;
    Ok(())
}

/// It in Markdown.
pub fn text(score: &Score) -> Result<String, fmt::Error> {
    let mut text = String::new();
    summary(score, &mut text)?;
    confusion(score, &mut text)?;
    calibration(score, &mut text)?;
    Ok(text)
}

fn summary(score: &Score, text: &mut String) -> fmt::Result {
    let all = score.of(None);
    let ((replayed, same), (elsewhere, alike)) = (score.agreed(), score.agreed_elsewhere());
    let provoked: usize = score.runs.values().map(Runs::came_about).sum();
    writeln!(
        text,
        "Seed {}, {} runs of each fault, {provoked} runs in all: the first cause is right of **{} of {}** logins that \
         went wrong; Brier score {:.3}. {} more were not held up by what was done to them, and of {} there is no line. Replay of the capture gives the first cause that was given live in {same} of \
         {replayed} lines; the agents at sockets and at the interface give the same one in {alike} of {elsewhere}.\n",
        score.options.seed,
        score.options.runs,
        all.right,
        all.count,
        score.brier(),
        score.unfelt,
        score.untold,
    )?;
    let (slow, quick): (Vec<_>, Vec<_>) = score.healthy().partition(|verdict| verdict.took >= SLOW);
    let elsewhere = slow.iter().filter(|verdict| verdict.blames_others());
    let elsewhere = elsewhere.count();
    let told = |of: &[&Verdict]| of.iter().filter(|verdict| !verdict.is_right()).count();
    writeln!(
        text,
        "Healthy logins among them, a `login` and a `close` line each: {} lines of logins of less than a second, of \
         which {} name a cause above 0.5; {} of logins that took longer, as they do where others use the machine, of \
         which {} name one: {} the client, as its process took most of that time, and {} anybody else.\n",
        quick.len(),
        told(&quick),
        slow.len(),
        told(&slow),
        told(&slow) - elsewhere,
        elsewhere,
    )
}

fn confusion(score: &Score, text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| fault | truth | runs | drivers | right | told first instead |\n|---|---|---|---|---|---|"
    )?;
    let confusion = score.confusion();
    for fault in FAULTS {
        let Some(runs) = score.runs.get(fault.name) else {
            continue;
        };
        let tally = score.of(Some(fault.name));
        let row = confusion.get(fault.name);
        let mut others: Vec<_> = row
            .into_iter()
            .flatten()
            .filter(|(cause, _)| !fault.causes.contains(&cause.as_str()))
            .collect();
        others.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let others: Vec<_> = others
            .iter()
            .map(|(cause, count)| format!("`{cause}` {count}"))
            .collect();
        let drivers: std::collections::BTreeSet<_> = score
            .faulty()
            .filter(|verdict| verdict.fault == fault.name)
            .map(|verdict| &verdict.driver)
            .collect();
        writeln!(
            text,
            "| {} | `{}` | {} | {} | {} of {} | {} |",
            fault.name,
            fault.causes.join("`, `"),
            runs.came_about(),
            drivers.len(),
            tally.right,
            tally.count,
            others.join(", "),
        )?;
    }
    Ok(())
}

fn calibration(score: &Score, text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\n| said | logins | on the average | right |\n|---|---|---|---|"
    )?;
    let mut from = 0.0;
    for (bin, end) in score.bins().iter().zip(BINS) {
        if bin.count > 0 {
            let end = f64::min(end, 1.0);
            writeln!(
                text,
                "| {from:.1} to {end:.1} | {} | {:.2} | {:.2} |",
                bin.count,
                bin.belief(),
                bin.share()
            )?;
        }
        from = end;
    }
    writeln!(
        text,
        "\n| first cause | logins | said on the average | right |\n|---|---|---|---|"
    )?;
    for (cause, tally) in score.by_cause() {
        writeln!(
            text,
            "| `{cause}` | {} | {:.2} | {:.2} |",
            tally.count,
            tally.belief(),
            tally.share()
        )?;
    }
    Ok(())
}

/// What is wrong, for a person who looks into it.
pub fn wrong(score: &Score) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for verdict in score.alarms() {
        writeln!(text, "healthy: {}", row(verdict))?;
    }
    for verdict in score.faulty().filter(|verdict| !verdict.is_right()) {
        writeln!(text, "{}", row(verdict))?;
    }
    let differs = |verdict: &&Verdict| {
        let replayed = verdict.replayed_cause();
        replayed.is_some_and(|cause| cause != verdict.first_cause())
    };
    for verdict in score.verdicts.iter().filter(differs) {
        writeln!(text, "replay says {:?}: {}", verdict.replayed, row(verdict))?;
    }
    for (fault, runs) in &score.runs {
        for why in &runs.failed {
            writeln!(text, "did not come about: {fault}: {why}")?;
        }
    }
    Ok(text)
}

fn row(verdict: &Verdict) -> String {
    let told: Vec<_> = verdict
        .told
        .iter()
        .map(|told| format!("{} {:.2}", told.cause, told.confidence))
        .collect();
    let (fault, run, driver) = (verdict.fault, verdict.run, &verdict.driver);
    let took = verdict.took / 1_000_000;
    format!(
        "{fault} ({run}, {driver}): {}, {took} ms, told {}",
        verdict.outcome,
        told.join(", ")
    )
}
