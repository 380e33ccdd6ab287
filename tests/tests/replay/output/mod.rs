//! What is written, and what is left out of it.

mod extract;
mod report;
mod summary;
mod top;

use harness::replay::events;

use crate::told::path;

#[test]
fn identities_stay_hidden_unless_asked_for() {
    for name in ["ntlm", "mars"] {
        for line in events(&path(&format!("sequences/{name}"))).unwrap() {
            let line = line.to_string();
            assert!(
                !line.contains("joe33") && !line.contains("CONTOSO"),
                "{line}"
            );
        }
    }
}
