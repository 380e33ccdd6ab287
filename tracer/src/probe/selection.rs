//! Which interfaces are watched.

use glob::Pattern;

use super::{StartError, iface::Interface};

/// Which interfaces are watched, by their names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Watched ones; none means all.
    pub selected: Vec<Pattern>,
    /// Left out whatever the others say.
    pub excluded: Vec<Pattern>,
}

impl Selection {
    /// Whether an interface of this name is watched.
    pub fn select(&self, name: &str) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        (self.selected.is_empty() || matches(&self.selected)) && !matches(&self.excluded)
    }

    /// Whether anything but all is meant.
    pub fn is_limited(&self) -> bool {
        !self.selected.is_empty() || !self.excluded.is_empty()
    }

    /// Interfaces that were asked for by their full name: one that does not exist is a mistake,
    /// whereas a pattern may wait for interfaces to come.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let literal = |name: &&str| !name.contains(['*', '?', '[']);
        self.selected.iter().map(Pattern::as_str).filter(literal)
    }

    /// Whether each interface asked for by its full name is there; one that is down may come up.
    ///
    /// # Errors
    /// [`StartError::UnknownInterface`] where one is not.
    pub(super) fn all_found(&self, listed: &[Interface]) -> Result<(), StartError> {
        let found = |name: &&str| listed.iter().any(|known| known.name == *name);
        match self.named().find(|name| !found(name)) {
            Some(name) => Err(StartError::UnknownInterface(name.to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interface, Selection};

    fn patterns(selected: &[&str], excluded: &[&str]) -> Selection {
        let parse = |names: &[&str]| {
            names
                .iter()
                .map(|name| name.parse().expect("a pattern"))
                .collect()
        };
        Selection {
            selected: parse(selected),
            excluded: parse(excluded),
        }
    }

    #[test]
    fn all_interfaces_are_watched_unless_some_are_named() {
        assert!(patterns(&[], &[]).select("eth0"));
        assert!(patterns(&["eth*"], &[]).select("eth0"));
        assert!(!patterns(&["eth*"], &[]).select("lo"));
    }

    #[test]
    fn an_excluded_interface_is_not_watched_even_if_named() {
        assert!(!patterns(&["eth*"], &["eth1"]).select("eth1"));
        assert!(!patterns(&[], &["veth?"]).select("veth1"));
    }

    #[test]
    fn an_interface_that_is_down_is_there() {
        let listed = [Interface {
            index: 2,
            name: "eth1".to_owned(),
            up: false,
            has_link_header: true,
        }];
        assert!(patterns(&["eth1", "veth*"], &[]).all_found(&listed).is_ok());
        assert!(patterns(&["eth2"], &[]).all_found(&listed).is_err());
    }

    #[test]
    fn full_names_are_told_apart_from_patterns() {
        let patterns = patterns(&["eth0", "veth*"], &["lo"]);
        assert_eq!(patterns.named().collect::<Vec<_>>(), ["eth0"]);
    }
}
