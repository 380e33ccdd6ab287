//! rsyslog, by each way that it listens.

use std::fs;

use harness::agent::of;
use harness::drivers::Driver;
use harness::process::Running;
use harness::{driver_or_skip, root_or_skip};

use super::identities::{Identities, assert_refused};
use super::place::{Place, lines, told};
use crate::life::wait_until;

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

/// What rsyslog is told: datagrams of the network, and TLS from those that it knows.
const REMOTE: &str = r#"
global(DefaultNetstreamDriverCAFile="FOLDER/clients" DefaultNetstreamDriverCertFile="FOLDER/server"
  DefaultNetstreamDriverKeyFile="FOLDER/server.key")
module(load="imudp")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imudp" port="5514" address="127.0.0.1")
input(type="imtcp" port="6514" address="127.0.0.1")
template(name="line" type="string" string="%msg%\n")
if $inputname == "imtcp" then { action(type="omfile" file="FOLDER/tls" template="line") }
else { action(type="omfile" file="FOLDER/udp" template="line") }
"#;

#[test]
fn rsyslog_takes_datagrams_and_by_tls_what_those_send_that_it_knows() {
    root_or_skip!("rsyslog takes datagrams and by TLS what those send that it knows");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("remote");
    let known = Identities::new(&place.folder);
    let file = |name: &str| place.folder.path(name);
    let conf = REMOTE.replace("FOLDER", &place.folder.path("."));
    fs::write(file("conf"), conf).unwrap();
    let mut rsyslog = place.host.command("rsyslogd");
    rsyslog.args(["-n", "-f", &file("conf"), "-i", &file("pid")]);
    let _rsyslog = Running::start(&mut rsyslog).unwrap();
    wait_until("rsyslog", || {
        let mut sockets = place.host.command("ss");
        let listening = sockets.args(["-Hlun", "sport", "=", ":5514"]).output();
        !listening.unwrap().stdout.is_empty()
    });
    let mut sinks = known.sinks("kind=syslog,address=tls://127.0.0.1:6514,events=login");
    sinks.push("kind=syslog,name=thrown,address=udp://127.0.0.1:5514,events=login".to_owned());
    let sinks: Vec<_> = sinks.iter().map(String::as_str).collect();
    let mut agent = place.agent(&sinks);
    place.log_in_until(&mut agent, 2);
    for name in ["udp", "tls"] {
        wait_until("messages", || lines(&file(name)).len() >= 2);
    }
    assert_refused(&mut agent);
    let record = agent.stop().unwrap();
    let logins = of(&record.events, "login");
    for name in ["udp", "tls"] {
        assert_eq!(told(&lines(&file(name))), told(&logins), "{name}");
    }
}
