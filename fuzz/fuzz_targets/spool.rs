#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::sink::spool::records;

fuzz_target!(|bytes: &[u8]| {
    let (lines, read) = records(bytes);
    assert!(read <= bytes.len());
    assert!(lines.iter().map(|line| line.bytes.len()).sum::<usize>() <= read);
    // What lies behind a record that is torn does not change what comes before.
    let (again, same) = records(&bytes[..read]);
    assert_eq!((again, same), (lines, read));
});
