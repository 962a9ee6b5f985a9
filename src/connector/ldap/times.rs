//! Times as directories write them, and as RFC 3339.

use chrono::{DateTime, FixedOffset, NaiveDate, SecondsFormat, TimeDelta, Utc};

/// A generalized time (RFC 4517 section 3.3.13): `20261122150405.0Z`, `202611221504+0100`.
pub(super) fn from_generalized(text: &str) -> Option<DateTime<Utc>> {
    let end = text.find(['Z', 'z', '+', '-'])?;
    let (local, zone) = text.split_at(end);
    let (digits, fraction) = local.split_once(['.', ',']).unwrap_or((local, ""));
    let number = |from: usize, to: usize| match digits.get(from..to) {
        Some(part) if part.bytes().all(|b| b.is_ascii_digit()) => part.parse::<u32>().ok(),
        Some(_) => None,
        None => (from >= 10 && digits.len() <= from).then_some(0),
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(4, 6)?, number(6, 8)?)?;
    let time = date.and_hms_opt(number(8, 10)?, number(10, 12)?, number(12, 14)?)?;
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let (hours, minutes) =
                (zone.get(1..3)?.parse::<i32>().ok()?, zone.get(3..5).unwrap_or("00").parse::<i32>().ok()?);
            let seconds = hours * 3600 + minutes * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let nanoseconds: i64 = format!("{:0<9.9}", fraction).parse().ok()?;
    // A fraction belongs to the last field that is written; only that of seconds occurs.
    let fraction = if digits.len() == 14 { TimeDelta::nanoseconds(nanoseconds) } else { TimeDelta::zero() };
    let zone = FixedOffset::east_opt(offset)?;
    (time.checked_add_signed(fraction)?).and_local_timezone(zone).single().map(|time| time.to_utc())
}

/// The same, written.
pub(super) fn to_generalized(time: DateTime<Utc>, with_fraction: bool) -> String {
    time.format(if with_fraction { "%Y%m%d%H%M%S.0Z" } else { "%Y%m%d%H%M%SZ" }).to_string()
}

/// Between 1601-01-01, where file times begin, and 1970-01-01, in steps of 100 ns (MS-DTYP section 2.3.3).
const EPOCH: i64 = 116_444_736_000_000_000;

/// A file time of Active Directory; `None` for its two spellings of "never" and for what is no time.
pub(super) fn from_file_time(text: &str) -> Option<DateTime<Utc>> {
    let ticks: i64 = text.parse().ok()?;
    if ticks <= 0 || ticks == i64::MAX {
        return None;
    }
    let since = ticks.checked_sub(EPOCH)?;
    DateTime::from_timestamp(since.div_euclid(10_000_000), u32::try_from(since.rem_euclid(10_000_000) * 100).ok()?)
}

/// The same, written.
pub(super) fn to_file_time(time: DateTime<Utc>) -> String {
    let ticks =
        time.timestamp().saturating_mul(10_000_000).saturating_add(i64::from(time.timestamp_subsec_nanos() / 100));
    ticks.saturating_add(EPOCH).to_string()
}

/// As snapshots write it.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// What a job or a cursor says.
pub(super) fn from_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_spelling_and_written_back() {
        for (text, expected) in [
            ("20261122150405Z", Some("2026-11-22T15:04:05Z")),
            ("20261122150405.0Z", Some("2026-11-22T15:04:05Z")),
            ("20261122150405.123456Z", Some("2026-11-22T15:04:05.123456Z")),
            ("202611221504+0100", Some("2026-11-22T14:04:00Z")),
            ("2026112215Z", Some("2026-11-22T15:00:00Z")),
            ("000001010000Z", Some("0000-01-01T00:00:00Z")),
            ("20261322150405Z", None),
            ("2026112215040xZ", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(from_generalized(text).map(rfc3339).as_deref(), expected, "{text}");
        }
        let time = from_rfc3339("2026-11-22T15:04:05Z").unwrap();
        assert_eq!(to_generalized(time, false), "20261122150405Z");
        assert_eq!(from_generalized(&to_generalized(time, true)), Some(time));
        assert_eq!(from_file_time(&to_file_time(time)), Some(time));
        assert_eq!(from_file_time("133456789012345678").map(rfc3339).unwrap(), "2023-11-28T21:01:41.234567800Z");
        assert_eq!((from_file_time("0"), from_file_time("9223372036854775807")), (None, None));
    }
}
