#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::login7::Login7;

fuzz_target!(|bytes: &[u8]| {
    let _ = Login7::decode(bytes);
});
