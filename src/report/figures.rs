//! Numbers in front of people.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

pub use crate::model::numbers::{count, counted};

/// A size in bytes, with binary units from 10 KiB on: `9,000 B`, `12.5 MiB`.
pub fn bytes(number: u64) -> String {
    if number < 10 * 1024 {
        return format!("{} B", count(number));
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A point in time to the second, in UTC: `2026-11-22 15:04:05Z`.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long ago something was, in its largest unit: `3 minutes ago`; `just now` below a minute or in the future.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = u64::try_from((now - at).num_minutes()).unwrap_or(0);
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{} ago", counted(minutes, "minute")),
        60..2880 => format!("{} ago", counted(minutes / 60, "hour")),
        _ => format!("{} ago", counted(minutes / 1440, "day")),
    }
}

/// The first of some names, in backquotes, and how many more there are of `all`.
pub fn examples<'a>(names: impl IntoIterator<Item = &'a str>, all: u64, shown: usize) -> String {
    let mut text = String::new();
    let mut told = 0;
    for name in names.into_iter().take(shown) {
        let _ = write!(text, "{}`{}`", if told > 0 { ", " } else { "" }, super::safe_text::line(name));
        told += 1;
    }
    if told > 0 && all > told {
        let _ = write!(text, " and {} more", count(all - told));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_read_well() {
        assert_eq!(bytes(9000), "9,000 B");
        assert_eq!(bytes(13_107_200), "12.5 MiB");
        assert_eq!(examples(["a", "b\n"], 5, 3), r"`a`, `b\n` and 3 more");
        assert_eq!(examples(["a", "b", "c"], 3, 3), "`a`, `b`, `c`");
    }
}
