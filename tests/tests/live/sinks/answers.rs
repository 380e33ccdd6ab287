//! What a receiver of OTLP by gRPC answers, and a proxy on the way to one.

use std::collections::BTreeSet;
use std::fs;

use harness::agent::of;
use harness::drivers::Driver;
use harness::process::Running;
use harness::root::skip;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::otlp::{parse, receiver, receiver_at};
use super::place::Place;
use crate::life::{LIMIT, wait_until};

/// The numbers of the log records that arrived, each once.
fn numbers(told: &[Value]) -> BTreeSet<u64> {
    let numbers = told
        .iter()
        .filter_map(|line| line["attributes"]["tds_tracer.line"].as_u64());
    numbers.collect()
}

/// Records that `loss` lines say were refused.
fn refused(told: &[Value]) -> u64 {
    let losses = told
        .iter()
        .filter(|line| line["attributes"]["tds_tracer.loss.reason"] == "sink_refused");
    let counts = losses.filter_map(|line| line["attributes"]["tds_tracer.loss.count"].as_u64());
    counts.sum()
}

#[test]
fn what_a_receiver_by_grpc_puts_off_comes_again_and_what_it_refuses_is_counted() {
    root_or_skip!("what a receiver by gRPC puts off comes again and what it refuses is counted");
    driver_or_skip!(Driver::Tsql);
    // With what is lost by that answer: all of a message, one record, or nothing.
    for (answers, loses) in [
        (
            "UNAVAILABLE,RESOURCE_EXHAUSTED+retry,DEADLINE_EXCEEDED",
            false,
        ),
        // The second one until the agent waits no longer.
        ("garbage,silence", false),
        ("partial", true),
        ("INVALID_ARGUMENT", true),
        ("RESOURCE_EXHAUSTED", true),
        ("UNIMPLEMENTED", true),
    ] {
        let place = Place::new("answers");
        let sink = "kind=otlp,protocol=grpc,url=http://127.0.0.1:4318,signals=logs";
        let mut agent = place.agent(&[sink]);
        place.log_in_until(&mut agent, 2);
        let mut receiver = receiver_at(&place, "grpc:4318", &[answers]);
        let heard = receiver.wait_lines(LIMIT, |lines| {
            let asked = parse(lines);
            let asked = asked.iter().filter(|line| line["request"].is_string());
            asked.count() >= answers.split(',').count()
        });
        assert!(heard, "{answers}: {}", receiver.errors());
        place.log_in_until(&mut agent, 4);
        let record = agent.stop().unwrap();
        assert!(record.success, "{}", record.log);
        let told = parse(receiver.lines());
        assert_eq!(receiver.errors(), "", "{answers}");
        let arrived = numbers(&told);
        let newest = arrived.last().copied().unwrap_or_default();
        let counted = refused(&told);
        assert_eq!(counted > 0, loses, "{answers}");
        if answers == "partial" {
            // It says how many it refuses, and not which.
            assert_eq!((arrived.len() as u64, counted), (newest, 1));
        } else {
            let all = arrived.len() as u64 + counted;
            assert_eq!(all, newest, "{answers}: {told:?}");
        }
    }
}

#[test]
fn who_speaks_no_grpc_or_hangs_up_has_taken_nothing_and_is_told() {
    root_or_skip!("who speaks no gRPC or hangs up has taken nothing and is told");
    driver_or_skip!(Driver::Tsql);
    for does in ["SYSTEM:echo who are you?", "EXEC:true"] {
        let place = Place::new("strangers");
        let listen = "TCP-LISTEN:4318,fork,reuseaddr,bind=127.0.0.1";
        let mut socat = place.host.command("socat");
        let stranger = Running::start(socat.args([listen, does])).unwrap();
        let sink = "kind=otlp,name=far,protocol=grpc,url=http://127.0.0.1:4318,signals=logs";
        let mut agent = place.agent(&[sink]);
        place.log_in_until(&mut agent, 2);
        wait_until("its word of that", || {
            let events = agent.events().unwrap();
            let mut agents = of(&events, "agent").into_iter();
            agents.any(|line| {
                let detail = line["agent"]["detail"].as_str().unwrap_or_default();
                // It listened already, or was not there yet.
                detail.starts_with("far: ") && !detail.contains("refused")
            })
        });
        drop(stranger);
        let mut receiver = receiver_at(&place, "grpc:4318", &[""]);
        let all = receiver.wait_lines(LIMIT, |lines| {
            let closes = parse(lines);
            let closes = closes
                .iter()
                .filter(|line| line["log"] == "tds_tracer.close");
            closes.count() >= 2
        });
        assert!(all, "{does}: {}", receiver.errors());
        let record = agent.stop().unwrap();
        assert!(record.success, "{}", record.log);
        let told = parse(receiver.lines());
        let arrived = numbers(&told);
        let newest = arrived.last().copied().unwrap_or_default();
        assert_eq!((arrived.len() as u64, refused(&told)), (newest, 0));
    }
}

/// A proxy that connects to the receivers' ports and no other.
fn proxy(place: &Place) -> Running {
    let conf = place.folder.path("proxy.conf");
    let settings = "Port 8888\nListen 127.0.0.1\nTimeout 60\nConnectPort 4317\nConnectPort 4318\n";
    fs::write(&conf, settings).unwrap();
    let mut proxy = place.host.command("tinyproxy");
    Running::start(proxy.args(["-d", "-c", &conf])).unwrap()
}

#[test]
fn otlp_goes_through_a_proxy_by_http_and_grpc_and_waits_while_it_is_away() {
    const PROMISE: &str = "OTLP goes through a proxy by HTTP and gRPC and waits while it is away";
    root_or_skip!(PROMISE);
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("proxy");
    if place.host.command("tinyproxy").arg("-v").output().is_err() {
        skip("tinyproxy", PROMISE);
        return;
    }
    let mut receivers = [
        receiver_at(&place, "grpc:4317", &[""]),
        receiver(&place, &[""]),
    ];
    let through = "proxy=127.0.0.1:8888,signals=logs";
    let mut agent = place.agent(&[
        &format!("kind=otlp,name=grpc,protocol=grpc,url=http://127.0.0.1:4317,{through}"),
        &format!("kind=otlp,name=http,url=http://127.0.0.1:4318,{through}"),
        // It does not connect there.
        &format!("kind=otlp,name=elsewhere,url=http://127.0.0.1:4319,{through}"),
    ]);
    place.log_in_until(&mut agent, 2);
    let mut expected = 2;
    for _ in 0..2 {
        let proxy = proxy(&place);
        for receiver in &mut receivers {
            let reached = receiver.wait_lines(LIMIT, |lines| {
                let lines = parse(lines);
                let closes = lines
                    .iter()
                    .filter(|line| line["log"] == "tds_tracer.close");
                closes.count() >= expected
            });
            let complaints = receiver.errors();
            assert!(reached, "{:?} {complaints}", receiver.lines());
        }
        wait_until("its word of the place that is refused", || {
            let events = agent.events().unwrap();
            let mut agents = of(&events, "agent").into_iter();
            agents.any(|line| {
                let detail = line["agent"]["detail"].as_str().unwrap_or_default();
                detail.starts_with("elsewhere: ") && detail.contains("403")
            })
        });
        drop(proxy);
        expected += 2;
        place.log_in_until(&mut agent, expected);
    }
    let _proxy = proxy(&place);
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    for receiver in &mut receivers {
        let all = receiver.wait_lines(LIMIT, |lines| {
            let arrived = numbers(&parse(lines));
            arrived.len() as u64 == arrived.last().copied().unwrap_or_default()
        });
        assert!(all, "none is missing: {:?}", receiver.lines());
    }
}
