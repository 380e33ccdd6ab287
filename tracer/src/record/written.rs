//! Values that many records have in common, each with its JSON.

use std::{
    hash::{Hash, Hasher},
    ops::Deref,
    sync::OnceLock,
};

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::{RawValue, to_raw_value};

/// A value whose JSON is put together once, for all records that have it.
#[derive(Debug, Default)]
pub struct Written<T> {
    value: T,
    json: OnceLock<Box<RawValue>>,
}

impl<T> Written<T> {
    /// The value, of which nothing is written yet.
    pub fn new(value: T) -> Self {
        Self {
            value,
            json: OnceLock::new(),
        }
    }
}

/// A copy is written anew: it is made to be changed.
impl<T: Clone> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self::new(self.value.clone())
    }
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Written<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Written<T> {}

impl<T: Hash> Hash for Written<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: Serialize> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(json) = self.json.get() {
            return json.serialize(serializer);
        }
        let json = to_raw_value(&self.value).map_err(S::Error::custom)?;
        self.json.get_or_init(|| json).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_its_value_the_first_time_and_every_other() {
        let value = vec![Some("a\"b"), None];
        let written = Written::new(value.clone());
        for _ in 0..2 {
            assert_eq!(json!(written), json!(value));
        }
        assert_eq!(written.clone(), written);
    }
}
