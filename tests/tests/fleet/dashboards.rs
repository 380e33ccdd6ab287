//! Grafana's dashboards: each question that they ask is asked of the engine that it is meant for, has an answer, and is
//! drawn with it.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::fleet::{
    boards::{answered, clickhouse::ClickHouse, draw, prometheus::Prometheus},
    database::questions,
};
use harness::root::skip;
use serde_json::Value;

use crate::Folder;

/// Each panel's title, with what it asks under that key.
fn asked(boards: &[Value], key: &str) -> Result<BTreeMap<String, String>> {
    let mut asked = BTreeMap::new();
    for board in boards {
        for panel in board["panels"].as_array().context("no panels")? {
            let title = panel["title"].as_str().context("no title")?;
            let query = panel["targets"][0][key].as_str().context("asks nothing")?;
            asked.insert(title.to_owned(), query.to_owned());
        }
    }
    Ok(asked)
}

#[test]
fn each_panel_has_an_answer_by_clickhouse_and_is_drawn() -> Result<()> {
    let folder = Folder::new("dashboards")?;
    let boards = answered(&mut ClickHouse::with_the_hour(&folder.0)?)?;
    draw(&boards, &folder.0)?;
    // What is asked in the pack too is asked alike.
    let pack = questions()?;
    for (title, sql) in asked(&boards, "rawSql")? {
        let first = format!("-- {title}\n");
        if let Some(question) = pack.iter().find(|one| one.sql.starts_with(&first)) {
            let in_pack = question
                .sql
                .replace("{from:DateTime}", "$__fromTime")
                .replace("{until:DateTime}", "$__toTime");
            ensure!(in_pack.contains(&sql), "{title} is not {}", question.name);
        }
    }
    Ok(())
}

#[test]
fn each_panel_has_an_answer_by_prometheus_and_is_drawn() -> Result<()> {
    if Command::new("promtool").arg("--version").output().is_err() {
        skip("promtool", "each panel has an answer by Prometheus");
        return Ok(());
    }
    let folder = Folder::new("boards")?;
    let mut prometheus = Prometheus::with_the_hour(&folder.0)?;
    let boards = answered(&mut prometheus)?;
    prometheus.stop()?;
    draw(&boards, &folder.0)?;
    Ok(())
}

#[test]
fn a_panel_without_data_is_not_drawn() -> Result<()> {
    let folder = Folder::new("empty")?;
    let mut board: Value = serde_json::json!({
        "name": "empty",
        "title": "A board",
        "panels": [{
            "type": "timeseries",
            "title": "A panel",
            "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
            "fieldConfig": {"defaults": {}},
            "answers": [{"series": [{"name": "one", "points": [[0, 1.5], [900, 2.5]]}]}],
        }],
    });
    draw(&[board.clone()], &folder.0)?;
    board["panels"][0]["answers"][0]["series"][0]["points"] = serde_json::json!([[0, null]]);
    let refused = draw(&[board], &folder.0).err().context("it was drawn")?;
    assert_eq!(
        refused.to_string().trim(),
        "nothing is drawn in empty: A panel (timeseries)"
    );
    Ok(())
}
