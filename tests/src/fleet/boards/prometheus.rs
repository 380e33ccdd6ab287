//! Prometheus with what some agents counted in the hour.

use std::fs::{self, File};
use std::io::BufWriter;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Engine, FIRST, HOUR, LIMIT, has_any, over_time, plan};
use crate::fleet::{
    Fleet,
    measured::Measured,
    world::{BUSY_SERVER, CLIENT_HOSTS, LOSING_HOST, LOSSY, server_address},
};
use crate::process::{Running, run, until};

/// Agents of servers that it asks, and of clients.
const ASKED: [usize; 2] = [3, 5];
/// A point each so many seconds, as agents are asked.
const STEP: u64 = 60;

/// See the module.
pub struct Prometheus {
    running: Running,
    url: String,
}

impl Prometheus {
    /// With the hour; its files lie in that folder.
    pub fn with_the_hour(folder: &Path) -> Result<Self> {
        let agents = (CLIENT_HOSTS..CLIENT_HOSTS + ASKED[0] as u64)
            .chain([CLIENT_HOSTS + BUSY_SERVER, LOSING_HOST, LOSSY.start])
            .map(|agent| agent as usize)
            .chain(0..ASKED[1]);
        let samples = folder.join("samples");
        let measured = Measured::new(agents, Box::new(BufWriter::new(File::create(&samples)?)));
        Fleet::new(plan(), std::io::sink())
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
        let mut prometheus = Self {
            running: Running::start(&mut prometheus)?,
            url: format!("http://{address}/api/v1"),
        };
        until(LIMIT, || prometheus.now("vector(1)").is_ok())?;
        Ok(prometheus)
    }

    /// Ends it.
    pub fn stop(self) -> Result<()> {
        self.running.stop("TERM").map(drop)
    }

    /// At the end of the hour.
    fn now(&mut self, query: &str) -> Result<Vec<Value>> {
        let time = format!("time={}", FIRST + HOUR);
        self.get("query", query, &[&time])
    }

    /// What a query gives for the servers whose name is so.
    fn ask_of(&mut self, server: &str, panel: &Value, target: &Value) -> Result<Value> {
        let query = target["expr"].as_str().context("asks nothing")?;
        if over_time(panel) {
            let query = filled(query, "5m", server)?;
            let times = [
                format!("start={}", FIRST + STEP),
                format!("end={}", FIRST + HOUR),
                format!("step={STEP}"),
            ];
            let times = times.each_ref().map(String::as_str);
            let result = self.get("query_range", &query, &times)?;
            return Ok(series(&result, "values", target));
        }
        let result = self.now(&filled(query, "1h", server)?)?;
        if panel["type"] == "table" {
            return Ok(table(&result));
        }
        Ok(series(&result, "value", target))
    }

    fn get(&self, path: &str, query: &str, parameters: &[&str]) -> Result<Vec<Value>> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--get"])
            .arg(format!("{}/{path}", self.url));
        curl.args(["--data-urlencode", &format!("query={query}")]);
        for parameter in parameters {
            curl.args(["--data", parameter]);
        }
        let (_, told) = run(&mut curl, "", LIMIT)?;
        let told: Value = serde_json::from_str(&told).with_context(|| told.clone())?;
        let result = told["data"]["result"].as_array();
        Ok(result.with_context(|| format!("{query}: {told}"))?.clone())
    }
}

/// A query with its variables filled in; rates are those of so long a time.
fn filled(query: &str, rates: &str, server: &str) -> Result<String> {
    let filled = query
        .replace("$__rate_interval", rates)
        .replace("$__range", "1h")
        .replace("=\"$server\"", server)
        .replace("$server", ".*")
        .replace("$instance", ".*");
    ensure!(!filled.contains('$'), "{filled}");
    Ok(filled)
}

impl Engine for Prometheus {
    const FOLDER: &str = "prometheus";

    /// Of the server that had no free worker; where nothing like that happened there, of all of them, and it says so.
    fn ask(&mut self, panel: &Value, target: &Value) -> Result<Value> {
        let busy = format!("=\"{}:1433\"", server_address(BUSY_SERVER));
        let answer = self.ask_of(&busy, panel, target)?;
        let query = target["expr"].as_str().unwrap_or_default();
        if has_any(&answer) || !query.contains("\"$server\"") {
            return Ok(answer);
        }
        let mut answer = self.ask_of("=~\".+\"", panel, target)?;
        answer["of"] = json!("of all servers: none at this one");
        Ok(answer)
    }

    fn choose(&mut self, variable: &Value) -> Result<Vec<String>> {
        // That is Grafana's own: the values of a label of a metric.
        let query = variable["query"].as_str().context("asks nothing")?;
        let of = query.strip_prefix("label_values(").context("no label")?;
        let (metric, label) = of.trim_end_matches(')').split_once(", ").context("two")?;
        let result = self.now(&format!("count by ({label}) ({metric})"))?;
        let values = result
            .iter()
            .filter_map(|one| one["metric"][label].as_str());
        Ok(values.map(str::to_owned).collect())
    }
}

fn point(sample: &Value) -> Value {
    let value = sample[1].as_str().and_then(|text| text.parse::<f64>().ok());
    json!([sample[0], value.filter(|value| value.is_finite())])
}

fn series(result: &[Value], key: &str, target: &Value) -> Value {
    let legend = target["legendFormat"].as_str().unwrap_or_default();
    let series = result.iter().map(|one| {
        let labels = one["metric"].as_object().into_iter().flatten();
        let mut name = labels.fold(legend.to_owned(), |name, (label, value)| {
            name.replace(
                &format!("{{{{{label}}}}}"),
                value.as_str().unwrap_or_default(),
            )
        });
        // A label that is empty is none.
        while let Some((before, after)) = name.split_once("{{") {
            let after = after.split_once("}}").map_or("", |(_, after)| after);
            name = format!("{before}{after}");
        }
        let samples = &one[key];
        let points = if key == "value" {
            vec![point(samples)]
        } else {
            samples
                .as_array()
                .into_iter()
                .flatten()
                .map(point)
                .collect()
        };
        json!({ "name": name.trim(), "points": points })
    });
    json!({ "series": series.collect::<Vec<_>>() })
}

fn table(result: &[Value]) -> Value {
    let labels: std::collections::BTreeSet<_> = result
        .iter()
        .filter_map(|one| one["metric"].as_object())
        .flat_map(|labels| labels.keys())
        .collect();
    let rows = result.iter().map(|one| {
        let of = |label: &&String| one["metric"][label.as_str()].clone();
        let mut row: Vec<_> = labels.iter().map(of).collect();
        row.push(point(&one["value"])[1].clone());
        row
    });
    let rows: Vec<_> = rows.collect();
    let columns: Vec<_> = labels
        .iter()
        .map(|label| label.as_str())
        .chain(["Value"])
        .collect();
    json!({ "columns": columns, "rows": rows })
}
