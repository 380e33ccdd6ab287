#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::prelogin::Prelogin;

fuzz_target!(|bytes: &[u8]| {
    let _ = Prelogin::decode(bytes);
});
