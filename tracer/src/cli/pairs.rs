//! Several keys with their values in one text: `kind=socket,events=login,close`.
//!
//! A comma begins another key where `KEY=` follows, and is part of the value otherwise. `\\,` is a comma in any case, and
//! `\\\\` a backslash.

use std::collections::BTreeMap;

/// See the module. Each key is taken once; what is left at the end nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(BTreeMap<String, String>);

impl Pairs {
    /// Reads them.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in items(text) {
            match item.split_once('=') {
                Some((key, value)) if is_key(key) => {
                    pairs.push((key.to_owned(), value.to_owned()));
                }
                _ => match pairs.last_mut() {
                    Some((_, value)) => {
                        value.push(',');
                        value.push_str(&item);
                    }
                    None => return Err(format!("`{item}` is no KEY=VALUE")),
                },
            }
        }
        let mut all = BTreeMap::new();
        for (key, value) in pairs {
            let value = value.replace(MARK, ",");
            if all.insert(key.clone(), value).is_some() {
                return Err(format!("`{key}` is there twice"));
            }
        }
        Ok(Self(all))
    }

    /// A key with its value, as [`Self::read`] takes it.
    pub(super) fn pair(key: &str, value: &str) -> String {
        let value = value.replace('\\', "\\\\").replace(',', "\\,");
        format!("{key}={value}")
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// The same as something else than text.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let value = self.take(key);
        value
            .map(|value| parse(&value).map_err(|error| format!("{key}: {error}")))
            .transpose()
    }

    /// One that was not taken.
    pub(super) fn left(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}

/// Stands for an escaped comma until values are whole.
const MARK: char = '\u{1}';

fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let Some(item) = items.last_mut() else { break };
        match character {
            '\\' => match characters.next() {
                Some(',') => item.push(MARK),
                Some(other) => item.push(other),
                None => {}
            },
            ',' => items.push(String::new()),
            other => item.push(other),
        }
    }
    items
}

fn is_key(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '-';
    !text.is_empty() && text.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::Pairs;

    #[test]
    fn a_comma_is_part_of_the_value_unless_a_key_follows() {
        let mut pairs = Pairs::read("kind=file,events=+phase,-close,path=/a=b").expect("pairs");
        assert_eq!(pairs.take("events").as_deref(), Some("+phase,-close"));
        assert_eq!(pairs.take("path").as_deref(), Some("/a=b"));
        assert_eq!(pairs.left(), Some("kind"));
    }

    #[test]
    fn whatever_the_value_it_is_read_as_it_was_written() {
        for value in ["a,kind=x", "\\", "\\,", "", "x=y,", "C:\\logs,z"] {
            let text = format!("kind=file,{}", Pairs::pair("path", value));
            let mut pairs = Pairs::read(&text).expect("pairs");
            assert_eq!(pairs.take("path").as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_begins_without_a_key_or_has_one_twice_is_wrong() {
        assert!(Pairs::read("file").is_err());
        assert!(Pairs::read("kind=file,kind=stdout").is_err());
    }
}
