//! The scalar values of the stream: times, counts, bounded text.

use std::{
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
    ops::{Add, AddAssign, Deref},
};

use jiff::tz::Offset;
use serde::{Serialize, Serializer};
use smol_str::{SmolStr, SmolStrBuilder};

/// The largest integer that every JSON reader keeps whole: beyond it, jq and JavaScript round.
pub(super) const MAX_SAFE_INTEGER: u64 = 1 << 53;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Writes `value` as an integer, or as a string of digits where a reader would round it.
fn serialize_wide<S: Serializer>(value: u64, serializer: S) -> Result<S::Ok, S::Error> {
    if value <= MAX_SAFE_INTEGER {
        serializer.serialize_u64(value)
    } else {
        serializer.collect_str(&value)
    }
}

macro_rules! wide_integer {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl Add for $name {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, other: u64) {
                *self = *self + Self(other);
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_wide(self.0, serializer)
            }
        }
    };
}

wide_integer! {
    /// A duration in nanoseconds. Sums saturate.
    Nanos
}

wide_integer! {
    /// A number of things or bytes. Sums saturate.
    Count
}

/// A moment, in nanoseconds since 1970-01-01 UTC; written as RFC 3339 with nine digits and `Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `nanoseconds` after (or before) the epoch, clamped to what the type holds.
    pub fn from_nanoseconds(nanoseconds: i128) -> Self {
        let limit = u64::MAX;
        Self(u64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { 0 } else { limit }))
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

/// It as text, a digit at a time: a line has two and more.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0 / NANOS_PER_SECOND, self.0 % NANOS_PER_SECOND);
        // Every u64 of nanoseconds lies within jiff's years -9999 to 9999.
        let moment = jiff::Timestamp::from_second(seconds.cast_signed())
            .map_err(|_out_of_range| fmt::Error)?;
        let moment = Offset::UTC.to_datetime(moment);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        for (place, value) in [
            (0..4, i64::from(moment.year())),
            (5..7, moment.month().into()),
            (8..10, moment.day().into()),
            (11..13, moment.hour().into()),
            (14..16, moment.minute().into()),
            (17..19, moment.second().into()),
            (20..29, nanoseconds.cast_signed()),
        ] {
            write_digits(value.unsigned_abs(), &mut text[place]);
        }
        formatter.write_str(str::from_utf8(&text).map_err(|_not_ascii| fmt::Error)?)
    }
}

/// Writes the last digits of a number, zeros where it has no more.
fn write_digits(number: u64, into: &mut [u8]) {
    let mut left = number;
    for place in into.iter_mut().rev() {
        *place = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A calendar moment in whole seconds since 1970-01-01 UTC, as certificates state it: unlike
/// [`Timestamp`] it reaches the year 9999 and back before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Calendar(jiff::civil::DateTime);

impl Calendar {
    /// The moment, or nothing where it lies outside the years -9999 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let moment = epoch.checked_add(jiff::SignedDuration::from_secs(seconds));
        moment.ok().map(Self)
    }

    /// Whether it lies before a moment.
    pub fn is_before(self, moment: Timestamp) -> bool {
        let seconds = (moment.0 / NANOS_PER_SECOND).cast_signed();
        Self::from_unix_seconds(seconds).is_some_and(|moment| self < moment)
    }
}

impl Serialize for Calendar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.9}Z", self.0))
    }
}

/// How sure an inference is, from 0 to 1; written with three decimals at most. Two are equal that are
/// the same number to the bit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Confidence(pub f64);

impl PartialEq for Confidence {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Confidence {}

impl Hash for Confidence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON has no NaN, and what is no number supports nothing.
        let bounded = if self.0.is_nan() {
            0.0
        } else {
            self.0.clamp(0.0, 1.0)
        };
        serializer.serialize_f64((bounded * 1000.0).round() / 1000.0)
    }
}

/// Text that came from the wire or the host: at most [`Text::MAX_CHARS`] characters, the last one
/// `…` where more was cut off. A copy shares it, and a short one needs no memory of its own: a
/// connection is told twice and more.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(SmolStr);

impl Text {
    /// The longest text, in characters. TDS names hold 128; certificates' names can be longer.
    pub const MAX_CHARS: usize = 256;

    /// The text, cut where it is too long.
    pub fn new(text: &str) -> Self {
        // No character is shorter than a byte.
        if text.len() <= Self::MAX_CHARS {
            return Self(text.into());
        }
        let mut ends = text
            .char_indices()
            .map(|(at, _)| at)
            .skip(Self::MAX_CHARS - 1);
        match (ends.next(), ends.next()) {
            (Some(end), Some(_)) => Self(format!("{}…", &text[..end]).into()),
            _ => Self(text.into()),
        }
    }

    /// A name that this program has for something; none is too long.
    pub const fn fixed(name: &'static str) -> Self {
        Self(SmolStr::new_static(name))
    }

    /// What a value is shown as, in a few characters.
    pub fn shown(value: &impl fmt::Display) -> Self {
        let mut text = SmolStrBuilder::new();
        // It takes in whatever is written.
        let _written: fmt::Result = write!(text, "{value}");
        Self(text.finish())
    }

    /// The text as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One value for each side of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sides<T> {
    /// What the client sent, did or asked.
    pub client: T,
    /// What the server sent, did or asked.
    pub server: T,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The end that sent the SYN, or that speaks like a client where the SYN was not seen.
    Client,
    /// The end that listens.
    Server,
}

/// How something is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Read from the wire.
    #[default]
    Observed,
    /// Concluded from sizes, directions and times, because the content is encrypted.
    Inferred,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Calendar, Confidence, Count, Nanos, Text, Timestamp};

    #[test]
    fn times_have_nine_digits_and_a_z() {
        let written = |nanoseconds| json!(Timestamp(nanoseconds));
        assert_eq!(written(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(
            written(1_795_376_726_077_542_569),
            "2026-11-22T19:45:26.077542569Z"
        );
        assert_eq!(written(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn a_certificate_without_an_end_is_written_as_the_year_9999() {
        let end = Calendar::from_unix_seconds(253_402_300_799);
        assert_eq!(json!(end), "9999-12-31T23:59:59.000000000Z");
        let old = Calendar::from_unix_seconds(-1);
        assert_eq!(json!(old), "1969-12-31T23:59:59.000000000Z");
        assert_eq!(Calendar::from_unix_seconds(i64::MAX), None);
    }

    #[test]
    fn integers_that_a_reader_would_round_are_strings() {
        assert_eq!(json!(Nanos(1 << 53)), json!(9_007_199_254_740_992_u64));
        assert_eq!(json!(Count((1 << 53) + 1)), json!("9007199254740993"));
    }

    #[test]
    fn sums_saturate() {
        let mut count = Count(u64::MAX - 1);
        count += 5;
        assert_eq!(count, Count(u64::MAX));
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_marked() {
        let exact = "é".repeat(Text::MAX_CHARS);
        assert_eq!(Text::new(&exact).as_str(), exact);
        let cut = Text::new(&format!("{exact}é"));
        assert_eq!(cut.chars().count(), Text::MAX_CHARS);
        assert!(cut.ends_with("é…"));
    }

    #[test]
    fn a_confidence_is_between_nothing_and_certainty() {
        assert_eq!(json!(Confidence(0.123_456)), json!(0.123));
        assert_eq!(json!(Confidence(7.0)), json!(1.0));
        assert_eq!(json!(Confidence(f64::NAN)), json!(0.0));
    }
}
