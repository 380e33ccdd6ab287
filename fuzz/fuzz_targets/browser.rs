#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tds::browser::{Answer, Question, Told};

fuzz_target!(|bytes: &[u8]| {
    let _ = Question::decode(bytes);
    if let Ok(Answer {
        told: Told::Instances(instances),
        ..
    }) = Answer::decode(bytes, bytes.len())
    {
        assert!(instances.count() <= bytes.len());
    }
});
