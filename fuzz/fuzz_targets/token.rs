#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::token::Tokens;

fuzz_target!(|bytes: &[u8]| {
    assert!(Tokens::new(bytes, None).count() <= bytes.len() + 1);
});
