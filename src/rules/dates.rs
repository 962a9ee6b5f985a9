//! Dates in rules are text: `2026-01-31`, or with a time `2026-01-31T08:30:00Z`. Whatever has another form is brought
//! into this one by `parseDate`, and into any other one by `formatDate`. A time without an offset is taken for UTC.
//!
//! Formats are those of the `chrono` crate, which are those of strftime (`%d.%m.%Y`).

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::rc::Rc;

use chrono::format::{Item, Parsed, StrftimeItems, parse as parse_items};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

/// What a text says.
enum Moment {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

/// Why a format is none; `None` where it is one.
pub(super) fn problem(format: &str) -> Option<String> {
    items(format).err()
}

/// A format as it is written, and what it consists of.
type Known = (String, Rc<[Item<'static>]>);

/// So many formats are kept: rules have the same few for row after row.
const KEPT: usize = 8;

thread_local! {
    /// The formats that were read last.
    static LAST: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// What a format consists of.
fn items(format: &str) -> Result<Rc<[Item<'static>]>, String> {
    let known = LAST.with_borrow(|last| last.iter().find(|(text, _)| text == format).map(|(_, items)| items.clone()));
    if let Some(items) = known {
        return Ok(items);
    }
    let wrong = || format!("`{format}` is not the format of a date; write it like `%d.%m.%Y`");
    if format.trim().is_empty() {
        return Err(wrong());
    }
    let items: Rc<[Item<'static>]> = StrftimeItems::new(format).parse_to_owned().map_err(|_| wrong())?.into();
    LAST.with_borrow_mut(|last| {
        if last.len() == KEPT {
            last.remove(0);
        }
        last.push((format.to_owned(), items.clone()));
    });
    Ok(items)
}

/// An instant as rules write it.
pub(super) fn written(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The date that stands in a text of some format. Nothing stays nothing.
pub(super) fn parse(text: &str, format: &str) -> Result<String, String> {
    let items = items(format)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(String::new());
    }
    let wrong = || format!("`{text}` is not a date of the format `{format}`");
    let mut parsed = Parsed::new();
    parse_items(&mut parsed, text, items.iter()).map_err(|_| wrong())?;
    // `%Y` takes `24` for the year 24, which nobody was born in.
    if parsed.year().is_some_and(|year| (0..1000).contains(&year)) {
        return Err(format!("{}: its year has less than four digits, which `%y` reads", wrong()));
    }
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
    let items = items(format)?;
    let mut out = String::new();
    // Formatting fails where a day is asked for its hour, and only when it is written.
    let shown: fmt::Result = match moment(text)? {
        None => Ok(()),
        Some(Moment::Day(day)) => write!(out, "{}", day.format_with_items(items.iter())),
        Some(Moment::Time(time)) => write!(out, "{}", time.format_with_items(items.iter())),
    };
    shown.map_err(|_| format!("`{text}` has nothing that the format `{format}` asks for"))?;
    Ok(out)
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

/// The instant of a text; of a day its beginning in UTC.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    match moment(text)? {
        Some(Moment::Day(day)) => Ok(day.and_time(NaiveTime::MIN).and_utc()),
        Some(Moment::Time(time)) => Ok(time),
        None => Err("there is no date: the text is empty".to_owned()),
    }
}

fn moment(text: &str) -> Result<Option<Moment>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(day) = plain_day(text).or_else(|| text.parse().ok()) {
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

/// `2026-01-31`, as nearly all days are written, without the parser that takes anything.
fn plain_day(text: &str) -> Option<NaiveDate> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return None };
    let digits = |of: &[u8]| {
        of.iter().try_fold(0u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    NaiveDate::from_ymd_opt(digits(&[y1, y2, y3, y4])?.try_into().ok()?, digits(&[m1, m2])?, digits(&[d1, d2])?)
}
