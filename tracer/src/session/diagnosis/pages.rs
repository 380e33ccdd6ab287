//! What is to be said of causes, for a person: Markdown.

use std::fmt::Write as _;

use super::{Cause, causes};
#[cfg(test)]
use super::{Found, Ranked};
#[cfg(test)]
use crate::record::Diagnosis;
use crate::record::Whom;

/// What stands before the pages.
const OPENING: &str = "\
# Causes

What `diagnosis.cause` says, and what is to be done then; `tds-tracer explain CAUSE` prints one of these pages. The
names bind. This page is written by `cargo xtask causes --write`, from the same files as the rules.

`diagnosis` stands in the `login`, `pending` and `close` lines of logins that failed, are undecided for long, or were
slow. Slow is a login that took `--slow` or longer as a whole or in a phase, or a second, where that is not given; and one
that waited for the server in a phase for a quarter of a second or longer, ten times as long as half of the logins to that
server wait there (`usual_ns`), and longer than all but one in a hundred of them (`usual_p99_ns`, known of a hundred). What is
usual is learnt of each server from its logins that went well, eight at least; old ones count less and less, and `--state`
keeps it from one run to the next.

It lists up to three causes, most likely first, each with the figures that it rests on; to no more than 0.5 where a login
is slow for its server only. `phase`, `side` and `waited_ns` are where most of the time went, with `unanswered` where the
server never ended that wait; of a login that ended at once `phase` and `ended_by`. Where a login waited for long more than
once, the likeliest cause of each such wait is told with its own `phase` and `side`. A login that went well in no more than its
time has none; `encryption_downgraded` is told of it all the same, and its `close` may say how the connection was cut.

All of it is read from the connection itself, from what other logins to the same server did meanwhile, and from whose
attempt it is, where those are put together. `diagnosis` in an `attempt` line has what the attempt shows as a whole, and the
causes of the login that decided it.

Live the host adds what it knows: whether the client's process could run, what lay unread in its socket, how full the
socket was that the server listens on, and what the network namespaces of both ends counted meanwhile. It is looked at as a
login begins, each second while one is not decided, and at the end of one that failed or was slow. A counter that others
move too is never sure alone. In replay nothing is known of a host.
";

/// The names of all causes.
pub(in crate::session) fn slugs() -> impl Iterator<Item = &'static str> {
    all().map(|cause| cause.slug)
}

/// All causes.
fn all() -> impl Iterator<Item = &'static Cause> {
    causes::ALL.iter().copied().chain([&causes::UNKNOWN])
}

/// Every cause as it is told, without evidence.
#[cfg(test)]
pub(crate) fn every() -> Vec<Diagnosis> {
    let told = |cause| Ranked::new(cause, Found::at(0.9)).told();
    all().map(told).collect()
}

/// What is said of a cause in a report.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// It in a few words.
    pub meaning: &'static str,
    /// What was seen of it, in words around the evidence; see [`crate::record::Diagnosis::seen`].
    pub seen: &'static str,
    /// Where it is seen confirmed, in Markdown.
    pub confirm: &'static str,
    /// What helps, in Markdown.
    pub mend: &'static str,
}

/// The words of a cause; `None` where there is none of that name.
pub fn words(slug: &str) -> Option<Words> {
    let cause = all().find(|cause| cause.slug == slug)?;
    Some(Words {
        meaning: cause.meaning,
        seen: cause.seen,
        confirm: cause.page.confirm,
        mend: cause.page.mend,
    })
}

/// The page of a cause; `None` where there is none of that name.
pub fn explain(slug: &str) -> Option<String> {
    all().find(|cause| cause.slug == slug).map(page)
}

/// The names of all causes, each with what it means in a few words.
pub fn list() -> String {
    let longest = all()
        .map(|cause| cause.slug.len())
        .max()
        .unwrap_or_default();
    all().fold(String::new(), |mut text, cause| {
        // Writing to memory does not fail.
        let _in_memory = writeln!(text, "{:<longest$}  {}", cause.slug, cause.meaning);
        text
    })
}

/// All pages, as one document.
pub fn reference() -> String {
    let mut text = OPENING.to_owned();
    text.push_str("\n| cause | is | for |\n|---|---|---|\n");
    for cause in all() {
        let slug = cause.slug;
        let row = format!(
            "| [`{slug}`](#{slug}) | {} | {} |\n",
            cause.meaning,
            whom(cause)
        );
        text.push_str(&row);
    }
    for cause in all() {
        text.push('\n');
        text.push_str(&page(cause));
    }
    text
}

fn page(cause: &Cause) -> String {
    let page = &cause.page;
    let mut text = format!(
        "## {}\n\n{}. For: {}.\n",
        cause.slug,
        capital(cause.meaning),
        whom(cause)
    );
    for (name, said) in [
        ("What happens", page.means),
        ("How it is known", page.signs),
        ("What speaks against it", page.against),
        ("Where to see it confirmed", page.confirm),
        ("What helps", page.mend),
    ] {
        let part = format!("\n**{name}.** {said}\n");
        text.push_str(&part);
    }
    if !page.reports.is_empty() {
        let part = format!("\n**Public reports.** {}.\n", page.reports.join(", "));
        text.push_str(&part);
    }
    text
}

fn whom(cause: &Cause) -> &'static str {
    match cause.whom {
        Some(Whom::Application) => "application",
        Some(Whom::Database) => "database",
        Some(Whom::Network) => "network",
        Some(Whom::Identity) => "identity",
        Some(Whom::Host) => "host",
        None => "nobody",
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(rest).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn the_checked_in_pages_are_what_the_causes_say() {
        let checked_in = include_str!("../../../../docs/causes.md");
        let is_same = checked_in == reference();
        assert!(is_same, "run `cargo xtask causes --write`");
    }

    #[test]
    fn every_cause_has_a_name_of_its_own_and_a_page_that_says_all() {
        let slugs: BTreeSet<_> = all().map(|cause| cause.slug).collect();
        assert_eq!(slugs.len(), all().count());
        for slug in &slugs {
            let named = slug
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
            assert!(named, "{slug}");
            assert!(explain(slug).is_some_and(|page| page.contains("What helps")));
            assert!(
                !OPENING.contains(&format!("`{slug}`"))
                    || OPENING.contains("encryption_downgraded")
            );
        }
        assert_eq!(explain("no_such_cause"), None);
    }

    #[test]
    fn what_is_said_of_a_cause_names_only_evidence_that_it_tells() {
        // Told of every cause, and what is told of every server that is slow.
        let common = [
            "phase",
            "side",
            "waited_ns",
            "ended_by",
            "unanswered",
            "was_asked",
            "usual_ns",
            "stalled_with_it",
            "questions",
            "unanswered_questions",
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/session/diagnosis/causes");
        for cause in all() {
            let file = folder.join(cause.slug).with_extension("rs");
            let source = fs::read_to_string(file).expect("the cause's file");
            assert!(!cause.seen.is_empty(), "{}", cause.slug);
            for name in cause.seen.split('{').skip(1) {
                let name = name.split(['}', '?']).next().unwrap_or_default();
                let is_told = source.contains(&format!("\"{name}\""));
                assert!(is_told || common.contains(&name), "{}: {name}", cause.slug);
            }
        }
    }

    #[test]
    fn links_between_pages_lead_somewhere() {
        let text = reference();
        for link in text.split("](#").skip(1) {
            let slug = link.split(')').next().expect("a link");
            assert!(explain(slug).is_some(), "{slug}");
        }
    }
}
