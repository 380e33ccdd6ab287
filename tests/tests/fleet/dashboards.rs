//! Grafana's dashboards: each question that they ask is asked of the engine that it is meant for, and has an answer.

use std::fs::{self, File};
use std::io::BufWriter;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::fleet::{
    Fleet, Plan,
    database::{Database, questions},
    measured::Measured,
    world::{BUSY_SERVER, CLIENT_HOSTS, LOSING_HOST, LOSSY},
};
use harness::peer::workspace;
use harness::process::{Running, run, until};
use harness::root::skip;
use serde_json::Value;
use tracer::record::Timestamp;

use crate::{DAY, FROM, Folder, UNTIL, write};

const LIMIT: Duration = Duration::from_mins(1);
/// Agents of servers that Prometheus asks, and of clients.
const ASKED: [usize; 2] = [3, 5];

/// The panels of all dashboards in a folder, with the dashboard's name.
fn panels(folder: &str) -> Result<Vec<(String, Value)>> {
    let mut panels = Vec::new();
    for file in fs::read_dir(workspace().join("packaging/grafana").join(folder))? {
        let path = file?.path();
        let board: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let name = path
            .file_stem()
            .context("no name")?
            .to_string_lossy()
            .into_owned();
        for panel in board["panels"].as_array().context("no panels")? {
            panels.push((format!("{name}: {}", panel["title"]), panel.clone()));
        }
        let names = board["templating"]["list"]
            .as_array()
            .context("no variables")?;
        for variable in names.iter().filter(|one| one["type"] == "query") {
            panels.push((format!("{name}: {}", variable["name"]), variable.clone()));
        }
    }
    Ok(panels)
}

/// What a panel, or a variable, asks.
fn asked(panel: &Value, key: &str) -> Vec<String> {
    let targets = panel["targets"].as_array();
    let of_targets = targets.into_iter().flatten().map(|target| &target[key]);
    let all = of_targets.chain([&panel["query"]]);
    all.filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn each_panel_has_a_right_answer_by_clickhouse() -> Result<()> {
    let folder = Folder::new("dashboards")?;
    let day = folder.0.join("day.jsonl");
    write(&day, DAY, 20_000, false)?;
    let mut database = Database::open(&folder.0.join("database"), true)?;
    database.load(&day)?;
    database.count_minutes()?;
    let one = |database: &mut Database, sql: &str| -> Result<String> {
        Ok(database.ask(sql, &[], "TSV")?.trim().to_owned())
    };
    let incident = one(&mut database, "SELECT any(incident_id) FROM tds.incidents")?;
    let of_incident = "SELECT concat(any(servers[1].address), ':1433') FROM tds.incidents";
    let server = one(&mut database, of_incident)?;
    let pack = questions()?;
    for (name, panel) in panels("clickhouse")? {
        for sql in asked(&panel, "rawSql") {
            let filled = sql
                .replace("$__fromTime", &format!("toDateTime('{FROM}', 'UTC')"))
                .replace("$__toTime", &format!("toDateTime('{UNTIL}', 'UTC')"))
                .replace("$incident", &incident)
                .replace("$server", &server);
            ensure!(!filled.contains('$'), "{name}: {filled}");
            let told = database.ask(&filled, &[], "TSV").context(name.clone())?;
            ensure!(!told.trim().is_empty(), "{name} has no answer:\n{filled}");
            if panel["type"] == "timeseries" {
                let first = told.split('\t').next().unwrap_or_default();
                ensure!(
                    first.starts_with("2026-11-2"),
                    "{name} begins with no time: {first}"
                );
            }
            // What is asked in the pack too is asked alike.
            let title = format!("-- {}\n", panel["title"].as_str().unwrap_or_default());
            if let Some(question) = pack.iter().find(|one| one.sql.starts_with(&title)) {
                let in_pack = question
                    .sql
                    .replace("{from:DateTime}", "$__fromTime")
                    .replace("{until:DateTime}", "$__toTime");
                ensure!(in_pack.contains(&sql), "{name} is not {}", question.name);
            }
        }
    }
    Ok(())
}

/// Prometheus with an hour of a fleet in it, and where it answers.
fn prometheus(folder: &Path) -> Result<(Running, String)> {
    let agents = (CLIENT_HOSTS..CLIENT_HOSTS + ASKED[0] as u64)
        .chain([CLIENT_HOSTS + BUSY_SERVER, LOSING_HOST, LOSSY.start])
        .map(|agent| agent as usize)
        .chain(0..ASKED[1]);
    let samples = folder.join("samples");
    let measured = Measured::new(agents, Box::new(BufWriter::new(File::create(&samples)?)));
    let plan = Plan {
        logins: 20_000,
        minutes: 60,
        day: Timestamp(DAY * 1_000_000_000),
        seed: DAY,
        quiet: false,
    };
    Fleet::new(plan, std::io::sink())
        .measured(measured)
        .write()?;
    let kept = folder.join("kept");
    let mut promtool = Command::new("promtool");
    promtool.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]);
    let (status, told) = run(promtool.args([&samples, &kept]), "", LIMIT)?;
    ensure!(status.success(), "{told}");
    let asked = folder.join("asked.yml");
    fs::write(&asked, "{}")?;
    // Whoever listens there next is Prometheus.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut prometheus = Command::new("prometheus");
    prometheus
        .arg(format!("--config.file={}", asked.display()))
        .arg(format!("--storage.tsdb.path={}", kept.display()))
        .arg(format!("--web.listen-address={address}"))
        .args(["--storage.tsdb.retention.time=100y", "--log.level=error"]);
    let running = Running::start(&mut prometheus)?;
    let url = format!("http://{address}");
    until(LIMIT, || answer(&url, "vector(1)").is_ok())?;
    Ok((running, url))
}

/// What Prometheus has to say at the end of the hour.
fn answer(url: &str, query: &str) -> Result<String> {
    let time = format!("--time={}", DAY + 3_600);
    let mut promtool = Command::new("promtool");
    promtool.args(["query", "instant", &time, url, query]);
    let (status, told) = run(&mut promtool, "", LIMIT)?;
    ensure!(status.success(), "{query}: {told}");
    Ok(told)
}

#[test]
fn each_panel_has_an_answer_by_prometheus() -> Result<()> {
    if Command::new("promtool").arg("--version").output().is_err() {
        skip("promtool", "each panel has an answer by Prometheus");
        return Ok(());
    }
    let folder = Folder::new("boards")?;
    let (running, url) = prometheus(&folder.0)?;
    let servers = answer(
        &url,
        "topk(1, sum by (server) (tds_incidents_total * 0 or tds_logins_total))",
    )?;
    let server = servers.split('"').nth(1).context("no server")?;
    for (name, panel) in panels("prometheus")? {
        for query in asked(&panel, "expr") {
            let filled = match query.strip_prefix("label_values(") {
                // That is Grafana's own: the values of a label of a metric.
                Some(of) => {
                    let (metric, label) =
                        of.trim_end_matches(')').split_once(", ").context("two")?;
                    format!("count by ({label}) ({metric})")
                }
                None => query
                    .replace("$__rate_interval", "1h")
                    .replace("$__range", "1h")
                    .replace("=\"$server\"", &format!("=\"{server}\""))
                    .replace("$server", ".*")
                    .replace("$instance", ".*"),
            };
            ensure!(!filled.contains('$'), "{name}: {filled}");
            let mut told = answer(&url, &filled).context(name.clone())?;
            if !told.contains(" => ") {
                // It did not happen at that server.
                let anywhere = filled.replace(&format!("=\"{server}\""), "=~\".*\"");
                told = answer(&url, &anywhere)?;
            }
            // Quantiles of none, as of a server that nobody logged in to, are no answer.
            let mut answers = told.lines().filter(|line| line.contains(" => "));
            let is_answered = answers.any(|line| !line.contains("NaN"));
            ensure!(is_answered, "{name} has no answer: {filled}\n{told}");
        }
    }
    running.stop("TERM")?;
    Ok(())
}
