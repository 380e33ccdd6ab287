//! Federated authentication: where the token is to be had, and how long the client took to fetch it.

use serde_json::json;

use crate::login;

#[test]
fn the_fetch_of_a_token_is_a_wait_for_the_client() {
    let login = login("rows/mssqltds-clear-token-on-demand");
    assert_eq!(login["tds"]["fedauth_required"], true, "{login:#}");
    let expected = json!({
        "kind": "entra",
        "rounds": 1,
        "entra": {
            "token_fetch_ns": 120_351,
            "sts_host": "login.example",
            "spn": "https://database.example/",
        },
    });
    assert_eq!(login["auth"], expected);
    let auth = &login["phases"]["auth"];
    let [client, server] = [&auth["client_ns"], &auth["server_ns"]];
    assert_eq!(
        json!([client, server]),
        json!([120_351, 35_770]),
        "{auth:#}"
    );
    assert_eq!(login["tds"]["features_acknowledged"], json!(["fedauth"]));
}
