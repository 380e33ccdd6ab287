#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::dns;

fuzz_target!(|bytes: &[u8]| {
    if let Some(message) = dns::decode(bytes) {
        let addresses = message.answer.map_or(0, |answer| answer.addresses.len());
        assert!(addresses <= bytes.len());
    }
});
