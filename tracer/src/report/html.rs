//! The report as one page that opens from disk: nothing is fetched, and nothing runs that is not its own.

use askama::Template;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{
    draw,
    facts::{Facts, Shown},
};

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    facts: &'a Facts,
    policy: String,
    style: &'static str,
    script: &'static str,
    timeline: String,
    logins: Vec<Drawn<'a>>,
}

/// A login with its charts.
struct Drawn<'a> {
    shown: &'a Shown,
    chart: String,
    usual: Option<String>,
}

/// The page.
pub(super) fn html(facts: &Facts) -> Result<String, askama::Error> {
    let drawn = facts.logins.iter().map(|shown| Drawn {
        shown,
        chart: draw::waterfall(&shown.waterfall, shown.waterfall.whole_ns, &shown.title),
        usual: shown.usual.as_ref().map(|usual| {
            draw::waterfall(usual, usual.whole_ns, "a usual login to the same server")
        }),
    });
    let page = Page {
        facts,
        policy: format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        ),
        style: STYLE,
        script: SCRIPT,
        timeline: draw::timeline(&facts.timeline, &facts.incidents),
        logins: drawn.collect(),
    };
    page.render()
}

/// How a policy names what may be in the page (CSP level 3, section 2.3.1).
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// Figures in the template.
#[expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the macro makes them so"
)]
mod filters {
    use askama::{Result, Values};

    use crate::report::text;

    #[askama::filter_fn]
    pub fn time(nanoseconds: &u64, _: &dyn Values) -> Result<String> {
        Ok(text::time(*nanoseconds))
    }

    #[askama::filter_fn]
    pub fn count(many: &u64, _: &dyn Values) -> Result<String> {
        Ok(text::count(*many))
    }
}
