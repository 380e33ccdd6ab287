//! JSON as `serde_json` writes it, for lines: a third of its work.
//!
//! A line is some 140 names and short texts. `serde_json` looks at each of their bytes by itself, and
//! writes every quote, colon and comma through [`std::io::Write`]; here a name is written as it stands in
//! the code, and a text is looked at as a whole. Whatever is rare is left to `serde_json`.

use std::{fmt::Display, io::Write};

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple,
        SerializeTupleStruct,
    },
};
use serde_json::Error;

/// Appends the value to `out`.
pub(super) fn append(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
    value.serialize(Json(out))
}

/// A value's place.
struct Json<'a>(&'a mut Vec<u8>);

/// What stands between braces or brackets.
struct Items<'a> {
    out: &'a mut Vec<u8>,
    end: u8,
}

macro_rules! left_to_serde_json {
    ($($name:ident: $type:ty,)*) => {
        $(
            #[inline]
            fn $name(self, value: $type) -> Result<(), Error> {
                serde_json::to_writer(self.0, &value)
            }
        )*
    };
}

impl<'a> Json<'a> {
    fn open(self, [start, end]: [u8; 2]) -> Items<'a> {
        self.0.push(start);
        Items { out: self.0, end }
    }

    fn quote(self, text: &str) {
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    left_to_serde_json! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_bytes: &[u8],
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if is_escaped(text.as_bytes()) {
            return serde_json::to_writer(self.0, text);
        }
        self.quote(text);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        let before = self.0.len();
        write!(self.0, "\"{value}\"").map_err(Error::io)?;
        let text = &self.0[before + 1..self.0.len() - 1];
        if is_escaped(text) {
            self.0.truncate(before);
            return serde_json::to_writer(self.0, &format_args!("{value}"));
        }
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.quote(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut items = self.open(*b"{}");
        SerializeStruct::serialize_field(&mut items, variant, value)?;
        SerializeStruct::end(items)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.open(*b"[]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.open(*b"[]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.open(*b"[]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom("a record has no such value"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.open(*b"{}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.open(*b"{}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom("a record has no such value"))
    }
}

impl Items<'_> {
    /// Begins an item. No value ends in an opening brace or bracket.
    fn next(&mut self) -> Json<'_> {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
        Json(self.out)
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(self.next())
    }

    fn close(self) {
        self.out.push(self.end);
    }
}

macro_rules! list {
    ($($trait:ident: $item:ident,)*) => {
        $(
            impl $trait for Items<'_> {
                type Ok = ();
                type Error = Error;

                fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                    self.item(value)
                }

                fn end(self) -> Result<(), Error> {
                    self.close();
                    Ok(())
                }
            }
        )*
    };
}

list! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
}

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(Json(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.next().quote(name);
        self.serialize_value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// Whether a text has a byte that JSON does not hold as it is: below a space, a quote, a backslash.
fn is_escaped(text: &[u8]) -> bool {
    let special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().any(has_escaped) || has_escaped(last),
        None => text.iter().any(special),
    }
}

/// The same of eight bytes at once: those that a subtraction borrows from were less.
fn has_escaped(word: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(*word);
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word;
    let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    (less(word, b' ') | is(b'"') | is(b'\\')) & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::append;
    use crate::record::{Confidence, Text, samples};

    fn is_that_of_serde_json(value: &impl Serialize) {
        let mut line = b"before".to_vec();
        append(value, &mut line).expect("JSON");
        let line = String::from_utf8(line).expect("UTF-8");
        let expected = serde_json::to_string(value).expect("JSON");
        assert_eq!(line.strip_prefix("before"), Some(&*expected));
    }

    #[test]
    fn every_sample_reads_as_serde_json_writes_it() {
        for record in samples::all() {
            is_that_of_serde_json(&record.body);
        }
    }

    #[test]
    fn every_text_and_number_reads_as_serde_json_writes_it() {
        for special in ('\0'..='\u{A0}').chain(['…', '\u{2028}', '\u{10FFFF}']) {
            let text = Text::new(&format!("CORP{special}alice of the second floor"));
            is_that_of_serde_json(&special.to_string());
            is_that_of_serde_json(&text);
            is_that_of_serde_json(&format_args!("{text}"));
            is_that_of_serde_json(&BTreeMap::from([(text.as_str(), special)]));
        }
        is_that_of_serde_json(&(u64::MAX, i64::MIN, u8::MAX, true, Confidence(0.9), f64::NAN));
        is_that_of_serde_json(&[Some(0.1_f32), None]);
        is_that_of_serde_json(&[""; 0]);
        is_that_of_serde_json(&BTreeMap::<&str, u8>::new());
        is_that_of_serde_json(&Ok::<u8, ()>(1));
    }
}
