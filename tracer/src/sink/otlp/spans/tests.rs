use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message as _;

use super::*;
use crate::record::samples;

/// The spans of a line, and which of them is its own.
fn spans(of: &mut Spans, line: &Value) -> (Vec<Span>, Place) {
    let mut described = Described::default();
    described.set(line);
    let mut items = Items::default();
    let place = of.of(line, &described, &mut items).expect("spans");
    // A scope with nothing but these is these.
    let scope = ScopeSpans::decode(items.bytes()).expect("spans");
    (scope.spans, place)
}

#[test]
fn a_login_is_a_span_with_its_phases_below_and_they_fill_it() {
    let mut of = Spans::new(&Text::from("sql1"), true);
    let line = samples::value(&samples::login());
    let (told, place) = spans(&mut of, &line);
    let whole = &told[0];
    assert_eq!(whole.span_id, place.span);
    assert!(whole.name.starts_with("SQL connection "), "{}", whole.name);
    assert_eq!(
        whole.parent_span_id,
        trace::root(&place.trace, &Text::from("sql1"))
    );
    let names: Vec<_> = whole.attributes.iter().map(|one| &one.key).collect();
    assert!(names.contains(&&"server.address".to_owned()), "{names:?}");
    let of_parts = |name: &&&String| name.starts_with("tds_tracer.phases.");
    assert_eq!(names.iter().find(of_parts), None);
    assert!(told.len() > 2);
    let mut reached = whole.start_time_unix_nano;
    for part in &told[1..] {
        assert_eq!(part.parent_span_id, whole.span_id);
        assert_eq!(part.start_time_unix_nano, reached, "{}", part.name);
        reached = part.end_time_unix_nano;
    }
    assert_eq!(reached, whole.end_time_unix_nano);
    let (again, _) = spans(&mut of, &line);
    assert_eq!(again, told, "what comes twice is the same");
}

#[test]
fn an_attempt_is_in_the_trace_of_the_guid_and_linked_to_what_was_told_before_it_was_known() {
    let mut of = Spans::new(&Text::from("app1"), true);
    let mut attempt = samples::value(&samples::attempt());
    let id = attempt["attempt"]["id"].clone();
    let mut won = samples::value(&samples::login());
    won["attempt"]["id"] = id.clone();
    won["tds"]["connection_guid"] = "6F9619FF-8B86-D011-B42D-00C04FC964FF".into();
    won["connection"]["id"] = "00000000000000aa".into();
    let mut lost = won.clone();
    lost["connection"]["id"] = id.clone();
    lost["tds"]["connection_guid"] = Value::Null;
    for part in attempt["attempt"]["parts"].as_array_mut().expect("parts") {
        match part["kind"].as_str() {
            Some("login") => part["connection_id"] = won["connection"]["id"].clone(),
            Some("connect") => part["connection_id"] = id.clone(),
            _ => {}
        }
    }
    let (_, lost) = spans(&mut of, &lost);
    let (_, won) = spans(&mut of, &won);
    assert_eq!(won.trace[..4], [0x6f, 0x96, 0x19, 0xff]);
    let (told, root) = spans(&mut of, &attempt);
    assert_eq!(root.trace, won.trace);
    let links: Vec<_> = told[0].links.iter().map(|link| &link.trace_id).collect();
    assert_eq!(links, [&lost.trace.to_vec()]);
}

#[test]
fn an_attempt_is_the_root_of_its_logins() {
    let mut of = Spans::new(&Text::from("sql1"), true);
    let mut line = samples::value(&samples::attempt());
    let mut login = samples::value(&samples::login());
    login["attempt"]["id"] = line["attempt"]["id"].clone();
    let connection = login["connection"]["id"].clone();
    for part in line["attempt"]["parts"].as_array_mut().expect("parts") {
        if part["kind"] == "login" {
            part["connection_id"] = connection.clone();
        }
    }
    let (told, below) = spans(&mut of, &login);
    let parent = &told[0].parent_span_id;
    let (told, root) = spans(&mut of, &line);
    assert_eq!(root.trace, below.trace);
    assert_eq!(root.span[..], parent[..]);
    assert!(told[0].parent_span_id.is_empty());
    assert!(told[0].name.starts_with("SQL login "), "{}", told[0].name);
    assert!(told.iter().all(|span| span.name != "socket connect"));
}

/// An attribute's value, as text.
fn value(span: &Span, name: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    let mut attributes = span.attributes.iter();
    let attribute = attributes.find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn a_connect_has_its_peer_and_a_handshake_whose_name_and_which_version() {
    let line = samples::value(&samples::login());
    let (told, _) = spans(&mut Spans::new(&Text::from("app1"), true), &line);
    let named = |name: &str| {
        let span = told.iter().find(|span| span.name == name);
        span.unwrap_or_else(|| panic!("no {name}"))
    };
    let has = |span: &str, name: &str| value(named(span), name).unwrap_or_default();
    assert_eq!(has("socket connect", "network.peer.address"), "10.77.0.2");
    assert_eq!(has("socket connect", "network.peer.port"), "1433");
    assert_eq!(has("socket connect", "network.transport"), "tcp");
    assert_eq!(has("socket connect", "network.type"), "ipv4");
    assert_eq!(has("TLS handshake", "server.address"), "sql1.lab.test");
    assert_eq!(has("TLS handshake", "tls.protocol.name"), "tls");
    let version = line["tls"]["version"].as_str().expect("a version");
    assert_eq!(has("TLS handshake", "tls.protocol.version"), version);
    assert_eq!(value(named("login"), "network.peer.address"), None);
}

#[test]
fn what_lost_a_race_says_so_and_has_not_failed_whether_it_was_told_as_a_login_or_not() {
    let of = || Spans::new(&Text::from("app1"), true);
    let mut lost = samples::value(&samples::login());
    lost["login"]["loser"] = true.into();
    lost["login"]["outcome"] = "aborted".into();
    lost["phases"]["prelogin"]["complete"] = false.into();
    let (told, _) = spans(&mut of(), &lost);
    let (attempt, _) = spans(&mut of(), &samples::value(&samples::attempt()));
    let named = |told: &[Span], name: &str| {
        let span = told.iter().find(|span| span.name.starts_with(name));
        span.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    for span in [
        named(&told, "SQL connection"),
        named(&told, "prelogin"),
        named(&attempt, "socket connect"),
    ] {
        let why = value(&span, "error.type");
        assert_eq!(why.as_deref(), Some("parallel_loser"), "{}", span.name);
        assert_eq!(span.status, None, "{}", span.name);
    }
}
