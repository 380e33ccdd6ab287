//! What a server's reply to a login tells, and what its lack leaves.

use harness::replay::{Frame, frames, said};
use serde_json::json;

use crate::told::{lines, login, path, says};

#[test]
fn a_reply_names_the_partner_of_a_mirrored_database() {
    let login = login("rows/odbc18-clear-partner");
    assert_eq!(login["tds"]["mirror_partner"], "SQL2.lab.test");
    let said = &login["login"];
    let environment = json!([
        said["database"],
        said["language"],
        login["tds"]["packet_size"]
    ]);
    assert_eq!(environment, json!(["master", "us_english", 4096]));
    let collation = json!({ "lcid": 0x0409, "sort_id": 52 });
    assert_eq!(login["tds"]["collation"], collation);
}

#[test]
fn of_several_errors_the_first_is_the_reason_and_the_others_follow() {
    let login = login("rows/odbc18-clear-two-errors");
    let said = &login["login"];
    assert_eq!(said["outcome"], "failed");
    assert_eq!(
        said["error"],
        json!({ "number": 4060, "state": 1, "class": 11 })
    );
    let further = json!([{ "number": 18456, "state": 1, "class": 14 }]);
    assert_eq!(said["further_errors"], further);
    assert_eq!(said.get("database"), None, "it was not opened");
}

#[test]
fn enhanced_routing_names_a_database_too() {
    let login = login("rows/mssqltds-clear-routed-database");
    assert_eq!(login["login"]["outcome"], "redirected");
    let to = json!({ "address": "sql2.lab.test", "port": 1433, "database": "elsewhere" });
    assert_eq!(login["login"]["redirect"], to);
    let acknowledged = json!(["enhanced_routing_support"]);
    assert_eq!(login["tds"]["features_acknowledged"], acknowledged);
}

#[test]
fn a_new_password_is_a_fact_and_not_a_value() {
    let login = login("rows/odbc18-clear-new-password");
    assert_eq!(login["login"]["password_change"], true);
    assert_eq!(login["login"]["user"], "sa");
    let text = login.to_string();
    assert!(!text.contains("S3cret"), "{text}");
}

#[test]
fn the_language_is_the_one_the_server_chose() {
    let all = frames(&path("captures/odbc18-lab-clear")).unwrap();
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"login.language": "us_english"}));
}

/// ODBC's login in clear without what follows it.
#[test]
fn a_login_that_nobody_answers_has_the_version_it_asked_for() {
    let mut all = frames(&path("captures/odbc18-lab-clear")).unwrap();
    let is_login = |frame: &Frame| frame.payload.starts_with(&[0x10, 1]);
    let login = all.iter().position(is_login).unwrap();
    all.truncate(login + 1);
    let logins = said(&all, "login").unwrap();
    says(
        &logins[0],
        &json!({"tds.version": "7.4", "auth.kind": "sql"}),
    );
}

#[test]
fn a_refusal_at_length_is_known_by_the_server_that_closes() {
    let [logins, closes] = lines("drivers/mssqltds-strict13-refused-at-length");
    says(
        &logins[0],
        &json!({"login.outcome": "failed", "login.confidence": 0.7}),
    );
    says(
        &closes[0],
        &json!({"close.by": "server", "close.class": "normal"}),
    );
}
