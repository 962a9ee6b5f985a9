//! Dates in rules are text: `2026-01-31`, or with a time `2026-01-31T08:30:00Z`. Whatever has another form is brought
//! into this one by `parseDate`, and into any other one by `formatDate`. A time without an offset is taken for UTC.
//!
//! Formats are those of the `chrono` crate, which are those of strftime (`%d.%m.%Y`).

use chrono::format::{Item, Parsed, StrftimeItems, parse as parse_items};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

/// What a text says.
enum Moment {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

/// Why a format is none; `None` where it is one.
pub(super) fn problem(format: &str) -> Option<String> {
    let is_wrong = format.trim().is_empty() || StrftimeItems::new(format).any(|item| matches!(item, Item::Error));
    is_wrong.then(|| format!("`{format}` is not the format of a date; write it like `%d.%m.%Y`"))
}

/// An instant as rules write it.
pub(super) fn written(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The date that stands in a text of some format. Nothing stays nothing.
pub(super) fn parse(text: &str, format: &str) -> Result<String, String> {
    if let Some(problem) = problem(format) {
        return Err(problem);
    }
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let wrong = || format!("`{text}` is not a date of the format `{format}`");
    let mut parsed = Parsed::new();
    parse_items(&mut parsed, text, StrftimeItems::new(format)).map_err(|_| wrong())?;
    if let Ok(time) = parsed.to_datetime() {
        return Ok(written(&time.to_utc()));
    }
    if let Ok(time) = parsed.to_naive_datetime_with_offset(0) {
        return Ok(written(&time.and_utc()));
    }
    parsed.to_naive_date().map(|day| day.to_string()).map_err(|_| wrong())
}

/// A date in another format. Nothing stays nothing.
pub(super) fn format(text: &str, format: &str) -> Result<String, String> {
    if let Some(problem) = problem(format) {
        return Err(problem);
    }
    // Formatting fails where a day is asked for its hour, and only when it is written.
    let write = |shown: &mut dyn FnMut(&mut String) -> std::fmt::Result| {
        let mut out = String::new();
        shown(&mut out).map_err(|_| format!("`{text}` has nothing that the format `{format}` asks for"))?;
        Ok(out)
    };
    use std::fmt::Write as _;
    match moment(text)? {
        None => Ok(String::new()),
        Some(Moment::Day(day)) => write(&mut |out| write!(out, "{}", day.format(format))),
        Some(Moment::Time(time)) => write(&mut |out| write!(out, "{}", time.format(format))),
    }
}

/// A date so many days later, or earlier. Nothing stays nothing.
pub(super) fn add_days(text: &str, days: i64) -> Result<String, String> {
    let Some(moment) = moment(text)? else { return Ok(String::new()) };
    let by = Days::new(days.unsigned_abs());
    let moved = match (&moment, days < 0) {
        (Moment::Day(day), false) => day.checked_add_days(by).map(|day| day.to_string()),
        (Moment::Day(day), true) => day.checked_sub_days(by).map(|day| day.to_string()),
        (Moment::Time(time), false) => time.checked_add_days(by).map(|time| written(&time)),
        (Moment::Time(time), true) => time.checked_sub_days(by).map(|time| written(&time)),
    };
    moved.ok_or_else(|| format!("there is no date {days} days after `{text}`"))
}

fn moment(text: &str) -> Result<Option<Moment>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Some(Moment::Day(day)));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(Moment::Time(time.to_utc())));
    }
    if let Ok(time) = text.parse::<NaiveDateTime>() {
        return Ok(Some(Moment::Time(time.and_utc())));
    }
    Err(format!("`{text}` is not a date like 2026-01-31 or 2026-01-31T08:30:00Z; parseDate(format) makes one of it"))
}
