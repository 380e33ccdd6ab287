//! MARS inside full encryption, by what each kind of cipher suite makes of the length of a record.

use harness::drivers::{Driver, Encrypt};
use harness::{driver_or_skip, root_or_skip};

use crate::decided::assert_success;
use crate::run::{Path, Server, observe_driver};

#[test]
fn sessions_inside_tls_show_by_the_sizes_of_records_whatever_the_cipher() {
    root_or_skip!("sessions inside TLS show by the sizes of records whatever the cipher");
    for driver in [Driver::Odbc, Driver::PythonTds] {
        driver_or_skip!(driver);
        for (list, name) in [
            ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
            (
                "ECDHE-RSA-CHACHA20-POLY1305",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
            ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
            (
                "ECDHE-RSA-AES128-SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
            ),
        ] {
            let server = Server::Scenario(&["--encrypt", "on", "--mars", "--ciphers", list]);
            let run = observe_driver(Path::Client, &server, driver, Encrypt::On, |login| {
                login.mars = true;
            });
            assert_success(&run, "full");
            run.assert_eq("/tls/cipher", name);
            run.assert_eq("/tds/mars", true);
            let mars = &run.close["mars"];
            assert_eq!(mars["basis"], "inferred", "{list}: {:#}", run.close);
        }
    }
}
