//! Which TCP ports are SQL Server's, as somebody has named them.

use std::{collections::BTreeSet, ops::RangeInclusive, str::FromStr};

/// Ports that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Whether others are learned: from what a connection begins with, and from what is announced.
    pub auto: bool,
    /// Those that were named.
    named: BTreeSet<u16>,
}

impl Ports {
    /// The port that SQL Server is known by.
    pub const SQL_SERVER: u16 = 1433;
    /// The word for what is learned.
    const AUTO: &str = "auto";

    /// Whether a port is watched whatever is learned.
    pub fn contains(&self, port: u16) -> bool {
        self.named.contains(&port) || (self.auto && port == Self::SQL_SERVER)
    }

    /// Those that are watched whatever is learned.
    pub fn known(&self) -> BTreeSet<u16> {
        let mut known = self.named.clone();
        if self.auto {
            known.insert(Self::SQL_SERVER);
        }
        known
    }

    /// All that several lists name; without any, what is learned.
    #[must_use]
    pub fn all(lists: impl IntoIterator<Item = Self>) -> Self {
        let together = lists.into_iter().reduce(|mut all, more| {
            all.auto |= more.auto;
            all.named.extend(more.named);
            all
        });
        together.unwrap_or_default()
    }
}

impl Default for Ports {
    /// SQL Server's port, and what is learned.
    fn default() -> Self {
        Self {
            auto: true,
            named: BTreeSet::new(),
        }
    }
}

impl From<BTreeSet<u16>> for Ports {
    /// These and no others; what is learned where there are none.
    fn from(named: BTreeSet<u16>) -> Self {
        let auto = named.is_empty();
        Self { auto, named }
    }
}

impl FromStr for Ports {
    type Err = String;

    /// Reads ports and ranges of them with commas between, such as `1433,11000-11999,auto`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut ports = Self {
            auto: false,
            named: BTreeSet::new(),
        };
        for part in text.split(',').map(str::trim) {
            if part == Self::AUTO {
                ports.auto = true;
            } else {
                ports.named.extend(range(part)?);
            }
        }
        Ok(ports)
    }
}

/// A port, or all from one to another.
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = port(first)?..=port(last)?;
    if range.is_empty() {
        return Err(format!("{text} is no range: the lower port comes first"));
    }
    Ok(range)
}

fn port(text: &str) -> Result<u16, String> {
    let number: u64 = text
        .trim()
        .parse()
        .map_err(|_not_a_number| format!("`{text}` is no port: use 1433, 11000-11999 or auto"))?;
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("{number} is not in 1..=65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(bool, Vec<u16>), String> {
        let ports: Ports = text.parse()?;
        Ok((ports.auto, ports.named.into_iter().collect()))
    }

    #[test]
    fn ports_are_named_one_by_one_in_ranges_and_by_what_is_learned() {
        assert_eq!(read("1433"), Ok((false, vec![1433])));
        let list = read("1433, 11000-11002,1433");
        assert_eq!(list, Ok((false, vec![1433, 11000, 11001, 11002])));
        assert_eq!(read("7-7"), Ok((false, vec![7])));
        assert_eq!(read("auto"), Ok((true, vec![])));
        assert_eq!(read("auto,65535"), Ok((true, vec![65535])));
        assert_eq!(read("1-65535").unwrap().1.len(), 65535);
    }

    #[test]
    fn what_is_no_port_is_refused_by_its_name() {
        for (wrong, word) in [
            ("0", "0 is not in 1..=65535"),
            ("70000", "70000 is not in 1..=65535"),
            ("1433,0-5", "0 is not in"),
            ("5-4", "5-4 is no range"),
            ("1433,", "`` is no port"),
            ("-5", "`` is no port"),
            ("1-2-3", "`2-3` is no port"),
            ("Auto", "auto"),
            ("mssql", "11000-11999"),
        ] {
            let complaint = read(wrong).expect_err(wrong);
            assert!(complaint.contains(word), "{wrong}: {complaint}");
        }
    }

    #[test]
    fn several_lists_are_one_and_none_is_what_is_learned() {
        let lists = ["1433", "11000-11001"].map(|list| list.parse().unwrap());
        let all = Ports::all(lists);
        assert!(!all.auto && all.contains(1433) && all.contains(11001) && !all.contains(1434));
        let none = Ports::all([]);
        assert!(none.auto && none.contains(1433) && !none.contains(1434));
        assert_eq!(none.known(), BTreeSet::from([1433]));
        let with_auto = Ports::all(["auto", "5000"].map(|list| list.parse().unwrap()));
        assert_eq!(with_auto.known(), BTreeSet::from([1433, 5000]));
    }
}
