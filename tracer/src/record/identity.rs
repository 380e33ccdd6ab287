//! Names of users, domains and workstations: hidden unless they are asked for.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Text;

/// What happens to the names of users, domains and workstations.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// They are left out.
    #[default]
    Hide,
    /// They are replaced by 16 hex digits: the start of SHA-256 over the key and the name.
    ///
    /// Within one run equal names give equal digits. Across runs nothing can be compared, and
    /// nothing can be found by trying names, because each run draws a key of its own and forgets it.
    Hash {
        /// Drawn at random by the caller.
        key: [u8; 32],
    },
    /// They are written as they are.
    Show,
}

impl Policy {
    /// What the stream may say of `name`.
    pub fn apply(&self, name: &str) -> Option<Text> {
        match self {
            Self::Hide => None,
            Self::Hash { key } => {
                let digest = Sha256::new()
                    .chain_update(key)
                    .chain_update(name)
                    .finalize();
                let mut start = [0; 8];
                start.copy_from_slice(&digest[..8]);
                Some(format!("{:016x}", u64::from_be_bytes(start)).into())
            }
            Self::Show => Some(name.into()),
        }
    }
}

/// The key stays out of every log line.
impl fmt::Debug for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hide => "Hide",
            Self::Hash { .. } => "Hash",
            Self::Show => "Show",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn names_are_hidden_unless_asked_for() {
        assert_eq!(Policy::default().apply("CORP\\alice"), None);
        assert_eq!(Policy::Show.apply("alice").as_deref(), Some("alice"));
    }

    #[test]
    fn hashes_are_equal_within_a_run_and_differ_between_names_and_runs() {
        let run = Policy::Hash { key: [1; 32] };
        let other_run = Policy::Hash { key: [2; 32] };
        let alice = run.apply("alice").expect("a hash");
        assert_eq!(Some(&alice), run.apply("alice").as_ref());
        assert_ne!(Some(&alice), run.apply("bob").as_ref());
        assert_ne!(Some(&alice), other_run.apply("alice").as_ref());
        assert!(alice.len() == 16 && alice.chars().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn the_key_is_not_printed() {
        assert_eq!(format!("{:?}", Policy::Hash { key: [7; 32] }), "Hash");
    }
}
