//! Values that are typed with units.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use jiff::SignedDuration;

use crate::{
    confine::user::Choice,
    record::{ConnectionId, Nanos, Outcome},
    run::Wanted,
};

/// A time with its unit, as [`duration`]; a bare number is of milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<Nanos, String> {
    let duration = match text.parse::<f64>() {
        Ok(value) => Duration::try_from_secs_f64(value / 1000.0).ok(),
        Err(_) => with_unit(text),
    };
    duration
        .and_then(|duration| u64::try_from(duration.as_nanos()).ok())
        .map(Nanos)
        .ok_or_else(|| "give a time such as 250ms or 2s".to_owned())
}

/// A connection's id.
pub(super) fn connection(text: &str) -> Result<ConnectionId, String> {
    text.parse()
        .map_err(|_not_an_id| "give an id of 16 hex digits, as `connection.id` has it".to_owned())
}

/// How a login ended.
pub(super) fn outcome(text: &str) -> Result<Outcome, String> {
    let found = Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| {
        let names = Outcome::ALL.map(Outcome::as_str).join(", ");
        format!("use one of {names}")
    })
}

/// A process, by its id or its name.
pub(super) fn process(text: &str) -> Result<Wanted, String> {
    match text.parse() {
        Ok(0) => Err("no process has the id 0".to_owned()),
        Ok(pid) => Ok(Wanted::Id(pid)),
        Err(_) if text.trim().is_empty() => Err("give a process's name or id".to_owned()),
        Err(_) => Ok(Wanted::Name(text.to_owned())),
    }
}

/// As whom the agent goes on.
pub(super) fn user(text: &str) -> Result<Choice, String> {
    match text {
        "" => Err("give a user's name or number, `auto` or `keep`".to_owned()),
        "auto" => Ok(Choice::Auto),
        "keep" => Ok(Choice::Keep),
        name => Ok(Choice::Named(name.to_owned())),
    }
}

/// A time with its unit, as `90s`, `1m 30s` or `1.5h`; a bare number is of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        Err(_) => with_unit(text),
    };
    let parsed = parsed.filter(|duration| !duration.is_zero());
    parsed.ok_or_else(|| "give a time such as 30s, 5m or 1h".to_owned())
}

fn with_unit(text: &str) -> Option<Duration> {
    let signed = text.parse::<SignedDuration>().ok()?;
    Duration::try_from(signed).ok()
}

/// Where to listen, as `9433` of the loopback address or `192.0.2.1:9433`.
pub(super) fn listener(text: &str) -> Result<SocketAddr, String> {
    let address = match text.parse::<u16>() {
        Ok(port) => Some((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text.parse().ok(),
    };
    address.ok_or_else(|| "give a port, or an address and port such as 192.0.2.1:9433".to_owned())
}

/// Bytes, as `65536`, `64K`, `8M` or `1G`.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let shift = match unit {
        "" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(wrong_bytes()),
    };
    let value: u64 = digits.parse().map_err(|_not_a_number| wrong_bytes())?;
    value.checked_mul(1 << shift).ok_or_else(wrong_bytes)
}

fn wrong_bytes() -> String {
    "give a number of bytes, such as 65536, 64K or 8M".to_owned()
}

/// Bytes of the flight recorder: a login has some 10 KiB.
pub(super) fn recorder_bytes(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes >= 1 << 20 => Ok(bytes),
        _ => Err("give at least 1M".to_owned()),
    }
}

/// Bytes that an output file may have: one line has up to 64 KiB.
pub(super) fn output_bytes(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 1 << 20;
    match bytes(text)? {
        least @ LEAST.. => Ok(least),
        _ => Err("use 1M at least".to_owned()),
    }
}

/// Bytes kept of each direction of a login.
pub(super) fn login_bytes(text: &str) -> Result<u32, String> {
    match bytes(text)? {
        kept @ 512..=131_072 => Ok(kept as u32),
        _ => Err("use 512 to 128K: no LOGIN7 is longer than 128K".to_owned()),
    }
}

/// Size of a ring buffer: the kernel wants a power of two, a page at least.
pub(super) fn ring_bytes(text: &str) -> Result<u32, String> {
    const LEAST: u64 = 16 << 10;
    const MOST: u64 = 1 << 30;
    let asked = bytes(text)?;
    let nearest = asked.clamp(LEAST, MOST).next_power_of_two();
    if nearest == asked {
        Ok(asked as u32)
    } else {
        Err(format!("the kernel wants a power of two: use {nearest}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, login_bytes, milliseconds, ring_bytes};
    use crate::record::Nanos;

    #[test]
    fn milliseconds_may_have_decimals_or_units() {
        assert_eq!(milliseconds("250"), Ok(Nanos(250_000_000)));
        assert_eq!(milliseconds("0.5"), Ok(Nanos(500_000)));
        assert_eq!(milliseconds("250ms"), Ok(Nanos(250_000_000)));
        assert_eq!(milliseconds("1.5s"), Ok(Nanos(1_500_000_000)));
        for wrong in ["-1", "inf", "NaN", "", "1e300"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-5s", "soon", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ring_sizes_are_powers_of_two_and_the_complaint_names_the_next() {
        assert_eq!(ring_bytes("8M"), Ok(8 << 20));
        assert_eq!(ring_bytes("64KiB"), Ok(65_536));
        assert!(ring_bytes("100000").is_err_and(|complaint| complaint.ends_with("use 131072")));
        assert!(ring_bytes("1").is_err_and(|complaint| complaint.ends_with("use 16384")));
        assert!(ring_bytes("4096M").is_err());
    }

    #[test]
    fn login_bytes_are_bounded() {
        assert_eq!(login_bytes("16384"), Ok(16_384));
        assert!(login_bytes("0").is_err());
        assert!(login_bytes("129K").is_err());
    }
}
