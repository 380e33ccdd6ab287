//! ClickHouse with the hour in it.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Engine, FIRST, HOUR, over_time, plan};
use crate::fleet::{Fleet, database::Database};

/// See the module.
pub struct ClickHouse {
    database: Database,
    /// By what name it stands in queries.
    chosen: Vec<(String, String)>,
}

impl ClickHouse {
    /// A database in that folder, with the hour's lines.
    pub fn with_the_hour(folder: &Path) -> Result<Self> {
        let lines = folder.join("hour.jsonl");
        Fleet::new(plan(), BufWriter::new(File::create(&lines)?)).write()?;
        let mut database = Database::open(&folder.join("database"), true)?;
        database.load(&lines)?;
        database.count_minutes()?;
        Ok(Self {
            database,
            chosen: Vec::new(),
        })
    }

    /// The columns of an answer with their types, and its rows.
    fn table(&mut self, sql: &str) -> Result<(Vec<[String; 2]>, Vec<Value>)> {
        let mut filled = sql
            .replace("$__fromTime", &format!("toDateTime({FIRST}, 'UTC')"))
            .replace("$__toTime", &format!("toDateTime({}, 'UTC')", FIRST + HOUR));
        for (name, value) in &self.chosen {
            filled = filled.replace(&format!("${name}"), value);
        }
        anyhow::ensure!(!filled.contains('$'), "{filled}");
        let told = self.database.ask(&filled, &[], "JSONCompact")?;
        let told: Value = serde_json::from_str(&told)?;
        let columns = told["meta"].as_array().context("no columns")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let columns = columns
            .iter()
            .map(|one| [text(&one["name"]), text(&one["type"])]);
        let rows = told["data"].as_array().context("no rows")?;
        Ok((columns.collect(), rows.clone()))
    }
}

impl Engine for ClickHouse {
    const FOLDER: &str = "clickhouse";

    fn ask(&mut self, panel: &Value, target: &Value) -> Result<Value> {
        let sql = target["rawSql"].as_str().context("asks nothing")?;
        let (columns, rows) = self.table(sql)?;
        if over_time(panel) {
            return series(&columns, &rows);
        }
        let names = columns.iter().map(|[name, _]| name);
        Ok(json!({ "columns": names.collect::<Vec<_>>(), "rows": rows }))
    }

    /// Of what incidents tell, where there are any; the last one elsewhere.
    fn choose(&mut self, variable: &Value) -> Result<Vec<String>> {
        let (_, rows) = self.table(variable["query"].as_str().context("asks nothing")?)?;
        let values: Vec<_> = rows
            .iter()
            .filter_map(|row| row[0].as_str().map(str::to_owned))
            .collect();
        let (_, told) =
            self.table("SELECT concat(any(servers[1].address), ':1433') FROM tds.incidents")?;
        let of_incident = told.first().and_then(|row| row[0].as_str());
        let found = values
            .iter()
            .find(|value| Some(value.as_str()) == of_incident);
        if let Some(value) = found.or(values.last()) {
            let name = variable["name"].as_str().context("no name")?;
            self.chosen.push((name.to_owned(), value.clone()));
        }
        Ok(values)
    }
}

/// As Grafana does: the first column is the time, a number is a value, and a text tells series apart.
fn series(columns: &[[String; 2]], rows: &[Value]) -> Result<Value> {
    let mut series: Vec<(String, Vec<Value>)> = Vec::new();
    anyhow::ensure!(
        columns[0][1].starts_with("DateTime"),
        "begins with no time: {columns:?}"
    );
    for row in rows {
        let time = row[0].as_str().context("no time")?;
        let time: jiff::civil::DateTime = time.parse()?;
        let time = time
            .to_zoned(jiff::tz::TimeZone::UTC)?
            .timestamp()
            .as_second();
        let texts = columns.iter().enumerate().skip(1);
        let texts = texts.filter(|(_, [_, kind])| kind.contains("String"));
        let about: Vec<_> = texts.filter_map(|(place, _)| row[place].as_str()).collect();
        for (place, [name, kind]) in columns.iter().enumerate().skip(1) {
            if kind.contains("String") || kind.starts_with("Array") {
                continue;
            }
            let value = match &row[place] {
                // Whole numbers of 64 bits are texts in its JSON.
                Value::String(text) => json!(text.parse::<f64>()?),
                other => other.clone(),
            };
            let name = [&about[..], &[name.as_str()]].concat().join(" ");
            let at = series.iter().position(|(known, _)| *known == name);
            let at = at.unwrap_or_else(|| {
                series.push((name, Vec::new()));
                series.len() - 1
            });
            series[at].1.push(json!([time, value]));
        }
    }
    let series = series
        .into_iter()
        .map(|(name, points)| json!({ "name": name, "points": points }));
    Ok(json!({ "series": series.collect::<Vec<_>>() }))
}
