//! The report as Markdown, for a ticket or a chat.

use std::fmt::{self, Write};

use super::{
    facts::{Facts, PhaseRow, Row, Table},
    text::{count, time},
};

/// Columns of a bar of the logins over time.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// As many steps of it are shown.
const STEPS: usize = 60;

/// The text.
pub(super) fn markdown(facts: &Facts) -> Result<String, fmt::Error> {
    let mut text = String::from("# SQL Server logins\n\n");
    for sentence in &facts.verdict.sentences {
        writeln!(text, "{}\n", safe(sentence))?;
    }
    if !facts.incidents.is_empty() {
        text.push_str("## Incidents\n\n");
    }
    for card in &facts.incidents {
        writeln!(
            text,
            "- **{}** ({}{}), since {} for {}: {}; {}; {}.",
            safe(&card.meaning),
            card.confidence,
            if card.whom.is_empty() {
                String::new()
            } else {
                format!(", for the {} team", safe(&card.whom))
            },
            card.start,
            card.lasted,
            card.logins,
            safe(&card.hits),
            card.ended
        )?;
    }
    over_time(&mut text, facts)?;
    worst(&mut text, facts)?;
    phases(&mut text, &facts.phases, facts.compared)?;
    if !facts.causes.is_empty() {
        text.push_str("\n## Causes\n\n| cause | logins | how sure | for | what helps |\n|---|--:|--:|---|---|\n");
    }
    for row in &facts.causes {
        writeln!(
            text,
            "| {} ({}) | {} | {} | {} | {} |",
            safe(&row.meaning),
            code(&row.cause),
            count(row.logins),
            row.confidence,
            safe(&row.whom),
            row.mend.replace('|', "\\|")
        )?;
    }
    text.push_str(
        "\n## How logins ended\n\n| outcome | error | means | logins |\n|---|---|---|--:|\n",
    );
    for row in &facts.outcomes {
        writeln!(
            text,
            "| {} | {} | {} | {} |",
            safe(&row.outcome),
            row.of_error(),
            row.means,
            count(row.logins)
        )?;
    }
    for table in &facts.tables {
        by(&mut text, table)?;
    }
    text.push_str("\n## What was not seen, or not for sure\n\n");
    if facts.unseen.is_empty() {
        text.push_str("Nothing is known to be missing.\n");
    }
    for sentence in &facts.unseen {
        writeln!(text, "- {}", safe(sentence))?;
    }
    Ok(text)
}

fn over_time(text: &mut String, facts: &Facts) -> fmt::Result {
    let steps = &facts.timeline.steps;
    let Some(start) = &facts.timeline.start else {
        return Ok(());
    };
    let together = steps.len().div_ceil(STEPS).max(1);
    let sums: Vec<[u64; 2]> = steps
        .chunks(together)
        .map(|steps| {
            let sum = |of: fn(&[u64; 3]) -> u64| steps.iter().map(of).sum();
            [
                sum(|step| step.iter().sum()),
                sum(|[_, slow, failed]| slow + failed),
            ]
        })
        .collect();
    let bars = |which: usize| -> String {
        let most = sums
            .iter()
            .map(|sum| sum[which])
            .max()
            .unwrap_or_default()
            .max(1);
        let tall = |many: u64| (many * 8).div_ceil(most) as usize;
        sums.iter()
            .filter_map(|sum| BARS.get(tall(sum[which])))
            .collect()
    };
    writeln!(
        text,
        "\n## Over time\n\nFrom {start}, {} a column.\n\n```\nall         {}\nfailed,slow {}\n```",
        time(facts.timeline.step_ns.saturating_mul(together as u64)),
        bars(0),
        bars(1)
    )
}

fn worst(text: &mut String, facts: &Facts) -> fmt::Result {
    if !facts.logins.is_empty() {
        text.push_str("\n## The worst logins\n");
    }
    for login in &facts.logins {
        writeln!(
            text,
            "\n**{}**: {} after {}, begun {}{}. {}\n",
            safe(&login.title),
            safe(&login.outcome),
            login.took,
            login.start,
            login
                .before
                .as_ref()
                .map_or_else(String::new, |before| format!(
                    ", {before} of its attempt before that"
                )),
            safe(&login.why)
        )?;
        for row in &login.waterfall.rows {
            let waited = row
                .waited_ns
                .map_or_else(String::new, |[client, network, server]| {
                    format!(
                        " (client {}, network {}, server {})",
                        time(client),
                        time(network),
                        time(server)
                    )
                });
            let indent = if row.inner { "  " } else { "" };
            writeln!(
                text,
                "{indent}- {}: after {}, {}{waited}{}",
                safe(&row.name),
                time(row.start_ns),
                time(row.duration_ns),
                if row.outcome.is_empty() {
                    String::new()
                } else {
                    format!(", {}", safe(&row.outcome))
                }
            )?;
        }
        let keys = &login.keys;
        let spid = keys.spid.map(|spid| spid.to_string());
        for (name, key) in [
            ("connection.id", &keys.connection_id),
            ("Community ID", &keys.community_id),
            ("client connection id", &keys.connection_guid),
            ("SPID", &spid),
        ] {
            if let Some(key) = key {
                writeln!(text, "\n{name}: {}", code(key))?;
            }
        }
        if let Some(filter) = &login.keys.wireshark {
            writeln!(text, "\nWireshark: `{filter}`")?;
        }
        if let Some(sql) = &login.keys.sql {
            writeln!(text, "\n```sql\n{sql}```")?;
        }
    }
    Ok(())
}

fn phases(text: &mut String, rows: &[PhaseRow], compared: bool) -> fmt::Result {
    text.push_str("\n## How long phases took\n\n| phase | logins | half | 90 % | 99 % | longest |");
    text.push_str(if compared {
        " half before | 90 % before | 99 % before | longest before |\n"
    } else {
        "\n"
    });
    text.push_str("|---|--:|--:|--:|--:|--:|");
    text.push_str(if compared { "--:|--:|--:|--:|\n" } else { "\n" });
    for row in rows {
        let [half, nine, ninety_nine, longest] = row.now.cells();
        write!(
            text,
            "| {} | {} | {half} | {nine} | {ninety_nine} | {longest} |",
            row.phase,
            count(row.logins)
        )?;
        if compared {
            let before = row.before.map(|before| before.cells());
            let before = before.unwrap_or_else(|| ["–"; 4].map(str::to_owned));
            write!(text, " {} |", before.join(" | "))?;
        }
        text.push('\n');
    }
    Ok(())
}

fn by(text: &mut String, table: &Table) -> fmt::Result {
    writeln!(
        text,
        "\n## By {}\n\n| {} | logins | failed | slow | half | 99 % | longest |\n|---|--:|--:|--:|--:|--:|--:|",
        table.by, table.by
    )?;
    for Row {
        value,
        logins,
        failed,
        slow,
        took,
    } in &table.rows
    {
        let [half, _, ninety_nine, longest] = took.cells();
        writeln!(
            text,
            "| {} | {} | {} | {} | {half} | {ninety_nine} | {longest} |",
            safe(value),
            count(*logins),
            count(*failed),
            count(*slow)
        )?;
    }
    if table.more > 0 {
        writeln!(text, "\n{} more.", table.more)?;
    }
    Ok(())
}

/// A text as it is, but for what would end it or be taken for HTML.
fn code(text: &str) -> String {
    let alike = |c| match c {
        '`' => '\'',
        '|' => '¦',
        '<' => '‹',
        '>' => '›',
        '[' => '(',
        ']' => ')',
        c => c,
    };
    format!("`{}`", text.chars().map(alike).collect::<String>())
}

/// A text in which nothing is Markdown or HTML.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '#' | '!' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}
