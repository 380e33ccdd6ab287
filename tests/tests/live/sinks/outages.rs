//! Receivers that are away, and an agent that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use harness::agent::of;
use harness::drivers::{Driver, PASSWORD};
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::place::{Place, gaps, has_event, lines, told};
use crate::life::wait_until;

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
