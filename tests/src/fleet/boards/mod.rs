//! Grafana's dashboards with the answers of the engines that they are meant for: of each panel what there is to draw.
//!
//! `xtask/eyes/boards.mjs` draws it.

pub mod clickhouse;
pub mod prometheus;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tracer::record::Timestamp;

use super::Plan;
use crate::peer::workspace;
use crate::process::run;

/// The hour that is drawn begins then, in seconds since 1970.
pub const FIRST: u64 = 1_795_392_000;
/// It has so many seconds.
pub const HOUR: u64 = 3_600;
const LIMIT: Duration = Duration::from_mins(1);

/// That hour of a fleet, with all that goes wrong in a day.
pub const fn plan() -> Plan {
    Plan {
        logins: 20_000,
        minutes: HOUR / 60,
        day: Timestamp(FIRST * 1_000_000_000),
        seed: FIRST,
        quiet: false,
    }
}

/// Who answers what dashboards ask.
pub trait Engine {
    /// The folder of its dashboards in `packaging/grafana`.
    const FOLDER: &str;

    /// What a query gives: series, of a panel that is drawn over time or that shows one number; else a table.
    fn ask(&mut self, panel: &Value, target: &Value) -> Result<Value>;

    /// The values that a variable may have; from then on queries have one of them.
    fn choose(&mut self, variable: &Value) -> Result<Vec<String>>;
}

/// All dashboards of an engine, each panel with its answers; one without any is an error.
pub fn answered<E: Engine>(engine: &mut E) -> Result<Vec<Value>> {
    let folder = workspace().join("packaging/grafana").join(E::FOLDER);
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        files.push(file?.path());
    }
    files.sort();
    files.iter().map(|file| board(engine, file)).collect()
}

fn board<E: Engine>(engine: &mut E, file: &Path) -> Result<Value> {
    let board: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let name = file.file_stem().context("no name")?.to_string_lossy();
    let variables = board["templating"]["list"].as_array();
    for variable in variables.context("no variables")? {
        if variable["type"] == "query" {
            let values = engine.choose(variable)?;
            ensure!(
                !values.is_empty(),
                "{name}: {} has no value",
                variable["name"]
            );
        }
    }
    let mut panels = Vec::new();
    for panel in board["panels"].as_array().context("no panels")? {
        let title = &panel["title"];
        let mut answers = Vec::new();
        for target in panel["targets"].as_array().context("no targets")? {
            let answer = engine.ask(panel, target);
            answers.push(answer.with_context(|| format!("{name}: {title}"))?);
        }
        ensure!(
            answers.iter().any(has_any),
            "{name}: {title} has no answer: {}",
            panel["targets"]
        );
        let mut drawn = panel.clone();
        drawn["answers"] = json!(answers);
        panels.push(drawn);
    }
    Ok(json!({ "name": name, "title": board["title"], "engine": E::FOLDER, "panels": panels }))
}

/// Whether there is anything to draw: quantiles of nothing are none.
fn has_any(answer: &Value) -> bool {
    let is_number = |point: &Value| point[1].is_number();
    let series = answer["series"].as_array().into_iter().flatten();
    let mut points = series.filter_map(|one| one["points"].as_array()).flatten();
    let rows = answer["rows"].as_array();
    points.any(is_number) || rows.is_some_and(|rows| !rows.is_empty())
}

/// Whether the panel is drawn over time.
fn over_time(panel: &Value) -> bool {
    panel["type"] == "timeseries" || panel["type"] == "heatmap"
}

/// Writes dashboards, and has each drawn as a page of its own; one that cannot be is an error.
pub fn draw(boards: &[Value], folder: &Path) -> Result<Vec<PathBuf>> {
    let mut node = Command::new("node");
    node.arg(workspace().join("xtask/eyes/boards.mjs"));
    let mut pages = Vec::new();
    for board in boards {
        let name = board["name"].as_str().context("no name")?;
        let data = folder.join(format!("{name}.json"));
        fs::write(&data, board.to_string())?;
        pages.push(data.with_extension("html"));
        node.arg(data);
    }
    let (status, told) = run(&mut node, "", LIMIT)?;
    ensure!(status.success(), "{told}");
    Ok(pages)
}
