//! Which logins are counted and shown: `server:sql1 phase:auth took:>2s shop`.

use super::seen::{Fate, Seen};

/// A longer one is cut.
pub(super) const MOST: usize = 200;

/// All of its terms must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) text: String,
    terms: Vec<(Field, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Any,
    Server,
    Client,
    Process,
    Application,
    Host,
    Outcome,
    Phase,
    Cause,
    Error,
    Wait,
    Is,
}

const FIELDS: [(&str, Field); 11] = [
    ("server", Field::Server),
    ("client", Field::Client),
    ("process", Field::Process),
    ("app", Field::Application),
    ("host", Field::Host),
    ("outcome", Field::Outcome),
    ("phase", Field::Phase),
    ("cause", Field::Cause),
    ("error", Field::Error),
    ("wait", Field::Wait),
    ("is", Field::Is),
];
/// What `is:` and `wait:` take.
const SIDES: [&str; 3] = ["client", "network", "server"];

impl Filter {
    /// Reads one as it was typed.
    ///
    /// # Errors
    /// Names what a term begins with that is no field.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let text: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(MOST)
            .collect();
        let terms = text
            .split_whitespace()
            .map(term)
            .collect::<Result<_, _>>()?;
        Ok(Self { text, terms })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn fits(&self, seen: &Seen) -> bool {
        self.terms
            .iter()
            .all(|(field, text)| fits(*field, text, seen))
    }
}

fn term(term: &str) -> Result<(Field, String), String> {
    let lower = term.to_lowercase();
    let Some((name, text)) = lower.split_once(':') else {
        return Ok((Field::Any, lower));
    };
    // An address of IPv6 is none.
    if name.is_empty() || name.starts_with('[') || name.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok((Field::Any, lower.clone()));
    }
    let field = FIELDS.iter().find(|(known, _)| *known == name);
    field
        .map(|(_, field)| (*field, text.to_owned()))
        .ok_or_else(|| {
            let names = FIELDS.map(|(name, _)| name).join(", ");
            format!("there is no `{name}:`, but {names}")
        })
}

fn fits(field: Field, text: &str, seen: &Seen) -> bool {
    let has = |value: &str| value.to_lowercase().contains(text);
    match field {
        Field::Any => [
            &seen.server,
            &seen.client,
            &seen.process,
            &seen.application,
            &seen.outcome,
            &seen.id,
        ]
        .into_iter()
        .any(|value| has(value)),
        Field::Server => has(&seen.server),
        Field::Client => has(&seen.client),
        Field::Process => has(&seen.process),
        Field::Application => has(&seen.application),
        Field::Host => has(&seen.host),
        Field::Outcome => has(&seen.outcome),
        // The one that took longest.
        Field::Phase => seen.slowest_phase().starts_with(text),
        Field::Cause => seen
            .cause
            .as_ref()
            .is_some_and(|(cause, ..)| cause.contains(&text.replace('_', " "))),
        Field::Error => seen.error.is_some_and(|error| error.to_string() == text),
        // Who was waited for most.
        Field::Wait => {
            let waited = seen.waited_ns();
            let most = (0..3).max_by_key(|side| waited[*side]).unwrap_or_default();
            waited[most] > 0 && SIDES[most].starts_with(text)
        }
        Field::Is => match seen.fate {
            Fate::Well => "well".starts_with(text),
            Fate::Slow => "slow".starts_with(text),
            Fate::Failed => "failed".starts_with(text),
        },
    }
}
