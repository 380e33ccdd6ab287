use super::*;
use crate::record::samples;

#[test]
fn a_login_is_a_span_with_its_phases_below_and_they_fill_it() {
    let mut spans = Vec::new();
    let mut of = Spans::new(&Text::from("sql1"), true);
    let line = samples::value(&samples::login());
    let place = of.of(&line, &mut spans).expect("spans");
    let whole = &spans[0];
    assert_eq!(whole.span_id, place.span);
    assert!(whole.name.starts_with("SQL connection "), "{}", whole.name);
    assert_eq!(
        whole.parent_span_id,
        trace::root(&place.trace, &Text::from("sql1"))
    );
    assert!(spans.len() > 2);
    let mut reached = whole.start_time_unix_nano;
    for part in &spans[1..] {
        assert_eq!(part.parent_span_id, whole.span_id);
        assert_eq!(part.start_time_unix_nano, reached, "{}", part.name);
        reached = part.end_time_unix_nano;
    }
    assert_eq!(reached, whole.end_time_unix_nano);
    let mut again = Vec::new();
    of.of(&line, &mut again);
    assert_eq!(again, spans, "what comes twice is the same");
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
    let mut spans = Vec::new();
    let below = of.of(&login, &mut spans).expect("a login");
    let parent = spans[0].parent_span_id.clone();
    spans.clear();
    let root = of.of(&line, &mut spans).expect("an attempt");
    assert_eq!(root.trace, below.trace);
    assert_eq!(root.span[..], parent[..]);
    assert!(spans[0].parent_span_id.is_empty());
    assert!(spans[0].name.starts_with("SQL login "), "{}", spans[0].name);
    assert!(spans.iter().all(|span| span.name != "socket connect"));
}
