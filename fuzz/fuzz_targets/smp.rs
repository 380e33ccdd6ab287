#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::smp::Smp;

fuzz_target!(|bytes: &[u8]| {
    let _ = Smp::decode(bytes);
});
