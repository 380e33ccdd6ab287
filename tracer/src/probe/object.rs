//! The compiled kernel programs as the agent carries them: packed, since what a verifier's complaint names of their sources
//! is most of them.

use std::{io::Read as _, ops::Deref};

use flate2::read::GzDecoder;

use super::StartError;

/// What an object's reader asks of its place.
const ALIGNED: usize = 8;

/// An object, as its reader wants it.
#[derive(Debug)]
pub(super) struct Object {
    buffer: Vec<u8>,
    start: usize,
    length: usize,
}

impl Object {
    /// Unpacks it.
    pub(super) fn unpacked(packed: &[u8]) -> Result<Self, StartError> {
        // As gzip ends (RFC 1952): the length of what was packed.
        let length = packed.last_chunk().ok_or(StartError::NoPrograms)?;
        let length = u32::from_le_bytes(*length) as usize;
        let mut buffer = vec![0; length + ALIGNED];
        let start = buffer.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        let mut from = GzDecoder::new(packed);
        from.read_exact(&mut buffer[start..start + length])
            .map_err(StartError::map)?;
        Ok(Self {
            buffer,
            start,
            length,
        })
    }
}

impl Deref for Object {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::{ALIGNED, Object};

    #[test]
    fn an_object_is_the_same_once_unpacked_and_lies_where_its_reader_wants_it() {
        let plain: Vec<u8> = (0..=255).cycle().take(10_007).collect();
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&plain).expect("memory");
        let object = Object::unpacked(&packer.finish().expect("memory")).expect("an object");
        assert_eq!(&*object, plain);
        assert_eq!(object.as_ptr().align_offset(ALIGNED), 0);
    }

    #[test]
    fn none_and_half_of_one_are_refused() {
        Object::unpacked(&[]).expect_err("none");
        Object::unpacked(b"\x1f\x8b\x08\0\x05\0\0\0").expect_err("half of one");
    }
}
