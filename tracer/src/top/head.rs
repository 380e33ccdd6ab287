//! What a line begins with: enough to number it, so that those that show nothing need not be read.

use std::fmt;

use memchr::memmem;
use serde::{
    Deserialize, Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// A part of an attempt has this among its fields, and little else has.
const PART: &[u8] = b"\"kind\":";

/// Which line of which run it is, as far as that is written before what it tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    event: Option<Event>,
    pub(super) run: String,
    pub(super) line: u64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Event,
    RunId,
    Line,
    #[serde(other)]
    Other,
}

/// Those of which nothing is shown, or little.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Event {
    Close,
    Lookup,
    Mars,
    Phase,
    Request,
    Attempt,
    #[serde(other)]
    Other,
}

impl Head {
    /// Of a line of which nothing is shown; `None` where it has to be read.
    pub(super) fn of_passed(text: &[u8]) -> Option<Self> {
        let mut head = Self::default();
        // It is left as soon as enough is known, which the reader takes for an error.
        drop(serde_json::Deserializer::from_slice(text).deserialize_map(&mut head));
        let passed = match head.event? {
            Event::Other => false,
            // A login alone says it all itself.
            Event::Attempt => has_one_part(text),
            _ => true,
        };
        // What is cut in two is left to whoever reads it.
        (passed && head.is_whole() && text.ends_with(b"}")).then_some(head)
    }

    fn is_whole(&self) -> bool {
        self.event.is_some() && !self.run.is_empty() && self.line > 0
    }
}

/// Whether an attempt surely has no more than one part.
fn has_one_part(text: &[u8]) -> bool {
    memmem::find_iter(text, PART).take(2).count() < 2
}

impl<'de> Visitor<'de> for &mut Head {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line of the agent")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key()? {
            match name {
                Name::Event => self.event = Some(map.next_value()?),
                Name::RunId => self.run = map.next_value()?,
                Name::Line => self.line = map.next_value()?,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if self.is_whole() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: &str = r#"{"schema_version":"1","host":{"name":"\"event\":\"login\""},"run_id":"aa","line":7,"event":"close","connection":{}}"#;

    #[test]
    fn a_line_of_which_nothing_is_shown_is_numbered_all_the_same() {
        let head = Head::of_passed(CLOSE.as_bytes()).expect("it is passed over");
        assert_eq!((head.run.as_str(), head.line), ("aa", 7));
        let login = CLOSE.replace("\"close\"", "\"login\"");
        assert_eq!(Head::of_passed(login.as_bytes()), None);
        let later = CLOSE.replace("\"close\"", "\"a later version's\"");
        assert_eq!(Head::of_passed(later.as_bytes()), None);
    }

    #[test]
    fn an_attempt_of_several_parts_is_read() {
        let attempt = |parts: &str| {
            let line = CLOSE.replace("\"close\"", "\"attempt\"");
            line.replace(
                "\"connection\":{}",
                &format!("\"attempt\":{{\"parts\":[{parts}]}}"),
            )
        };
        let one = attempt(r#"{"kind":"login"}"#);
        assert!(Head::of_passed(one.as_bytes()).is_some());
        let two = attempt(r#"{"kind":"dns"},{"kind":"login"}"#);
        assert_eq!(Head::of_passed(two.as_bytes()), None);
    }

    #[test]
    fn what_is_no_line_is_not_passed_over() {
        for text in [
            "",
            "{",
            "7",
            "null",
            "{\"event\":\"close\"}",
            "{\"event\":7}",
        ] {
            assert_eq!(Head::of_passed(text.as_bytes()), None, "{text}");
        }
        for cut in 0..CLOSE.len() - 2 {
            assert_eq!(Head::of_passed(&CLOSE.as_bytes()[..cut]), None, "{cut}");
        }
    }
}
