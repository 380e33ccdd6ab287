//! A fleet's lines in ClickHouse: the schema, and the questions that people ask in an incident.

mod dashboards;

use std::{
    fmt::Write as _,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use harness::{
    fleet::{
        Fleet, Plan, Truth, cluster,
        database::{Database, handed_out, questions, schema, statements},
        world,
    },
    peer::workspace,
};
use tracer::record::Timestamp;

/// A Monday's first hour, on which the fleet's things go wrong.
const DAY: u64 = 1_795_392_000;
const FROM: &str = "2026-11-23 00:00:00";
const MIDDLE: &str = "2026-11-23 00:30:00";
const UNTIL: &str = "2026-11-23 01:00:00";
const DAY_SECONDS: u64 = 86_400;

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let name = format!("tds-tracer-fleet-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the way of nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

const fn plan(day: u64, logins: u64, quiet: bool) -> Plan {
    Plan {
        logins,
        minutes: 60,
        day: Timestamp(day * 1_000_000_000),
        seed: day,
        quiet,
    }
}

fn write(path: &Path, day: u64, logins: u64, quiet: bool) -> Result<Truth> {
    let out = BufWriter::new(File::create(path)?);
    Fleet::new(plan(day, logins, quiet), out).write()
}

/// All questions with their answers: how many lines, the beginning of what SHA-256 makes of all of them, and a dozen.
///
/// After a change that is meant `INSTA_UPDATE=always cargo test --workspace --features tds-tracer-tests/peers --test fleet
/// right_answer` writes them anew, and `git diff` shows which are others.
fn answers(database: &mut Database, connection: &str) -> Result<String> {
    const SHOWN: usize = 12;
    let mut all = String::new();
    for question in questions()? {
        let mut parameters = vec![("from", FROM), ("until", UNTIL)];
        for (name, value) in [("at", MIDDLE), ("connection", connection)] {
            if question.sql.contains(&format!("{{{name}:")) {
                parameters.push((name, value));
            }
        }
        let text = database.ask(&question.sql, &parameters, "TSVWithNames")?;
        let lines = text.lines().count().saturating_sub(1);
        let [a, b, c, d, ..] = openssl::sha::sha256(text.as_bytes());
        let whole = u32::from_be_bytes([a, b, c, d]);
        writeln!(all, "== {}: {lines}, {whole:08x}", question.name)?;
        for line in text.lines().take(SHOWN) {
            all.push_str(line);
            all.push('\n');
        }
    }
    Ok(all)
}

fn number(database: &mut Database, sql: &str) -> Result<u64> {
    Ok(database.ask(sql, &[], "TSV")?.trim().parse()?)
}

#[test]
fn every_question_of_the_pack_has_its_one_right_answer() -> Result<()> {
    let folder = Folder::new("answers")?;
    let [before, day] = ["before.jsonl", "day.jsonl"].map(|name| folder.0.join(name));
    let leaked_before = write(&before, DAY - DAY_SECONDS, 4_000, true)?.leaked;
    let truth = write(&day, DAY, 20_000, false)?;
    let mut database = Database::open(&folder.0.join("database"), true)?;
    // The same order of sums in each run.
    database.run("SET max_threads = 1")?;
    for lines in [&before, &day] {
        database.load(lines)?;
    }
    database.count_minutes()?;

    let of_day = format!("start >= '{FROM}' AND start < '{UNTIL}'");
    let connections =
        format!("SELECT uniqExact(connection_id) FROM tds.logins FINAL WHERE {of_day}");
    assert_eq!(number(&mut database, &connections)?, truth.connections());
    for (outcome, right) in &truth.outcomes {
        let sql = format!("{connections} AND outcome = '{outcome}'");
        assert_eq!(number(&mut database, &sql)?, *right, "{outcome}");
        // Counted once, though two hosts tell it.
        let sql = format!(
            "SELECT sum(logins) FROM tds.logins_by_minute FINAL WHERE outcome = '{outcome}' \
             AND minute >= '{FROM}' AND minute < '{UNTIL}'"
        );
        assert_eq!(
            number(&mut database, &sql)?,
            *right,
            "{outcome} by the minute"
        );
    }
    for (cause, right) in &truth.causes {
        let sql = format!("{connections} AND cause = '{cause}'");
        assert_eq!(number(&mut database, &sql)?, *right, "{cause}");
    }
    for (server, right) in &truth.servers {
        let sql = format!("{connections} AND server_address = '{server}'");
        assert_eq!(number(&mut database, &sql)?, *right, "{server}");
    }
    let both = format!(
        "SELECT count() FROM (SELECT connection_id FROM tds.logins FINAL WHERE {of_day} \
         GROUP BY connection_id HAVING uniqExact(host) = 2)"
    );
    assert_eq!(number(&mut database, &both)?, truth.seen_twice);
    let lost = format!(
        "SELECT sum(lost) FROM tds.agents FINAL WHERE told >= '{FROM}' AND told < '{UNTIL}'"
    );
    // What was said in the hour's last moment is told with that host's clock.
    assert_eq!(number(&mut database, &lost)?, truth.lost);
    let incidents = database.ask(
        &format!("SELECT logins, failed FROM tds.incidents FINAL WHERE start >= '{FROM}'"),
        &[],
        "TSV",
    )?;
    let right: Vec<_> = truth
        .incidents
        .iter()
        .map(|(logins, failed)| format!("{logins}\t{failed}"))
        .collect();
    assert_eq!(incidents.lines().collect::<Vec<_>>(), right);
    let leaks = "SELECT sum(missing) FROM (SELECT max(last) - groupBitmapMerge(lines) AS missing \
                 FROM tds.arrivals GROUP BY run_id)";
    let leaked = leaked_before + truth.leaked;
    assert_eq!(number(&mut database, leaks)?, leaked);

    let worst = database.ask(
        "SELECT connection_id FROM tds.logins FINAL WHERE cause = 'server_threads_exhausted' AND outcome = 'success' \
         ORDER BY duration_ns DESC, host LIMIT 1",
        &[],
        "TSV",
    )?;
    let once = answers(&mut database, worst.trim())?;
    insta::assert_snapshot!("answers", once);

    // A carrier that delivers all of it again changes no answer.
    database.load(&day)?;
    database.count_minutes()?;
    assert_eq!(answers(&mut database, worst.trim())?, once);
    Ok(())
}

/// The hour's answer to a question of the pack.
fn of_the_hour(database: &mut Database, name: &str) -> Result<String> {
    let question = questions()?.into_iter().find(|one| one.name == name);
    let question = question.context("no such question")?;
    let hour = [("from", FROM), ("until", UNTIL)];
    database.ask(&question.sql, &hour, "TSV")
}

#[test]
fn what_both_hosts_saw_tells_how_their_clocks_differ_and_how_long_each_way_took() -> Result<()> {
    const CLOSE_ENOUGH_MS: f64 = 0.05;
    let folder = Folder::new("clocks")?;
    let day = folder.0.join("day.jsonl");
    let plan = plan(DAY, 20_000, false);
    write(&day, DAY, 20_000, false)?;
    let mut database = Database::open(&folder.0.join("database"), true)?;
    database.load(&day)?;

    let clocks = of_the_hour(&mut database, "clocks-of-two-hosts")?;
    assert_eq!(clocks.lines().count(), 50);
    for line in clocks.lines() {
        let [client, server, _, ahead, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            unreachable!("five columns: {line}")
        };
        let right = world::clock_ahead_ns(server) - world::clock_ahead_ns(client);
        let right = right as f64 / 1e6;
        let said: f64 = ahead.parse()?;
        assert!((said - right).abs() < CLOSE_ENOUGH_MS, "{line}: {right} ms");
    }

    // To the nanosecond, whatever their clocks say.
    let ways = plan.ways();
    let told = of_the_hour(&mut database, "network-by-direction")?;
    assert_eq!(told.lines().count(), 50);
    for line in told.lines() {
        let mut columns = line.split('\t');
        let hosts = [(); 2].map(|()| columns.next().unwrap_or_default().to_owned());
        let [there, back] = &ways[&hosts];
        let quantile = |way: &[u64], part: usize| way[way.len() * part / 100];
        let right = [
            quantile(there, 50),
            quantile(there, 99),
            quantile(back, 50),
            quantile(back, 99),
        ];
        assert_eq!(
            columns.next(),
            Some(there.len().to_string().as_str()),
            "{line}"
        );
        for (said, right) in columns.zip(right) {
            let right = right as f64 / 1e3;
            // Rounded to a tenth of a microsecond.
            assert!(
                (said.parse::<f64>()? - right).abs() < 0.051,
                "{line}: {right} us"
            );
        }
    }
    Ok(())
}

#[test]
fn the_clusters_schema_is_made_of_the_one_for_a_single_server_and_can_be_read() -> Result<()> {
    let single = schema()?;
    let made = cluster::schema(&single)?;
    let handed_out = std::fs::read_to_string(handed_out().join("cluster.sql"))?;
    assert!(
        handed_out == made,
        "run `cargo xtask fleet cluster --write`"
    );
    let folder = Folder::new("cluster")?;
    let mut database = Database::open(&folder.0.join("database"), false)?;
    for statement in statements(&made) {
        database.run(&format!("EXPLAIN AST {}", without_comments(&statement)))?;
    }
    Ok(())
}

#[test]
fn what_the_documentation_says_by_http_is_a_statement_that_takes_lines_in() -> Result<()> {
    let folder = Folder::new("http")?;
    let day = folder.0.join("day.jsonl");
    let truth = write(&day, DAY, 2_000, false)?;
    let mut database = Database::open(&folder.0.join("database"), true)?;
    let page = std::fs::read_to_string(workspace().join("docs/fleet.md"))?;
    let (_, said) = page.split_once("/?query=").context("nothing is said")?;
    let (said, _) = said.split_once('\'').context("it has no end")?;
    // The interface reads what the address says, and then what was sent.
    let statement = said.replace('+', " ") + "\n" + &std::fs::read_to_string(&day)?;
    let connections = "SELECT uniqExact(connection_id) FROM tds.logins FINAL";
    // A carrier that hears no answer sends all of it again.
    for _ in 0..2 {
        database.run(&statement)?;
        assert_eq!(number(&mut database, connections)?, truth.connections());
    }
    Ok(())
}

fn without_comments(statement: &str) -> String {
    let kept = statement.lines().filter(|line| !line.starts_with("--"));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_question_says_what_it_asks_and_none_is_asked_twice() -> Result<()> {
    let questions = questions()?;
    assert!(questions.len() >= 25);
    let mut asked = std::collections::BTreeSet::new();
    for question in questions {
        let first = question.sql.lines().next().unwrap_or_default().to_owned();
        assert!(
            first.starts_with("-- ") && first.ends_with('?'),
            "{}",
            question.name
        );
        assert!(asked.insert(first), "{}", question.name);
    }
    Ok(())
}
