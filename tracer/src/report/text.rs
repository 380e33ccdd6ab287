//! Texts that strangers chose, and figures, as a person reads them.

/// Characters of a text that are shown: what is longer is none that anybody reads.
const MOST: usize = 100;

/// A text without what would rearrange or hide what stands around it, and no longer than is read.
pub(crate) fn shown(text: &str) -> String {
    // As nearly all of them are.
    let plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.len() <= MOST && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(MOST).map(harmless).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters and those that change the direction of writing (Unicode's bidirectional algorithm)
/// are replaced.
fn harmless(c: char) -> char {
    let turns = matches!(c, '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
    if c.is_control() || turns {
        '\u{FFFD}'
    } else {
        c
    }
}

/// A duration with about three digits that matter.
pub(crate) fn time(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let tenth = |unit: u64| format!("{:.1}", nanoseconds as f64 / unit as f64);
    let hundredth = |unit: u64| format!("{:.2}", nanoseconds as f64 / unit as f64);
    match nanoseconds {
        0..1_000_000 => format!("{} µs", nanoseconds.div_ceil(1_000)),
        1_000_000..10_000_000 => format!("{} ms", hundredth(1_000_000)),
        10_000_000..1_000_000_000 => format!("{} ms", tenth(1_000_000)),
        1_000_000_000..120_000_000_000 => format!("{} s", hundredth(1_000_000_000)),
        _ if seconds < 7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A count with its thousands apart.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many things of a kind.
pub(crate) fn number(many: u64, one: &str) -> String {
    format!("{} {one}{}", count(many), if many == 1 { "" } else { "s" })
}

/// A name in words.
pub(crate) fn words(name: &str) -> String {
    shown(name).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_turn_the_writing_round_is_shown_as_nothing_known() {
        assert_eq!(
            shown("a\u{202E}b\nc\u{2066}"),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}"
        );
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), 101);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(number(1, "login"), "1 login");
        for (nanoseconds, text) in [
            (37_275, "38 µs"),
            (8_777_871, "8.78 ms"),
            (61_000_000, "61.0 ms"),
            (14_200_000_000, "14.20 s"),
            (300_000_000_000, "5 min"),
            (9_000_000_000_000, "2 h 30 min"),
        ] {
            assert_eq!(time(nanoseconds), text);
        }
    }
}
