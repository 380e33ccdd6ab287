#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{
    kerberos::{self, Message},
    tds::tls,
};

fuzz_target!(|bytes: &[u8]| {
    for read in [kerberos::datagram(bytes), kerberos::stream(bytes)] {
        if let Some(Message::Error(Some(refusal))) = read {
            let name = refusal.service.name();
            assert!(name.len() <= 2 * bytes.len());
            let _odd = refusal.service.is_malformed();
        }
    }
    if let Some(name) = tls::server_name(bytes) {
        assert!(name.len() <= 3 * bytes.len());
    }
});
