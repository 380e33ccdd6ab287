//! TDS versions as LOGIN7 and LOGINACK write them.

use std::fmt;

/// A TDS version (MS-TDS 2.2.6.4 and 2.2.7.14), most significant byte first: `0x7400_0004` is 7.4.
///
/// LOGIN7 carries it little-endian and LOGINACK big-endian; both arrive here as the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TdsVersion(pub u32);

impl TdsVersion {
    /// The name people use, or `None` for a number no version has.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 >> 16 {
            0x0402 => "4.2",
            0x0500 => "5.0",
            0x0700 | 0x7000 => "7.0",
            0x0701 | 0x7100 => "7.1",
            0x7209 => "7.2",
            0x730A | 0x730B => "7.3",
            0x7400 => "7.4",
            0x0800 => "8.0",
            _ => return None,
        })
    }

    /// Whether row counts and line numbers have their wide form, which came with 7.2.
    pub fn is_wide(self) -> bool {
        self.0 >> 24 >= 0x72 || self.0 >> 24 == 0x08
    }
}

impl fmt::Display for TdsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_version_have_one_name() {
        for (number, name, wide) in [
            (0x0700_0000, "7.0", false),
            (0x7000_0000, "7.0", false),
            (0x0701_0000, "7.1", false),
            (0x7100_0001, "7.1", false),
            (0x7209_0002, "7.2", true),
            (0x730A_0003, "7.3", true),
            (0x730B_0003, "7.3", true),
            (0x7400_0004, "7.4", true),
            (0x0800_0000, "8.0", true),
        ] {
            let version = TdsVersion(number);
            assert_eq!((version.name(), version.is_wide()), (Some(name), wide));
        }
    }

    #[test]
    fn a_version_nobody_has_shows_its_number() {
        assert_eq!(TdsVersion(0x0400_0074).to_string(), "0x04000074");
    }
}
