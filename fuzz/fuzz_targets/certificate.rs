#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::certificate::Certificate;

fuzz_target!(|bytes: &[u8]| {
    let _ = Certificate::decode(bytes);
});
