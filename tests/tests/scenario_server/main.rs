//! Real drivers say whether the scenario server is right: each of its modes
//! is taken by two of them, where two speak it.

mod faults;
mod routes;

use harness::drivers::{Driver, Encrypt, Errand, Fared, Login};
use harness::kdc::{self, Kdc, Key};
use harness::peer::Peer;
use harness::{driver_or_skip, kdc_or_skip};

use Driver::{Freebcp, FreetdsOdbc, MssqlTds, Odbc, Pymssql, PythonTds, Tedious, Tiberius, Tsql};

/// Starts the server on loopback.
fn server(arguments: &[&str]) -> Peer {
    Peer::scenario(None, arguments).unwrap()
}

/// The drivers of a list that are installed or built; the others are skipped
/// by name.
fn available(drivers: &[Driver]) -> Vec<Driver> {
    drivers
        .iter()
        .copied()
        .filter(|driver| !driver.missing())
        .collect()
}

fn login(server: &Peer, encrypt: Encrypt) -> Login {
    Login::to(
        server.address().ip().to_string(),
        server.address().port(),
        encrypt,
    )
}

/// Every driver logs in and has its answer, and the server saw each of
/// `facts` in the course of it.
fn accepts(arguments: &[&str], drivers: &[Driver], facts: &[&str], prepare: impl Fn(&mut Login)) {
    for driver in available(drivers) {
        let mut server = server(arguments);
        let mut login = login(&server, Encrypt::Off);
        prepare(&mut login);
        let fared = driver.run(None, &login).unwrap();
        assert!(
            fared.ok,
            "{driver:?} on {arguments:?}: {}\nserver: {:#?}",
            fared.output,
            server.lines()
        );
        for fact in facts {
            server
                .wait_line(fact)
                .unwrap_or_else(|error| panic!("{driver:?} on {arguments:?}: {error}"));
        }
    }
}

#[test]
fn without_encryption() {
    let facts = ["encryption=none", "accepted"];
    accepts(
        &["--encrypt", "not-sup"],
        &[MssqlTds, PythonTds, Tsql, Odbc],
        &facts,
        |login| {
            login.encrypt = Encrypt::Off;
        },
    );
    accepts(
        &["--encrypt", "off"],
        &[Tiberius, Pymssql],
        &facts,
        |login| login.encrypt = Encrypt::None,
    );
}

#[test]
fn with_an_encrypted_login_only() {
    let drivers = [Tsql, MssqlTds, Tiberius, Pymssql, PythonTds, Odbc];
    let facts = ["encryption=login_only", "tls TLSv1.2", "accepted"];
    accepts(&["--encrypt", "off"], &drivers, &facts, |_| {});
}

#[test]
fn with_everything_encrypted_because_the_client_asks() {
    let drivers = [Tsql, MssqlTds, Tiberius, Pymssql, PythonTds, Odbc];
    let facts = ["encryption=full", "tls TLSv1.2", "accepted"];
    accepts(&["--encrypt", "on"], &drivers, &facts, |login| {
        login.encrypt = Encrypt::On;
    });
}

#[test]
fn with_everything_encrypted_because_the_server_insists() {
    let drivers = [Tsql, MssqlTds, Tiberius, Odbc];
    accepts(
        &["--encrypt", "req"],
        &drivers,
        &["encryption=full", "accepted"],
        |_| {},
    );
}

#[test]
fn with_tls_1_3_inside_tds_7() {
    let arguments = ["--encrypt", "on", "--tls-max", "1.3"];
    accepts(
        &arguments,
        &[Odbc, Pymssql],
        &["encryption=full", "tls TLSv1.3"],
        |login| {
            login.encrypt = Encrypt::On;
        },
    );
}

#[test]
fn with_tls_that_is_out_of_use() {
    let on = |login: &mut Login| login.encrypt = Encrypt::On;
    let arguments = ["--encrypt", "on", "--tls-min", "1.0", "--tls-max"];
    let old = [&arguments[..], &["1.1"]].concat();
    accepts(&old, &[Tsql, Pymssql], &["tls TLSv1.1", "accepted"], on);
    let oldest = [&arguments[..], &["1.0"]].concat();
    let facts = ["tls TLSv1 ", "accepted"];
    accepts(&oldest, &[Tsql, Tedious], &facts, on);
}

#[test]
fn with_tds_8() {
    let certificate = std::env::temp_dir().join(format!("tds-tracer-{}.pem", std::process::id()));
    let path = certificate.to_str().unwrap();
    let strict = |login: &mut Login| {
        login.encrypt = Encrypt::Strict;
        login.certificate = Some(certificate.clone());
    };
    let facts = ["encryption=strict", "tls TLSv1.3", "accepted"];
    let arguments = ["--encrypt", "strict", "--certificate-out", path];
    accepts(
        &arguments,
        &[MssqlTds, Tiberius, Odbc, Pymssql, Tedious],
        &facts,
        strict,
    );
    let without_tickets = [&arguments[..], &["--tls-tickets", "0"]].concat();
    accepts(&without_tickets, &[Tiberius, Odbc], &facts, strict);
    let facts = ["encryption=strict", "tls TLSv1.2", "accepted"];
    let arguments = [&arguments[..], &["--tls-max", "1.2", "--no-alpn"]].concat();
    accepts(&arguments, &[Tiberius, Odbc, Tedious], &facts, strict);
    std::fs::remove_file(certificate).unwrap();
}

#[test]
fn with_the_handshake_wrapped_in_replies() {
    let arguments = ["--encrypt", "on", "--wrap-reply-type", "4"];
    accepts(
        &arguments,
        &[Tsql, MssqlTds, Pymssql],
        &["encryption=full", "accepted"],
        |login| {
            login.encrypt = Encrypt::On;
        },
    );
}

#[test]
fn with_a_certificate_of_another_name_and_a_question_for_the_clients() {
    let arguments = ["--encrypt", "on", "--name", "sql1.lab.test", "--days", "1"];
    let arguments = [&arguments[..], &["--ask-client-certificate"]].concat();
    accepts(
        &arguments,
        &[Tsql, Odbc, Tiberius],
        &["encryption=full", "accepted"],
        |login| login.encrypt = Encrypt::On,
    );
}

#[test]
fn with_a_password_that_is_checked() {
    let arguments = ["--encrypt", "off", "--password", "S3cret!pw"];
    accepts(
        &arguments,
        &[Tsql, Tiberius, MssqlTds, Odbc],
        &["accepted"],
        |_| {},
    );
    refuses(
        &["--encrypt", "off", "--password", "another"],
        &[Tsql, Tiberius],
        "18456",
    );
}

#[test]
fn with_ntlm() {
    for (encrypt, encryption) in [("off", "login_only"), ("not-sup", "none")] {
        let arguments = ["--encrypt", encrypt, "--auth", "ntlm"];
        let arguments = [&arguments[..], &["--password", "S3cret!pw"]].concat();
        let encryption = format!("encryption={encryption}");
        let facts = [&encryption, "ntlm v2", "proved=Some(true)", "accepted"];
        accepts(&arguments, &[Tsql, Pymssql, PythonTds], &facts, |login| {
            login.auth = "ntlm";
            login.user = r"LAB\alice".to_owned();
        });
    }
}

#[test]
fn with_a_kerberos_ticket() {
    kdc_or_skip!();
    let kdc = Kdc::start().unwrap();
    for (driver, encrypt) in [(Tsql, "not-sup"), (Odbc, "off"), (Tsql, "on"), (Odbc, "on")] {
        driver_or_skip!(driver);
        let (mut server, fared) = by_ticket(&kdc, Key::Current, driver, encrypt);
        assert!(fared.ok, "{driver:?}: {}", fared.output);
        let client = format!("kerberos client={}@", kdc::USER);
        server.wait_line(&client).unwrap();
        server.wait_line("accepted").unwrap();
    }
}

#[test]
fn with_a_kerberos_ticket_that_its_key_does_not_open() {
    kdc_or_skip!();
    let kdc = Kdc::start().unwrap();
    for driver in available(&[Tsql, Odbc]) {
        let (mut server, fared) = by_ticket(&kdc, Key::Former, driver, "off");
        assert!(!fared.ok, "{driver:?}: {}", fared.output);
        assert!(
            fared.output.contains("18452"),
            "{driver:?}: {}",
            fared.output
        );
        server.wait_line("refused").unwrap();
    }
}

/// Logs in to a server that has this key.
fn by_ticket(kdc: &Kdc, key: Key, driver: Driver, encrypt: &str) -> (Peer, Fared) {
    let arguments = ["--encrypt", encrypt, "--auth", "kerberos"];
    let server = Peer::scenario_with(None, &arguments, kdc.server(key)).unwrap();
    let mut login = login(&server, Encrypt::Off);
    login.by_ticket(kdc);
    let fared = driver.run(None, &login).unwrap();
    (server, fared)
}

#[test]
fn with_a_federated_token_in_the_login() {
    let arguments = ["--encrypt", "on", "--auth", "fedauth"];
    accepts(
        &arguments,
        &[MssqlTds, Tiberius, Odbc],
        &["fedauth AtOnce", "accepted"],
        |login| {
            login.auth = "token";
            login.encrypt = Encrypt::On;
        },
    );
}

#[test]
fn with_a_federated_token_on_demand() {
    // Both take a token from their caller; the others fetch theirs from the network.
    for (driver, encrypt) in [
        (MssqlTds, Encrypt::Off),
        (MssqlTds, Encrypt::On),
        (Tedious, Encrypt::On),
    ] {
        let facts = ["fedauth OnDemand", "accepted"];
        accepts(&["--auth", "fedauth"], &[driver], &facts, |login| {
            login.auth = "token-on-demand";
            login.encrypt = encrypt;
        });
    }
}

#[test]
fn with_mars() {
    for (arguments, encrypt) in [
        (&["--mars"][..], Encrypt::Off),
        (&["--mars", "--encrypt", "on"], Encrypt::On),
        (&["--mars", "--mars-window", "16"], Encrypt::Off),
    ] {
        accepts(
            arguments,
            &[PythonTds, Odbc, FreetdsOdbc],
            &["mars", "accepted"],
            |login| {
                login.mars = true;
                login.encrypt = encrypt;
            },
        );
    }
}

#[test]
fn with_a_large_result() {
    accepts(
        &["--big", "20000"],
        &[Tsql, Tiberius],
        &["accepted"],
        |login| {
            login.query = "SELECT BIGRESULT".to_owned();
        },
    );
}

#[test]
fn with_a_request_taken_back() {
    for encrypt in [Encrypt::Off, Encrypt::On] {
        accepts(
            &[],
            &[Odbc, FreetdsOdbc, PythonTds, MssqlTds],
            &["accepted", "attention"],
            |login| {
                login.encrypt = encrypt;
                login.errand = Errand::TimeOut;
            },
        );
    }
}

#[test]
fn with_a_bulk_load() {
    accepts(
        &[],
        &[PythonTds, Tiberius, Freebcp],
        &["accepted", "bulk load"],
        |login| {
            login.errand = Errand::BulkLoad;
        },
    );
}

/// Every driver is turned away, and says why.
fn refuses(arguments: &[&str], drivers: &[Driver], why: &str) {
    for driver in available(drivers) {
        let mut server = server(arguments);
        let fared = driver.run(None, &login(&server, Encrypt::Off)).unwrap();
        assert!(!fared.ok, "{driver:?} on {arguments:?}: {}", fared.output);
        assert!(
            fared.output.contains(why),
            "{driver:?} does not say {why}: {}",
            fared.output
        );
        server.wait_line("refused").unwrap();
    }
}

#[test]
fn refused_logins_are_understood() {
    let drivers = [Tsql, MssqlTds, Tiberius, Pymssql];
    refuses(
        &["--encrypt", "off", "--fail-login", "8"],
        &drivers,
        "18456",
    );
    refuses(
        &["--encrypt", "not-sup", "--fail-login", "8"],
        &[Tsql, PythonTds],
        "Login failed",
    );
}
