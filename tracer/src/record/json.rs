//! JSON as `serde_json` writes it, for the stream's own types.
//!
//! Nearly all of a line is names of fields, which need no escaping, and texts that hold nothing to
//! escape: both are copied as they are, and only what is left goes through `serde_json`.

use std::{fmt::Display, io::Write as _};

use serde::{
    Serialize, Serializer,
    ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct},
};
use serde_json::{Error, Result};

/// Appends the value's JSON to `out`.
pub(super) fn write(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) -> Result<()> {
    value.serialize(Json {
        out,
        is_written: false,
    })
}

/// How `serde_json` names what is JSON already, and its only field: see [`serde_json::value::RawValue`].
const WRITTEN: &str = "$serde_json::private::RawValue";

/// Writes one value.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    /// A text is JSON already.
    is_written: bool,
}

/// Writes the members of a list or an object.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
    /// What closes it; nothing where its only member is JSON already.
    end: Option<u8>,
}

impl<'a> Json<'a> {
    fn members(self, [start, end]: [u8; 2]) -> Members<'a> {
        self.out.push(start);
        Members {
            out: self.out,
            is_first: true,
            end: Some(end),
        }
    }

    /// What none of the stream's types has.
    fn unused<T>(kind: &str) -> Result<T> {
        Err(serde::ser::Error::custom(format_args!("{kind} in a line")))
    }
}

impl Members<'_> {
    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        debug_assert!(is_plain(name.as_bytes()), "{name}");
        let before: &[u8] = if self.is_first { b"\"" } else { b",\"" };
        self.is_first = false;
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(value, self.out)
    }

    fn finish(self) {
        self.out.extend(self.end);
    }
}

/// Writes text that holds nothing to escape.
fn write_plain(text: &str, out: &mut Vec<u8>) {
    debug_assert!(is_plain(text.as_bytes()), "{text}");
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether JSON has the text as it is.
fn is_plain(text: &[u8]) -> bool {
    // Without a branch between eight bytes and the next; some may be looked at twice.
    if let Some(last) = text.last_chunk::<8>() {
        let (eights, _) = text.as_chunks::<8>();
        eights
            .iter()
            .fold(odd(*last), |found, eight| found | odd(*eight))
            == 0
    } else if let (Some([a, b, c, d]), Some([e, f, g, h])) = (text.first_chunk(), text.last_chunk())
    {
        odd([*a, *b, *c, *d, *e, *f, *g, *h]) == 0
    } else {
        !text
            .iter()
            .any(|byte| *byte < b' ' || *byte == b'"' || *byte == b'\\')
    }
}

/// Not zero where one of eight bytes is a control character, a quote or a backslash.
fn odd(eight: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let bytes = u64::from_ne_bytes(eight);
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(limit * ONES) & !bytes & (0x80 * ONES);
    let is = |byte: u8| below(bytes ^ (u64::from(byte) * ONES), 1);
    below(bytes, 0x20) | is(b'"') | is(b'\\')
}

/// The digits of integers, all types alike.
macro_rules! integers {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> Result<()> {
            let mut digits = itoa::Buffer::new();
            self.out.extend_from_slice(digits.format(value).as_bytes());
            Ok(())
        })*
    };
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    integers! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        let name: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(name);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<()> {
        serde_json::to_writer(self.out, &value)
    }

    fn serialize_f64(self, value: f64) -> Result<()> {
        serde_json::to_writer(self.out, &value)
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<()> {
        if self.is_written {
            self.out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if !is_plain(text.as_bytes()) {
            return serde_json::to_writer(self.out, text);
        }
        write_plain(text, self.out);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<()> {
        Self::unused("bytes")
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        write_plain(variant, self.out);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let mut members = self.members(*b"{}");
        members.field(variant, value)?;
        members.finish();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>> {
        Ok(self.members(*b"[]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple> {
        Self::unused("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct> {
        Self::unused("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        Self::unused("a tuple")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>> {
        Ok(self.members(*b"{}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'a>> {
        if name == WRITTEN {
            return Ok(Members {
                out: self.out,
                is_first: true,
                end: None,
            });
        }
        Ok(self.members(*b"{}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant> {
        Self::unused("a variant with fields")
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        let start = self.out.len();
        write!(self.out, "\"{value}\"").map_err(serde::ser::Error::custom)?;
        let text = &self.out[start + 1..self.out.len() - 1];
        if is_plain(text) {
            return Ok(());
        }
        self.out.truncate(start);
        (&mut serde_json::Serializer::new(self.out)).collect_str(value)
    }
}

impl SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.separate();
        write(value, self.out)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<()> {
        if self.end.is_none() {
            return value.serialize(Json {
                out: self.out,
                is_written: true,
            });
        }
        self.field(name, value)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

/// Of objects that are put together from others: their names are fields' names too.
impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<()> {
        self.separate();
        write(name, self.out)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.out.push(b':');
        write(value, self.out)
    }

    fn end(self) -> Result<()> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::record::samples;

    fn written(value: &impl Serialize) -> Vec<u8> {
        let mut out = Vec::new();
        write(value, &mut out).expect("JSON");
        out
    }

    #[test]
    fn every_sample_is_written_as_serde_json_writes_it() {
        for record in samples::all() {
            let expected = serde_json::to_vec(&record.body).expect("JSON");
            assert_eq!(written(&record.body), expected);
        }
    }

    #[test]
    fn texts_are_escaped_wherever_something_odd_is_in_them() {
        for odd in ["\"", "\\", "\n", "\u{1}", "\u{7f}", "é", "\u{2028}", ""] {
            for (at, after) in (0..20).flat_map(|at| [(at, 0), (at, 3), (at, 20 - at)]) {
                let text = format!("{}{odd}{}", "a".repeat(at), "b".repeat(after));
                let expected = serde_json::to_vec(&text).expect("JSON");
                assert_eq!(written(&text), expected);
                let mut named = Value::default();
                named[text.as_str()] = json!([null, true, -1, 0.25, {}, []]);
                let expected = serde_json::to_vec(&named).expect("JSON");
                assert_eq!(written(&named), expected);
            }
        }
    }
}
