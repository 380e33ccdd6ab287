use super::*;
use crate::{record::RunId, sink::Overflow};

fn usual() -> Settings {
    Settings {
        name: OUTPUT.to_owned(),
        destination: Destination::Stdout,
        format: Format::Json(Naming::Otel),
        run: RunId(7),
        filter: Filter {
            slow: Some(Nanos(7)),
            ..Filter::default()
        },
        overflow: Overflow::Drop,
    }
}

fn outputs_of(sinks: &[&str]) -> anyhow::Result<Vec<Settings>> {
    let sinks: Result<Vec<SinkArg>, _> = sinks.iter().map(|sink| sink.parse()).collect();
    let sinks = sinks.map_err(anyhow::Error::msg)?;
    let place = Place {
        state: Some(Path::new("/state")),
        node: None,
    };
    outputs(&sinks, usual(), false, place)
}

#[test]
fn what_a_sink_does_not_say_is_as_the_options_for_the_output_have_it() {
    let sinks = [
        "kind=file,path=/a",
        "kind=stdout,events=login,slow=2s,schema=native",
    ];
    let outputs = outputs_of(&sinks).expect("sinks");
    assert_eq!(
        outputs.len(),
        2,
        "standard output is written as a sink only"
    );
    assert_eq!(outputs[0].filter, usual().filter);
    assert_eq!(outputs[0].format, Format::Json(Naming::Otel));
    assert_eq!(outputs[1].filter.slow, Some(Nanos(2_000_000_000)));
    assert_eq!(outputs[1].filter.events, "login".parse().expect("a set"));
    assert_eq!(outputs[1].format, Format::Json(Naming::Native));
}

#[test]
fn what_crosses_the_network_waits_in_the_state_directory() {
    let sinks = [
        "kind=socket,address=tcp://logs:9000,name=logs",
        "kind=syslog",
    ];
    let outputs = outputs_of(&sinks).expect("sinks");
    let spool = |output: &Settings| match &output.destination {
        Destination::Receiver(_, spool) => spool.clone(),
        _ => None,
    };
    let expected = SpoolSettings {
        directory: "/state/spool/logs".into(),
        most: SPOOL,
    };
    assert_eq!(spool(&outputs[0]), Some(expected));
    assert_eq!(spool(&outputs[1]), None);
}

#[test]
fn what_is_wrong_with_a_sink_is_said_with_the_mend() {
    for (sink, complaint) in [
        ("path=/x", "it has no `kind`"),
        ("kind=kafka", "use one of file, stdout"),
        ("kind=file", "a file has a `path`"),
        ("kind=file,path=/x,pth=/y", "has no `pth`"),
        ("kind=file,path=/x,spool=/y", "crosses the network"),
        ("kind=socket,address=logs:1", "use unix:/PATH"),
        ("kind=socket,address=udp://logs:1", "not sent by datagrams"),
        ("kind=syslog,facility=x", "daemon or local0"),
        ("kind=otlp", "OTLP has a `url`"),
        ("kind=otlp,url=logs:4318", "use http://HOST"),
        (
            "kind=otlp,url=http://logs,signals=logs,profiles",
            "some of logs, traces, metrics",
        ),
        ("kind=otlp,url=http://logs,schema=ecs", "leave out `schema`"),
        ("kind=journald,schema=ecs", "leave out `schema`"),
        ("kind=stdout,events=logn", "no event is named"),
        ("kind=stdout,name=a/b", "letters, digits"),
        ("kind=stdout,name=output", "two sinks are named"),
    ] {
        let error = outputs_of(&[sink]).expect_err(sink).to_string();
        assert!(error.contains(complaint), "{sink}: {error}");
    }
}
