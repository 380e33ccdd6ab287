//! Those who ask: Prometheus and `VictoriaMetrics`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::agent::of;
use harness::drivers::Driver;
use harness::net::Namespace;
use harness::process::{Running, run};
use harness::root::skip;
use harness::{driver_or_skip, root_or_skip};

use super::{LIMIT, Place, of_server, promtool};
use crate::life::wait_until;

/// Where Prometheus answers.
const PROMETHEUS: &str = "127.0.0.1:9090";
/// Where `VictoriaMetrics` does.
const VICTORIA: &str = "127.0.0.1:8428";
/// What they are told to ask.
const ASKED: &str = "{global: {scrape_interval: 1s}, scrape_configs: [{job_name: tds, static_configs: \
                     [{targets: ['127.0.0.1:9433']}]}]}";
/// Logins that went well.
const LOGINS: &str = "tds_logins_total{outcome=\"success\",server=\"SERVER:1433\"}";

/// What one of them keeps; gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, host: &Namespace) -> Self {
        let folder = std::env::temp_dir().join(format!("tds-tracer-{name}-{}", host.name()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("asked.yml"), ASKED).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Prometheus, which goes on with what is in the folder.
fn prometheus(host: &Namespace, folder: &Folder) -> Running {
    let mut prometheus = host.command("prometheus");
    prometheus
        .arg(format!("--config.file={}", folder.path("asked.yml")))
        .arg(format!("--storage.tsdb.path={}", folder.path("kept")))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .args(["--log.level=error"]);
    Running::start(&mut prometheus).unwrap()
}

/// Whether Prometheus has an answer.
fn found(host: &Namespace, query: &str) -> bool {
    let url = format!("http://{PROMETHEUS}");
    let (good, told) = promtool(host, &["query", "instant", &url, query], "");
    good && told.contains(" => ")
}

#[test]
fn prometheus_asks_and_finds_the_logins() {
    root_or_skip!("prometheus asks and finds the logins");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new(&[]);
    let host = &place.network.client;
    let folder = Folder::new("prometheus", host);
    let prometheus = prometheus(host, &folder);
    place.log_in(5);
    let query = of_server(&format!("sum({LOGINS}) == 5"));
    wait_until("the logins", || found(host, &query));
    let slow = "histogram_quantile(0.5, sum by (le) (tds_login_phase_duration_seconds_bucket{phase=\"login\",side=\"server\"})) > 0";
    assert!(found(host, slow));
    prometheus.stop("TERM").unwrap();
    place.stop();
}

#[test]
fn prometheus_that_was_away_finds_what_was_counted_meanwhile_and_nobody_waited_for_it() {
    root_or_skip!("prometheus that was away finds what was counted meanwhile");
    driver_or_skip!(Driver::Tsql);
    let mut place = Place::new(&[]);
    let folder = Folder::new("away", &place.network.client);
    let asks = |place: &Place, logins: usize| {
        let query = of_server(&format!("sum({LOGINS}) == {logins}"));
        wait_until("the logins", || found(&place.network.client, &query));
    };
    let mut running = prometheus(&place.network.client, &folder);
    let mut logins = 0;
    for _ in 0..2 {
        place.log_in(3);
        logins += 3;
        asks(&place, logins);
        // In the middle of whatever it does.
        running.signal("STOP").unwrap();
        place.log_in(3);
        logins += 3;
        let closes = place.agent.wait_for("close", logins, LIMIT).unwrap();
        assert_eq!(closes.len(), logins, "lines go on");
        place.until(&of_server(&format!(
            "tds_closes_total{{server=\"SERVER:1433\",by=\"client\",how=\"fin\",class=\"normal\"}} {logins}"
        )));
        running.signal("KILL").unwrap();
        running.end(LIMIT).unwrap();
        running = prometheus(&place.network.client, &folder);
        asks(&place, logins);
    }
    let counts_on = of_server(&format!("sum(resets({LOGINS}[10m])) == 0"));
    assert!(found(&place.network.client, &counts_on));
    drop(running);
    let record = place.stop();
    assert!(record.success, "{}", record.log);
    assert_eq!(of(&record.events, "login").len(), logins);
    assert_eq!(of(&record.events, "loss").len(), 0, "{:?}", record.events);
}

#[test]
fn victoria_metrics_asks_and_finds_the_logins() {
    const PROMISE: &str = "victoria metrics asks and finds the logins";
    root_or_skip!(PROMISE);
    driver_or_skip!(Driver::Tsql);
    if Command::new("victoria-metrics")
        .arg("-version")
        .output()
        .is_err()
    {
        skip("victoria-metrics", PROMISE);
        return;
    }
    let place = Place::new(&[]);
    let host = &place.network.client;
    let folder = Folder::new("victoria", host);
    let mut victoria = host.command("victoria-metrics");
    victoria
        .arg(format!("-promscrape.config={}", folder.path("asked.yml")))
        .arg(format!("-storageDataPath={}", folder.path("kept")))
        .arg(format!("-httpListenAddr={VICTORIA}"));
    let victoria = Running::start(&mut victoria).unwrap();
    place.log_in(5);
    // What came a moment ago is held back otherwise.
    let answer = |query: &str| {
        let mut curl = host.command("curl");
        curl.args(["--silent", "--get", "--data", "nocache=1&latency_offset=0s"]);
        curl.args(["--data-urlencode", &format!("query={query}")]);
        run(
            curl.arg(format!("http://{VICTORIA}/api/v1/query")),
            "",
            LIMIT,
        )
        .unwrap()
        .1
    };
    for query in [
        of_server(&format!("sum({LOGINS}) == 5")).as_str(),
        "histogram_quantile(0.5, sum by (le) (tds_login_duration_seconds_bucket)) > 0",
    ] {
        wait_until(query, || answer(query).contains("\"value\":"));
    }
    victoria.stop("TERM").unwrap();
    place.stop();
}
