use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{Bundle, Recorder};
use crate::{
    capture::{
        interfaces::Interfaces,
        link,
        merge::Merge,
        tracker::{Sighted, Tracker},
    },
    ports::Ports,
    record::{Body, Container, Kubernetes, Nanos, Process, Record, RunId},
    session::{Config, Decided, Engine, Listener},
};

/// Everything that is kept has room.
const ROOM: usize = 256 << 20;

#[derive(Default)]
struct Heard {
    records: Vec<Record>,
    decided: Vec<Decided>,
    announced: Vec<(IpAddr, u16)>,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn decided(&mut self, decided: Decided) {
        self.decided.push(decided);
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.announced.push(server);
    }
}

/// What is said of a capture; a recorder hears it as it would live.
fn hear(capture: &Path, mut recorder: Option<&mut Recorder>) -> Vec<Record> {
    let mut files = Merge::open([capture]);
    let mut engine = Engine::new(Config::default());
    let mut tracker = Tracker::new(Ports::all(Vec::new()), false).showing();
    let mut interfaces = Interfaces::default();
    let mut heard = Heard::default();
    let (mut told, mut last_ns) = (0, 0);
    while let Some((file, packet)) = files.next() {
        last_ns = packet.time_ns.max(last_ns);
        engine.pass_time(packet.time_ns, &mut heard);
        let Ok(layer) = link::network_layer(packet.link, packet.data) else {
            continue;
        };
        let (point, name) = interfaces.point(file, &packet, &layer);
        if let Some(name) = name {
            engine.name_interface(point.ifindex(), name.to_owned());
        }
        let sighted = Sighted {
            network: (layer.ethertype, &packet.data[layer.offset..]),
            wire_len: packet.orig_len.saturating_sub(layer.offset as u32),
            time_ns: packet.time_ns,
            untimed: packet.untimed,
            point,
        };
        tracker.packet(&sighted, &mut engine, &mut heard);
        if let Some((recorder, shown)) = recorder.as_deref_mut().zip(tracker.shown()) {
            for (event, run) in &shown.events {
                recorder.note(event, run);
            }
        }
        for decided in heard.decided.drain(..) {
            tracker.decided(decided);
        }
        for server in heard.announced.drain(..) {
            tracker.announced(server);
        }
        if let Some(recorder) = recorder.as_deref_mut() {
            heard.records[told..]
                .iter()
                .for_each(|record| recorder.said(record));
            told = heard.records.len();
        }
    }
    tracker.finish(&mut engine, &mut heard);
    engine.finish(last_ns, &mut heard);
    if let Some(recorder) = recorder {
        heard.records[told..]
            .iter()
            .for_each(|record| recorder.said(record));
    }
    heard.records
}

/// Each login as far as a recorder has what it is known by: not how much TCP carried, nor what else was asked.
fn logins(records: &[Record], which: impl Fn(&Value) -> bool) -> Vec<Value> {
    let logins = records.iter().filter_map(|record| match &record.body {
        Body::Login(login) if !login.facts.connection.partial => {
            let mut login = serde_json::to_value(login).unwrap();
            let fields = login.as_object_mut().unwrap();
            for name in ["tcp", "attempt", "diagnosis"] {
                fields.remove(name);
            }
            fields["server"].as_object_mut().unwrap().remove("instance");
            let connection = fields["connection"].as_object_mut().unwrap();
            connection.remove("interface");
            connection.remove("vantage");
            Some(login)
        }
        _ => None,
    });
    logins.filter(which).collect()
}

fn file<'a>(bundle: &'a Bundle, name: &str) -> &'a [u8] {
    let found = bundle.files.iter().find(|(other, _)| *other == name);
    &found.unwrap().1
}

/// What is said of a bundle's packets.
fn hear_bundle(bundle: &Bundle, name: &str) -> Vec<Record> {
    let id = std::process::id();
    let path = std::env::temp_dir().join(format!("tds-tracer-recorder-{id}-{name}.pcapng"));
    fs::write(&path, file(bundle, "packets.pcapng")).unwrap();
    let heard = hear(&path, None);
    fs::remove_file(&path).unwrap();
    heard
}

fn captures() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let folders = ["captures", "cases", "sequences"].map(|name| fixtures.join(name));
    let entries = folders
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "pcap"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_bundle_says_of_every_login_what_was_said_of_it_when_it_happened() {
    let mut compared = 0;
    for capture in captures() {
        let mut recorder = Recorder::new(ROOM, None, "host", RunId(1));
        let heard = hear(&capture, Some(&mut recorder));
        recorder.freeze();
        let Some(bundle) = recorder.due(&[].into(), false) else {
            panic!("nothing was handed over");
        };
        let again = hear_bundle(&bundle, "all");
        let (before, after) = (logins(&heard, |_| true), logins(&again, |_| true));
        assert_eq!(before, after, "{}", capture.display());
        compared += before.len();
    }
    assert!(compared > 40, "{compared} logins");
}

#[test]
fn of_logins_that_went_wrong_the_packets_are_handed_over_and_of_no_other() {
    let went_wrong = |login: &Value| {
        let outcome = login["login"]["outcome"].as_str();
        let loser = login["login"]["loser"] == true;
        let took = login["login"]["duration_ns"].as_u64().unwrap_or_default();
        let failed = !matches!(outcome, Some("success" | "redirected" | "unknown")) && !loser;
        failed && login["login"].get("stranger").is_none() || took > 1_000_000_000
    };
    let mut handed_over = 0;
    for capture in captures() {
        let mut recorder = Recorder::new(ROOM, None, "host", RunId(1));
        let heard = hear(&capture, Some(&mut recorder));
        let wrong = logins(&heard, went_wrong);
        let Some(bundle) = recorder.due(&[].into(), true) else {
            assert_eq!(wrong, [] as [Value; 0], "{}", capture.display());
            continue;
        };
        let again = logins(&hear_bundle(&bundle, "wrong"), |_| true);
        assert!(again.len() <= heard.len());
        for login in &again {
            assert!(went_wrong(login), "{}: {login}", capture.display());
        }
        for login in &wrong {
            assert!(again.contains(login), "{}: {login}", capture.display());
        }
        handed_over += wrong.len();
    }
    assert!(handed_over > 5, "{handed_over} logins");
}

#[test]
fn memory_is_bounded_and_a_connection_that_is_not_whole_says_so() {
    let capture = captures()
        .into_iter()
        .find(|path| path.ends_with("odbc18-lab-loginfailed.pcap"))
        .unwrap();
    let mut recorder = Recorder::new(3_000, Some(Nanos(1)), "host", RunId(1));
    hear(&capture, Some(&mut recorder));
    let bundle = recorder.due(&[].into(), true).unwrap();
    assert!(bundle.name.contains("failed"), "{}", bundle.name);
    let counters: Value = serde_json::from_slice(file(&bundle, "counters.json")).unwrap();
    assert!(
        counters["kept_bytes"].as_u64().unwrap() <= 3_000,
        "{counters}"
    );
    assert_eq!(counters["connections_cut"], 1, "{counters}");
    let packets = String::from_utf8_lossy(file(&bundle, "packets.pcapng")).into_owned();
    assert!(packets.contains("not kept any more"));
    assert!(packets.contains("connection ") && packets.contains(", failed after"));
    let lines = String::from_utf8(file(&bundle, "events.jsonl").to_vec()).unwrap();
    assert!(
        lines
            .lines()
            .any(|line| line.contains("\"event\":\"login\"")),
        "{lines}"
    );
    assert!(recorder.due(&[].into(), true).is_none(), "once is enough");
}

#[test]
fn packets_say_in_which_pod_their_process_runs() {
    let capture = captures()
        .into_iter()
        .find(|path| path.ends_with("odbc18-lab-loginfailed.pcap"))
        .unwrap();
    let comment = |k8s: Option<Kubernetes>, name: Option<&str>| {
        let mut heard = hear(&capture, None);
        let login = heard.iter_mut().find_map(|record| match &mut record.body {
            Body::Login(login) => Some(login),
            _ => None,
        });
        let facts = &mut login.unwrap().facts;
        facts.process = Some(Process {
            pid: 7,
            container_id: Some("4f797c539e6c".into()),
            container: name.map(|name| {
                Arc::new(Container {
                    name: Some(name.into()),
                    ..Container::default()
                })
            }),
            k8s: k8s.map(Arc::new),
            ..Process::default()
        });
        super::comment(facts)
    };
    let pod = Kubernetes {
        namespace: Some("web".into()),
        pod: Some("shop-0".into()),
        pod_uid: "ccf19bc6".into(),
        container: Some("app".into()),
        ..Kubernetes::default()
    };
    let nameless = Kubernetes {
        pod_uid: "ccf19bc6".into(),
        ..Kubernetes::default()
    };
    let said = comment(Some(pod), Some("k8s_app_shop-0"));
    assert!(
        said.contains(", process 7, pod web/shop-0, container app 4f797c539e6c, failed after"),
        "{said}"
    );
    let said = comment(Some(nameless), None);
    assert!(
        said.contains(", pod ccf19bc6, container 4f797c539e6c,"),
        "{said}"
    );
    let said = comment(None, Some("sql1"));
    assert!(
        said.contains(", process 7, container sql1 4f797c539e6c,"),
        "{said}"
    );
}

#[test]
fn a_wall_clock_that_is_set_meanwhile_moves_no_packet() {
    let capture = captures()
        .into_iter()
        .find(|path| path.ends_with("odbc18-lab-loginfailed.pcap"))
        .unwrap();
    let mut recorder = Recorder::new(ROOM, None, "host", RunId(1));
    let heard = hear(&capture, Some(&mut recorder));
    recorder.set_wall_offset(-3_600_000_000_000);
    let bundle = recorder.due(&[].into(), true).unwrap();
    let again = hear_bundle(&bundle, "set");
    let all = |_: &Value| true;
    assert_eq!(logins(&heard, all), logins(&again, all));
}
