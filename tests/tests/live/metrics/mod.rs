//! What Prometheus is told: a real one asks, and its own checker finds nothing to say.

mod asked;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::agent::{Agent, Record, of};
use harness::drivers::{Driver, Encrypt, Login};
use harness::net::{Namespace, Network, SERVER_V4};
use harness::peer::{Peer, program, workspace};
use harness::process::{Running, run};
use harness::root::skip;
use harness::{driver_or_skip, root_or_skip};

const LIMIT: Duration = Duration::from_mins(1);
/// Where the agent answers.
const METRICS: &str = "127.0.0.1:9433";
const RULES: &str = "packaging/prometheus/tds-tracer.rules.yaml";

/// Two hosts, an agent that answers, and a server.
struct Place {
    network: Network,
    agent: Agent,
    _server: Peer,
}

impl Place {
    fn new(options: &[&str]) -> Self {
        let network = Network::new().unwrap();
        let agent = Agent::start(
            &network.client,
            &[&["--metrics", METRICS][..], options].concat(),
        )
        .unwrap();
        let listen = format!("{SERVER_V4}:1433");
        let server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
        Self {
            network,
            agent,
            _server: server,
        }
    }

    fn log_in(&self, times: usize) {
        for _ in 0..times {
            let login = Login::to(SERVER_V4, 1433, Encrypt::Off);
            let fared = Driver::Tsql
                .run(Some(&self.network.client), &login)
                .unwrap();
            assert!(fared.ok, "{}", fared.output);
        }
    }

    /// A connection to a port that nobody listens on.
    fn be_refused(&self) {
        let mut client = self.network.client.command(program("raw-client").unwrap());
        let (status, _) = run(client.arg(format!("{SERVER_V4}:1434")), "", LIMIT).unwrap();
        assert!(!status.success());
    }

    /// What is told when asked like this.
    fn ask(&self, path: &str, options: &[&str]) -> String {
        let mut curl = self.network.client.command("curl");
        curl.args(["--silent", "--show-error"]).args(options);
        let (_, told) = run(curl.arg(format!("http://{METRICS}{path}")), "", LIMIT).unwrap();
        told
    }

    /// Asks until that is told.
    fn until(&self, told: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let text = self.ask("/metrics", &[]);
            if text.lines().any(|line| line == told) {
                return text;
            }
            assert!(Instant::now() < end, "no `{told}` in {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(self) -> Record {
        self.agent.stop().unwrap()
    }
}

/// The text with the address of the server that is logged in to.
fn of_server(text: &str) -> String {
    text.replace("SERVER", SERVER_V4)
}

fn promtool(host: &Namespace, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = host.command("promtool");
    let (status, told) = run(command.args(arguments), input, LIMIT).unwrap();
    (status.success(), told)
}

#[test]
fn each_login_is_counted_whatever_the_output_leaves_out() {
    root_or_skip!("each login is counted whatever the output leaves out");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new(&[
        "--port",
        "1433,1434",
        "--slow",
        "60000",
        "--events",
        "login,agent",
    ]);
    place.log_in(3);
    place.be_refused();
    let closed = &of_server(
        "tds_closes_total{server=\"SERVER:1433\",by=\"client\",how=\"fin\",class=\"normal\"} 3",
    );
    let text = place.until(closed);
    let logins =
        &of_server("tds_logins_total{server=\"SERVER:1433\",error=\"\",outcome=\"success\",");
    let success: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with(logins))
        .collect();
    assert!(
        matches!(success[..], [one] if one.ends_with(" 3")),
        "{text}"
    );
    let refused =
        &of_server("tds_logins_total{server=\"SERVER:1434\",error=\"\",outcome=\"refused\",");
    assert!(text.lines().any(|line| line.starts_with(refused)), "{text}");
    assert!(text.contains(&of_server(
        "tds_login_duration_seconds_count{server=\"SERVER:1433\",outcome=\"success\"} 3\n"
    )));
    assert!(text.contains("tds_tracer_connections{state=\"open\"}"));
    let (good, complaints) = promtool(&place.network.client, &["check", "metrics"], &text);
    assert!(good && complaints.is_empty(), "{complaints}");
    let record = place.stop();
    let logins = of(&record.events, "login");
    assert!(
        logins
            .iter()
            .all(|login| login["login"]["outcome"] == "refused"),
        "{logins:?}"
    );
}

#[test]
fn each_sink_says_what_it_wrote_and_keeps_and_the_kernel_how_full_its_ring_is() {
    root_or_skip!("each sink says what it wrote and keeps and the kernel how full its ring is");
    driver_or_skip!(Driver::Tsql);
    let state = std::env::temp_dir().join(format!("tds-tracer-figures-{}", std::process::id()));
    let folder = state.display().to_string();
    // Nobody listens there.
    let away = "kind=otlp,name=away,url=http://127.0.0.1:4318";
    let place = Place::new(&["--state", &folder, "--sink", "kind=stdout", "--sink", away]);
    place.log_in(1);
    let figure = |text: &str, series: &str| -> Option<f64> {
        let begin = format!("{series} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin))?;
        line.parse().ok()
    };
    let end = Instant::now() + LIMIT;
    let text = loop {
        let text = place.ask("/metrics", &[]);
        let all = [
            "tds_tracer_sink_records_total{sink=\"stdout\"}",
            "tds_tracer_sink_errors_total{sink=\"away\"}",
            "tds_tracer_sink_spool_bytes{sink=\"away\"}",
            "tds_tracer_sink_spool_age_seconds{sink=\"away\"}",
            "tds_tracer_ring_size_bytes",
        ];
        if all.iter().all(|series| figure(&text, series) > Some(0.0)) {
            break text;
        }
        assert!(Instant::now() < end, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(figure(&text, "tds_tracer_ring_bytes") < figure(&text, "tds_tracer_ring_size_bytes"));
    assert!(figure(&text, "tds_tracer_connections_most") > Some(0.0));
    let (good, complaints) = promtool(&place.network.client, &["check", "metrics"], &text);
    assert!(good && complaints.is_empty(), "{complaints}");
    place.stop();
    fs::remove_dir_all(state).unwrap();
}

/// The kernel counts how long its programs run, for as long as this is there.
struct Counted(String);

impl Counted {
    const SETTING: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn on() -> Self {
        let before = fs::read_to_string(Self::SETTING).unwrap();
        fs::write(Self::SETTING, "1").unwrap();
        Self(before)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        fs::write(Self::SETTING, &self.0).ok();
    }
}

#[test]
fn how_often_and_how_long_programs_ran_is_told_while_the_kernel_counts_it() {
    root_or_skip!("how often and how long programs ran is told while the kernel counts it");
    driver_or_skip!(Driver::Tsql);
    let _counted = Counted::on();
    let place = Place::new(&[]);
    place.log_in(3);
    let of = |text: &str, metric: &str| -> f64 {
        let begin = format!("{metric}{{program=\"");
        let lines = text.lines().filter(|line| line.starts_with(&begin));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    };
    let end = Instant::now() + LIMIT;
    let (runs, seconds) = loop {
        let text = place.ask("/metrics", &[]);
        let runs = of(&text, "tds_tracer_program_runs_total");
        let seconds = of(&text, "tds_tracer_program_run_seconds_total");
        // Both ends of three logins, of which each is more than ten packets.
        if runs >= 30.0 {
            break (runs, seconds);
        }
        assert!(Instant::now() < end, "{text}");
        std::thread::sleep(Duration::from_millis(50));
    };
    // A run takes some hundred nanoseconds; on a busy machine of virtual processors much more, and never a millisecond in
    // the middle of so many.
    assert!(
        seconds > 0.0 && seconds / runs < 1e-3,
        "{seconds} s in {runs}"
    );
    place.stop();
}

#[test]
fn who_asks_for_its_health_or_badly_is_answered() {
    root_or_skip!("who asks for its health or badly is answered");
    let place = Place::new(&[]);
    place.until("tds_tracer_learned_ports 0");
    assert_eq!(place.ask("/-/healthy", &[]), "ok\n");
    assert_eq!(place.ask("/-/ready", &[]), "ok\n");
    let code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert_eq!(place.ask("/etc/passwd", &code), "404");
    assert_eq!(
        place.ask("/metrics", &[&code[..], &["--request", "POST"]].concat()),
        "405"
    );
    let open_metrics = place.ask(
        "/metrics",
        &["--header", "Accept: application/openmetrics-text"],
    );
    assert!(open_metrics.ends_with("# EOF\n"), "{open_metrics}");
    let accept = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let kind = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{content_type}",
        "--header",
        accept,
    ];
    assert!(
        place
            .ask("/metrics", &kind)
            .starts_with("application/vnd.google.protobuf")
    );
    // Nobody who keeps a connection open and says nothing keeps others from being answered.
    let idle: Vec<_> = (0..16)
        .map(|_| {
            let mut command = place.network.client.command("bash");
            Running::start_held(command.args(["-c", "exec 3<>/dev/tcp/127.0.0.1/9433; read x <&3"]))
                .unwrap()
        })
        .collect();
    assert_eq!(place.ask("/-/healthy", &["--max-time", "50"]), "ok\n");
    drop(idle);
    place.stop();
}

#[test]
fn an_address_that_is_taken_is_an_error_for_now_before_anything_is_attached() {
    root_or_skip!("an address that is taken is an error for now, before anything is attached");
    let place = Place::new(&[]);
    let mut second = place.network.client.command(program("tds-tracer").unwrap());
    second.args(["run", "--metrics", METRICS]);
    let output = Command::output(&mut second).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(75)
            && error.contains("listening at 127.0.0.1:9433 for metrics"),
        "{error}"
    );
    place.stop();
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    if Command::new("promtool").arg("--version").output().is_err() {
        skip("promtool", "alerts fire when they should and only then");
        return;
    }
    let rules = workspace().join("packaging/prometheus/tds-tracer.rules.test.yaml");
    let mut tested = Command::new("promtool");
    let (status, told) = run(tested.args(["test", "rules"]).arg(rules), "", LIMIT).unwrap();
    assert!(status.success(), "{told}");
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do() {
    let rules = read(RULES);
    let pages = read("docs/alerts.md");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let page = format!("## {alert}");
        assert!(pages.lines().any(|line| line == page), "{alert}");
        let runbook = format!("runbook: docs/alerts.md#{}", alert.to_lowercase());
        assert!(rules.contains(&runbook), "{runbook}");
    }
}

#[test]
fn what_has_not_tried_to_log_in_counts_as_failed_in_no_alert_and_no_panel() {
    const NO_LOGINS: [&str; 3] = ["probe", "not_sql_server", "parallel_race_lost"];
    let causes = read("docs/causes.md");
    for cause in NO_LOGINS {
        let page = format!("## {cause}");
        assert!(causes.lines().any(|line| line == page), "{cause}");
    }
    let left_out = format!("cause!~\"{}\"", NO_LOGINS.join("|"));
    for file in [
        RULES,
        "packaging/grafana/prometheus/tds-tracer-overview.json",
        "packaging/grafana/prometheus/tds-tracer-server.json",
    ] {
        let text = read(file).replace("\\\"", "\"");
        let asked = text.split("tds_logins_total{").skip(1);
        let asked = asked.filter_map(|rest| Some(rest.split_once('}')?.0));
        let failed: Vec<_> = asked.filter(|of| of.contains("outcome!~")).collect();
        assert!(!failed.is_empty(), "{file}");
        for of in failed {
            assert!(of.contains(&left_out), "{file}: {of}");
        }
    }
}

/// A file of the repository.
fn read(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap()
}
