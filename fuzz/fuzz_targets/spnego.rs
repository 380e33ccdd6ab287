#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::spnego::Spnego;

fuzz_target!(|bytes: &[u8]| {
    let _ = Spnego::decode(bytes);
});
