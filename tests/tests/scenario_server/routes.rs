//! Clients that are sent on to another server, which they then log in to.

use harness::drivers::{Driver, Encrypt};

use Driver::{MssqlTds, Odbc, Pymssql, PythonTds, Tedious, Tsql};

use super::{available, login, server};

/// Every driver is sent on by a gateway of these arguments, and arrives at a server that sees
/// `fact`. Not tiberius, which leaves it to its caller to go there.
fn sends_on(drivers: &[Driver], more: &[&str], fact: &str) {
    for driver in available(drivers) {
        let mut target = server(&["--encrypt", "off"]);
        let address = target.address().to_string();
        let mut gateway = server(&[&["--route", &address][..], more].concat());
        let encrypt = if driver == Tedious {
            Encrypt::On
        } else {
            Encrypt::Off
        };
        let fared = driver.run(None, &login(&gateway, encrypt)).unwrap();
        assert!(fared.ok, "{driver:?}: {}", fared.output);
        gateway.wait_line("routed").unwrap();
        target.wait_line(fact).unwrap();
    }
}

#[test]
fn with_a_client_sent_on_to_another_server() {
    let drivers = [MssqlTds, Odbc, Tsql, Pymssql, PythonTds, Tedious];
    sends_on(&drivers, &[], "accepted");
}

/// Only mssql-tds asks for routing to a database (MS-TDS 2.2.7.9, type 21).
#[test]
fn with_a_client_sent_on_to_another_database() {
    let database = ["--route-database", "elsewhere"];
    sends_on(&[MssqlTds], &database, "database=elsewhere");
    // The others are sent to the server alone, as they are without it.
    let drivers = [Odbc, Tsql, Pymssql, PythonTds, Tedious];
    sends_on(&drivers, &database, "database= ");
}
