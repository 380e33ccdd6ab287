#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::ntlm::Ntlm;

fuzz_target!(|bytes: &[u8]| {
    let _ = Ntlm::decode(bytes);
});
