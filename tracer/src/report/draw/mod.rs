//! Charts, as SVG in the page: looks are the style sheet's, by class.

mod timeline;
mod waterfall;

use askama::filters::{Html, escape};

pub(super) use self::{timeline::timeline, waterfall::waterfall};

/// A text in SVG or HTML, as the template has it.
fn escaped(text: &str) -> String {
    let Ok(safe) = escape(text, Html);
    safe.to_string()
}

/// A round figure of which a few fit into `whole`: 1, 2 or 5 and noughts.
fn round_step(whole: u64, most: u64) -> u64 {
    let mut step = 1;
    loop {
        for factor in [1, 2, 5] {
            if whole / (step * factor) <= most {
                return step * factor;
            }
        }
        step = match step.checked_mul(10) {
            Some(next) if next < u64::MAX / 5 => next,
            _ => return step,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::round_step;

    #[test]
    fn a_scale_has_a_few_round_steps() {
        assert_eq!(round_step(14_200_000_000, 6), 5_000_000_000);
        assert_eq!(round_step(3, 6), 1);
        assert_eq!(round_step(0, 6), 1);
        assert!(u64::MAX / round_step(u64::MAX, 6) <= 60);
    }
}
