//! How a record is laid out: native byte order, no padding, read back with a check of its length.

use crate::seq::Seq;

/// A value that is part of a record: it knows its size, and how to be read from bytes and turned into them.
pub(crate) trait Field: Sized {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Hands its bytes over, piece by piece.
    fn write(&self, to: &mut dyn FnMut(&[u8]));
}

/// The fields of a record, one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    #[inline]
    pub(crate) fn next<F: Field>(&mut self) -> Option<F> {
        let value = F::read(self.0)?;
        self.0 = self.0.get(F::SIZE..)?;
        Some(value)
    }
}

macro_rules! number_field {
    ($($number:ty),*) => {$(
        impl Field for $number {
            const SIZE: usize = size_of::<Self>();
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_ne_bytes)
            }
            fn write(&self, to: &mut dyn FnMut(&[u8])) {
                to(&self.to_ne_bytes());
            }
        }
    )*};
}
number_field!(u8, u16, u32, u64);

impl<const N: usize> Field for [u8; N] {
    const SIZE: usize = N;
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied()
    }
    fn write(&self, to: &mut dyn FnMut(&[u8])) {
        to(self);
    }
}

impl<const N: usize> Field for [u32; N] {
    const SIZE: usize = 4 * N;
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..Self::SIZE)?);
        let mut values = [0; N];
        for value in &mut values {
            *value = fields.next()?;
        }
        Some(values)
    }
    fn write(&self, to: &mut dyn FnMut(&[u8])) {
        for value in self {
            value.write(to);
        }
    }
}

impl Field for Seq {
    const SIZE: usize = 4;
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        u32::read(bytes).map(Self)
    }
    fn write(&self, to: &mut dyn FnMut(&[u8])) {
        self.0.write(to);
    }
}

/// Declares a record once: the layout the kernel writes and the checked reading of it.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// Bytes of the record.
            pub const SIZE: usize = 0 $(+ <$type as $crate::layout::Field>::SIZE)*;

            /// Reads the record from the start of `bytes`; `None` where they are too few.
            #[inline]
            pub fn read(bytes: &[u8]) -> Option<Self> {
                <Self as $crate::layout::Field>::read(bytes)
            }
        }

        impl $crate::layout::Field for $name {
            const SIZE: usize = Self::SIZE;
            #[inline]
            fn read(bytes: &[u8]) -> Option<Self> {
                let mut fields = $crate::layout::Fields(bytes);
                Some(Self { $($field: fields.next()?,)* })
            }
            fn write(&self, to: &mut dyn FnMut(&[u8])) {
                $($crate::layout::Field::write(&self.$field, to);)*
            }
        }

        // The compiler added no padding, so no uninitialised byte leaves the kernel.
        const _: () = assert!(size_of::<$name>() == $name::SIZE);
    };
}
pub(crate) use record;
