#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::tls::{Fingerprints, TlsSide};

fuzz_target!(|bytes: &[u8]| {
    let mut side = TlsSide::default();
    side.extend(bytes, &mut Fingerprints::default());
    side.gap();
});
