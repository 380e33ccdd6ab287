//! Several sinks at once: what each gets through outages, kills and refusals is what another one gets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use harness::agent::{Agent, of};
use harness::drivers::{Driver, Encrypt, Login, PASSWORD, python};
use harness::net::Namespace;
use harness::peer::{Peer, program, workspace};
use harness::process::{Running, run};
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use crate::life::{ADDRESS, LIMIT, wait_until};
/// A directory of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
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

/// A host with a server, whose logins are watched.
struct Place {
    host: Namespace,
    folder: Folder,
    _server: Peer,
}

impl Place {
    fn new(name: &str) -> Self {
        let host = Namespace::new("l").unwrap();
        let server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
        Self {
            host,
            folder: Folder::new(name),
            _server: server,
        }
    }

    /// An agent with these sinks, and one more, standard output, that says what was there to be told.
    fn agent(&self, sinks: &[&str]) -> Agent {
        let state = self.folder.path("state");
        let mut options = vec![
            "--port",
            "1433,1434",
            "--state",
            &state,
            "--sink",
            "kind=stdout",
        ];
        for sink in sinks {
            options.extend(["--sink", sink]);
        }
        Agent::start(&self.host, &options).unwrap()
    }

    /// A login that goes well, and one that is refused.
    fn log_in(&self) {
        let login = Login::to("127.0.0.1", 1433, Encrypt::Off);
        let fared = Driver::Tsql.run(Some(&self.host), &login).unwrap();
        assert!(fared.ok, "{}", fared.output);
        let mut refused = self.host.command(program("raw-client").unwrap());
        let (status, _) = run(refused.arg("127.0.0.1:1434"), "", LIMIT).unwrap();
        assert!(!status.success());
    }

    /// Logs in until there are so many lines of closes.
    fn log_in_until(&self, agent: &mut Agent, closes: usize) {
        while of(&agent.events().unwrap(), "close").len() < closes {
            self.log_in();
            agent.wait_for("close", 2, LIMIT).unwrap();
        }
    }

    /// Whoever takes bytes there and appends them to the file.
    fn takes(&self, from: &str, file: &str) -> Running {
        let mut socat = self.host.command("socat");
        socat.args(["-u", from, &format!("OPEN:{file},creat,append")]);
        Running::start(&mut socat).unwrap()
    }
}

/// The whole lines of a file.
fn lines(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// Each record's event with what it is about, as often as it came under a number of its own.
fn told(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut seen = BTreeSet::new();
    let mut told = BTreeMap::new();
    for line in lines {
        if seen.insert(format!("{} {}", line["run_id"], line["line"])) {
            let about = [
                &line["event"],
                &line["connection"]["id"],
                &line["attempt"]["id"],
                &line["agent"]["action"],
            ];
            let about = about.map(ToString::to_string).join(" ");
            *told.entry(about).or_default() += 1;
        }
    }
    told
}

/// The numbers of a run's lines that are there, and the last.
fn gaps(lines: &[Value]) -> Vec<u64> {
    let numbers: BTreeSet<u64> = lines
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    let last = numbers.last().copied().unwrap_or_default();
    (1..=last)
        .filter(|number| !numbers.contains(number))
        .collect()
}

fn has_event(lines: &[Value], event: &str, count: usize) -> bool {
    of(lines, event).len() >= count
}

#[test]
fn through_an_outage_each_of_several_sinks_gets_what_the_others_get() {
    root_or_skip!("through an outage each of several sinks gets what the others get");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("several");
    let file = |name: &str| place.folder.path(name);
    let unix = format!("kind=socket,name=near,address=unix:{}", file("near.sock"));
    let kept = format!("kind=file,path={},events=login", file("kept"));
    let near = format!("UNIX-LISTEN:{},fork,unlink-early", file("near.sock"));
    let _near = place.takes(&near, &file("near"));
    wait_until("a listener", || fs::exists(file("near.sock")).unwrap());
    let tcp = "TCP-LISTEN:9000,fork,reuseaddr,bind=127.0.0.1";
    // Nobody listens across the network when it starts.
    let mut agent = place.agent(&[
        &unix,
        &kept,
        "kind=socket,name=far,address=tcp://127.0.0.1:9000",
    ]);
    place.log_in_until(&mut agent, 2);
    wait_until("its word of that", || {
        let events = agent.events().unwrap();
        let mut agents = of(&events, "agent").into_iter();
        agents.any(|line| {
            line["agent"]["detail"]
                .as_str()
                .is_some_and(|why| why.starts_with("far: "))
        })
    });
    let far = place.takes(tcp, &file("far"));
    wait_until("what was kept", || {
        has_event(&lines(&file("far")), "close", 2)
    });
    // It is gone for a while.
    drop(far);
    place.log_in_until(&mut agent, 4);
    let _far = place.takes(tcp, &file("far"));
    wait_until("what was kept", || {
        let numbers: BTreeSet<_> = of(&lines(&file("far")), "close")
            .iter()
            .map(|line| line["line"].as_u64())
            .collect();
        numbers.len() >= 4
    });
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    let expected = told(&record.events);
    let stopped = |lines: &[Value]| lines.iter().any(|line| line["agent"]["action"] == "stop");
    for name in ["near", "far"] {
        wait_until("the end", || stopped(&lines(&file(name))));
        let lines = lines(&file(name));
        assert_eq!(told(&lines), expected, "{name}");
        assert_eq!(gaps(&lines), Vec::<u64>::new(), "{name}");
    }
    let kept = lines(&file("kept"));
    assert_eq!(kept.len(), of(&record.events, "login").len());
    assert!(kept.iter().all(|line| line["event"] == "login"));
}

#[test]
fn an_agent_that_is_killed_loses_nothing_of_what_it_had_written() {
    root_or_skip!("an agent that is killed loses nothing of what it had written");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("killed");
    let sink = "kind=socket,name=far,address=tcp://127.0.0.1:9000";
    let spool = place.folder.0.join("state/spool/far");
    let spooled = || {
        let mut bytes = Vec::new();
        for entry in fs::read_dir(&spool).into_iter().flatten().flatten() {
            bytes.extend(fs::read(entry.path()).unwrap_or_default());
        }
        bytes
    };
    let mut agent = place.agent(&[sink]);
    place.log_in_until(&mut agent, 2);
    let before = agent.events().unwrap();
    // Standard output may be a moment ahead of the spool.
    let last = of(&before, "close").pop().unwrap();
    let last = format!("\"line\":{},\"event\":\"close\"", last["line"]);
    wait_until("the spool", || {
        !secrets::found(&[Needle::plain(&last)], &spooled()).is_empty()
    });
    assert_eq!(
        secrets::found(&Needle::of(PASSWORD), &spooled()),
        Vec::<&str>::new()
    );
    let killed = Command::new("kill")
        .args(["-KILL", &agent.pid().to_string()])
        .status();
    assert!(killed.unwrap().success());
    drop(agent);

    let file = place.folder.path("far");
    let _far = place.takes("TCP-LISTEN:9000,fork,reuseaddr,bind=127.0.0.1", &file);
    let second = place.agent(&[sink]);
    wait_until("what was kept", || has_event(&lines(&file), "close", 2));
    let record = second.stop().unwrap();
    assert!(record.success, "{}", record.log);
    let run = before[0]["run_id"].clone();
    let (first, _): (Vec<_>, Vec<_>) = lines(&file)
        .into_iter()
        .partition(|line| line["run_id"] == run);
    assert_eq!(gaps(&first), Vec::<u64>::new());
    for (about, count) in told(&before) {
        assert_eq!(told(&first).get(&about), Some(&count), "{about}");
    }
}

#[test]
fn the_journal_gets_the_line_and_its_values_as_fields() {
    root_or_skip!("the journal gets the line and its values as fields");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("journal");
    let path = place.folder.path("journal.sock");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(LIMIT)).unwrap();
    let agent = place.agent(&[&format!("kind=journald,path={path},events=login")]);
    place.log_in();
    let mut heard = vec![0; 1 << 16];
    let mut entries = Vec::new();
    for _ in 0..2 {
        let length = journal.recv(&mut heard).unwrap();
        entries.push(String::from_utf8(heard[..length].to_vec()).unwrap());
    }
    agent.stop().unwrap();
    let has = |entry: &String, field: &str| entry.lines().any(|line| line == field);
    let success = |entry: &&String| has(entry, "TDS_LOGIN_OUTCOME=success");
    let success = entries.iter().find(success).unwrap();
    for field in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=tds-tracer",
        "TDS_EVENT=login",
        "TDS_SERVER_PORT=1433",
    ] {
        assert!(has(success, field), "{field} in {success}");
    }
    let refused = |entry: &&String| has(entry, "TDS_LOGIN_OUTCOME=refused");
    assert!(has(entries.iter().find(refused).unwrap(), "PRIORITY=3"));
    let message = success
        .lines()
        .find_map(|line| line.strip_prefix("MESSAGE="));
    let line: Value = serde_json::from_str(message.unwrap()).unwrap();
    assert_eq!(line["login"]["outcome"], "success");
}

/// What rsyslog is told: each message's text as it is, by datagrams from a socket and by TCP.
const RSYSLOG: &str = r#"
module(load="imuxsock" SysSock.Use="off")
module(load="imtcp")
input(type="imuxsock" Socket="FOLDER/log.sock" useSpecialParser="off" parseHostname="on")
input(type="imtcp" port="6514" address="127.0.0.1")
template(name="as-json" type="list") {
  constant(value="{\"app\":\"") property(name="app-name") constant(value="\",\"id\":\"") property(name="msgid")
  constant(value="\",\"severity\":\"") property(name="syslogseverity-text") constant(value="\",\"facility\":\"")
  property(name="syslogfacility-text") constant(value="\",\"line\":") property(name="msg") constant(value="}\n")
}
if $inputname == "imtcp" then { action(type="omfile" file="FOLDER/tcp" template="as-json") }
else { action(type="omfile" file="FOLDER/unix" template="as-json") }
"#;

#[test]
fn rsyslog_takes_each_record_as_a_message() {
    root_or_skip!("rsyslog takes each record as a message");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("syslog");
    let file = |name: &str| place.folder.path(name);
    fs::write(
        file("conf"),
        RSYSLOG.replace("FOLDER", &place.folder.path(".")),
    )
    .unwrap();
    let start = || {
        let mut rsyslog = place.host.command("rsyslogd");
        rsyslog.args(["-n", "-f", &file("conf"), "-i", &file("pid")]);
        let running = Running::start(&mut rsyslog).unwrap();
        wait_until("rsyslog", || fs::exists(file("log.sock")).unwrap());
        running
    };
    let rsyslog = start();
    let unix = format!(
        "kind=syslog,name=near,address=unix:{},facility=local3",
        file("log.sock")
    );
    let mut agent = place.agent(&[
        &unix,
        "kind=syslog,name=far,address=tcp://127.0.0.1:6514,events=login",
    ]);
    place.log_in_until(&mut agent, 2);
    wait_until("messages", || {
        lines(&file("tcp")).len() >= 2 && lines(&file("unix")).len() >= 5
    });
    rsyslog.stop("TERM").unwrap();
    fs::remove_file(file("log.sock")).ok();
    place.log_in_until(&mut agent, 4);
    let _rsyslog = start();
    wait_until("what was kept", || lines(&file("tcp")).len() >= 4);
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    wait_until("the end", || {
        fs::read_to_string(file("unix"))
            .unwrap()
            .contains("\"stop\"")
    });
    let near = lines(&file("unix"));
    let of_near: Vec<_> = near.iter().map(|message| message["line"].clone()).collect();
    assert_eq!(told(&of_near), told(&record.events));
    assert!(
        near.iter()
            .all(|message| message["facility"] == "local3" && message["app"] == "tds-tracer")
    );
    let far = lines(&file("tcp"));
    let of_far: Vec<_> = far.iter().map(|message| message["line"].clone()).collect();
    assert_eq!(told(&of_far), told(&of(&record.events, "login")));
    for message in &far {
        let refused = message["line"]["login"]["outcome"] == "refused";
        assert_eq!(message["severity"], if refused { "err" } else { "info" });
        assert_eq!(message["id"], "login");
    }
}

#[test]
fn a_strict_receiver_of_otlp_gets_every_record_and_its_spans_whatever_it_answers_first() {
    root_or_skip!(
        "a strict receiver of OTLP gets every record and its spans whatever it answers first"
    );
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("otlp");
    let headers = place.folder.path("headers");
    fs::write(&headers, "Authorization: Bearer of-this-test\n").unwrap();
    let sink = format!("kind=otlp,url=http://127.0.0.1:4318,headers={headers}");
    let mut receiver = place.host.command(python());
    receiver.arg(workspace().join("tests/drivers/otlp.py"));
    receiver.args(["4318", "503,garbage,close,429,partial"]);
    let mut agent = place.agent(&[&sink]);
    place.log_in_until(&mut agent, 2);
    let mut receiver = Running::start(&mut receiver).unwrap();
    let parse = |lines: &[String]| -> Vec<Value> {
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let logs =
        |lines: &[Value], name: &str| lines.iter().filter(|line| line["log"] == name).count();
    let all = |lines: &[String]| {
        let lines = parse(lines);
        let attempts = lines.iter().any(|line| {
            line["span"]
                .as_str()
                .is_some_and(|name| name.starts_with("SQL login"))
        });
        logs(&lines, "tds_tracer.close") >= 2 && logs(&lines, "tds_tracer.loss") >= 1 && attempts
    };
    let reached = receiver.wait_lines(LIMIT, all);
    let complaints = receiver.errors();
    assert!(reached, "{:?} {complaints}", receiver.lines());
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    let told = parse(receiver.lines());
    assert!(receiver.errors().is_empty(), "{}", receiver.errors());
    let answers: Vec<_> = told
        .iter()
        .filter(|line| line["request"].is_string())
        .collect();
    assert!(
        answers
            .iter()
            .all(|line| line["authorization"] == "Bearer of-this-test")
    );
    for name in ["login", "close", "attempt"] {
        let expected = of(&record.events, name).len();
        assert_eq!(
            logs(&told, &format!("tds_tracer.{name}")),
            expected,
            "{name}"
        );
    }
    // What it has refused is counted, and told as a record of its own.
    let refused = told
        .iter()
        .find(|line| line["log"] == "tds_tracer.loss")
        .unwrap();
    assert_eq!(
        refused["attributes"]["tds_tracer.loss.reason"],
        "sink_refused"
    );
    has_its_parts(&told);
    let refused = |line: &&Value| line["attributes"]["tds_tracer.login.outcome"] == "refused";
    let refused: Vec<_> = told.iter().filter(refused).collect();
    assert!(refused.iter().any(|line| line["severity"] == 17));
    assert!(refused.iter().any(|line| line["status"] == 2));
    let text = receiver.lines().join("\n");
    assert_eq!(
        secrets::found(&Needle::of(PASSWORD), text.as_bytes()),
        Vec::<&str>::new()
    );
}

/// The span of a login that succeeds is below that of its attempt, and has its phases below it.
fn has_its_parts(told: &[Value]) {
    let spans: Vec<_> = told
        .iter()
        .filter(|line| line["span"].is_string())
        .collect();
    let ids: BTreeSet<_> = spans.iter().map(|span| span["id"].to_string()).collect();
    let success = |span: &&&Value| span["attributes"]["tds_tracer.login.outcome"] == "success";
    let login = spans.iter().find(success).unwrap();
    assert!(
        login["span"]
            .as_str()
            .unwrap()
            .starts_with("SQL connection "),
        "{login}"
    );
    assert!(
        ids.contains(&login["parent"].to_string()),
        "its attempt is there: {login}"
    );
    let below: Vec<_> = spans
        .iter()
        .filter(|span| span["parent"] == login["id"])
        .collect();
    let names: BTreeSet<_> = below
        .iter()
        .map(|span| span["span"].as_str().unwrap())
        .collect();
    for name in ["socket connect", "prelogin", "login"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
}
