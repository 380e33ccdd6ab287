//! Encryption: what was agreed, with which certificates, and how it fails.

use serde_json::{Value, json};

use crate::told::{login, logins, only, told};

const CIPHER: &str = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";

#[test]
fn encryption_that_one_side_wants_and_the_other_lacks_is_refused() {
    let events = told("rows/odbc18-refused-encryption");
    let tds = &only(&events, "login")["tds"];
    let [agreed, asked, answered] =
        ["encryption", "encryption_asked", "encryption_answered"].map(|name| &tds[name]);
    assert_eq!(
        json!([agreed, asked, answered]),
        json!(["refused", "on", "not_sup"])
    );
    let close = only(&events, "close");
    assert_eq!(close["close"]["by"], "client", "{close:#}");
}

#[test]
fn tls_that_is_out_of_use_is_named() {
    for (capture, version) in [("rows/tsql-full10", "1.0"), ("rows/tsql-full11", "1.1")] {
        let login = login(capture);
        let mut tls = login["tls"].clone();
        let offered = tls.as_object_mut().unwrap();
        offered.remove("certificate");
        let hello = offered.remove("hello").unwrap();
        assert_eq!(hello["ja4"], "t13i291100_723694b0fccc_5671b5df5029");
        let cipher = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA";
        let expected = json!({ "version": version, "cipher": cipher, "resumed": false });
        assert_eq!(tls, expected);
        assert_eq!(login["login"]["outcome"], "success", "{login:#}");
        // The server insists on what the client would rather do without.
        let tds = &login["tds"];
        let agreed = json!([
            tds["encryption"],
            tds["encryption_asked"],
            tds["encryption_answered"]
        ]);
        assert_eq!(agreed, json!(["full", "off", "req"]));
    }
}

#[test]
fn a_certificate_tells_who_issued_it_and_where_its_revocation_is_asked_for() {
    let certificate = &login("rows/tsql-loginonly12-issued")["tls"]["certificate"];
    let expected = json!({
        "subject": "CN=sql1.lab.test, O=Lab",
        "issuer": "CN=Lab CA",
        "not_before": "2026-11-25T09:02:09.000000000Z",
        "not_after": "2035-02-11T09:02:09.000000000Z",
        "subject_alt_names": ["sql1.lab.test"],
        "serial_negative": false,
        "chain_length": 1,
        "signature_algorithm": "ecdsa-with-SHA256",
        "key_bits": 2048,
        "self_signed": false,
        "crl_hosts": ["crl.lab.test", "ocsp.lab.test"],
    });
    assert_eq!(*certificate, expected);
}

/// Two logins, the second of which takes up the TLS session of the first.
#[test]
fn a_session_taken_up_again_shows_no_certificate() {
    let logins = logins("rows/pytds-loginonly12-resumed");
    let said = logins.iter().map(|login| {
        let tls = &login["tls"];
        let certificate = tls.get("certificate").is_some();
        let duration = &login["phases"]["tls"]["duration_ns"];
        assert_eq!(login["login"]["outcome"], "success", "{login:#}");
        json!([tls["resumed"], certificate, duration])
    });
    let expected = json!([[false, true, 2_471_508], [true, false, 567_852]]);
    assert_eq!(Value::Array(said.collect()), expected);
}

#[test]
fn a_client_that_shows_a_certificate_says_so_before_and_does_so_then() {
    let mut login = login("rows/odbc18-full12-client-certificate");
    let hello = login["tls"].as_object_mut().unwrap().remove("hello");
    let bytes = hello.map(|hello| hello["bytes"].clone());
    assert_eq!(bytes, Some(json!(329)));
    let tds = &login["tds"];
    let agreed = json!([
        tds["encryption"],
        tds["encryption_asked"],
        tds["encryption_answered"]
    ]);
    assert_eq!(agreed, json!(["full", "client_cert_on", "on"]));
    let expected = json!({
        "version": "1.2", "cipher": CIPHER, "sni": "10.77.0.2", "resumed": false,
        "client_certificate": true,
        "certificate": {
            "subject": "CN=localhost", "issuer": "CN=localhost",
            "not_before": "2026-11-25T09:04:43.000000000Z",
            "not_after": "2026-12-25T09:04:43.000000000Z",
            "subject_alt_names": ["localhost", "127.0.0.1", "::1"],
            "serial_negative": false, "chain_length": 1,
            "signature_algorithm": "sha256WithRSAEncryption", "key_bits": 2048,
            "self_signed": true,
        },
    });
    assert_eq!(login["tls"], expected);
}

/// Microsoft's own mock server is one that does so.
#[test]
fn a_handshake_that_the_server_wraps_in_replies_is_one() {
    let login = login("rows/mssqltds-full12-type4");
    let duration = |phase: &str| &login["phases"][phase]["duration_ns"];
    let durations = ["handshake", "prelogin", "tls", "login"].map(duration);
    let expected = json!([45_767, 284_283, 41_953_913, 317_575]);
    assert_eq!(json!(durations), expected, "{login:#}");
    let said = json!([login["tds"]["encryption"], login["tls"]["version"]]);
    assert_eq!(said, json!(["full", "1.2"]));
}

#[test]
fn tds_8_needs_no_protocol_to_be_agreed_on() {
    let login = login("rows/tiberius-strict12-no-alpn");
    let tls = &login["tls"];
    let said = json!([login["tds"]["encryption"], tls["version"], tls["alpn"]]);
    assert_eq!(said, json!(["strict", "1.2", null]));
    assert_eq!(login["login"]["outcome"], "success");
}

/// The server speaks no version that the client does; the client does not know the server's issuer.
#[test]
fn an_alert_tells_who_sent_it_and_why() {
    for (capture, alert) in [
        (
            "captures/odbc18-lab-tlsversion",
            json!({ "from": "server", "level": "fatal", "description": "protocol_version" }),
        ),
        (
            "rows/openssl-strict12-untrusted",
            json!({ "from": "client", "level": "fatal", "description": "unknown_ca" }),
        ),
    ] {
        let events = told(capture);
        let login = only(&events, "login");
        assert_eq!(login["tls"]["alert"], alert, "{capture}");
        assert_eq!(login["login"]["outcome"], "tls_failed", "{capture}");
        assert_eq!(login["phases"]["tls"]["complete"], false, "{capture}");
        assert_eq!(only(&events, "close")["close"]["phase"], "tls", "{capture}");
    }
}
