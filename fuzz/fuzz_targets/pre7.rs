#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::pre7::Pre7Login;

fuzz_target!(|bytes: &[u8]| {
    let _ = Pre7Login::decode(bytes);
});
