//! Durations and rates as job files write them.

use std::time::Duration;

const UNITS: [(char, u64); 6] =
    [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 7 * 86_400), ('y', 365 * 86_400)];

/// A duration: a whole number and a unit (`s`, `m`, `h`, `d`, `w`, `y` of 365 days), one after the other: `72h`, `30d`, `1h30m`.
///
/// # Errors
/// A sentence that says what is wrong and how to write it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write a number and a unit: 30s, 10m, 72h, 30d, 2w, 1y");
    let mut seconds: u64 = 0;
    let mut digits = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let unit = UNITS.iter().find(|(unit, _)| *unit == character).map(|(_, seconds)| *seconds);
        let number: Option<u64> = digits.parse().ok();
        let part = unit.zip(number).and_then(|(unit, number)| number.checked_mul(unit));
        seconds = part.and_then(|part| seconds.checked_add(part)).ok_or_else(wrong)?;
        digits.clear();
    }
    if text.is_empty() || !digits.is_empty() {
        return Err(wrong());
    }
    if seconds == 0 {
        return Err(format!("`{text}` is no time at all; the least is 1s"));
    }
    Ok(Duration::from_secs(seconds))
}

/// A duration, or `forever`, which is none.
///
/// # Errors
/// As of [`duration`].
pub fn or_forever(text: &str) -> Result<Option<Duration>, String> {
    if text == "forever" { Ok(None) } else { duration(text).map(Some).map_err(|wrong| format!("{wrong}; or forever")) }
}

/// A time that divides an hour or a day evenly, so that a clock can tell when the next one begins: `15m`, `6h`.
///
/// # Errors
/// A sentence that says what is wrong and how to write it.
pub fn interval(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    let minutes = time.as_secs() / 60;
    let is_even = time.as_secs() % 60 == 0
        && (minutes > 0 && minutes < 60 && 60 % minutes == 0
            || minutes >= 60 && minutes % 60 == 0 && minutes < 24 * 60 && 24 % (minutes / 60) == 0);
    match is_even {
        true => Ok(time),
        false => Err(format!(
            "`{text}` divides neither an hour nor a day evenly; write minutes such as 5m, 10m, 15m, 30m, or hours such as 1h, 2h, 4h, 6h, 12h"
        )),
    }
}

/// A rate in requests a second: `25/s`, `600/m`, `1000/h`.
///
/// # Errors
/// A sentence that says what is wrong and how to write it.
pub fn rate(text: &str) -> Result<f64, String> {
    let parts = text.split_once('/').and_then(|(number, unit)| {
        let number: u32 = number.trim().parse().ok()?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        (number > 0).then_some(f64::from(number) / seconds)
    });
    parts.ok_or_else(|| format!("`{text}` is no rate; write a number above 0 and a unit: 25/s, 600/m, 1000/h"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_rates_are_read_and_mistakes_refused() {
        assert_eq!(duration("72h").unwrap().as_secs(), 259_200);
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5_400);
        assert_eq!(duration("10y").unwrap().as_secs(), 3_650 * 86_400);
        for wrong in ["", "72", "h", "0s", "5 h", "-3d", "99999999999999999999w", "1.5h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rate("600/m").unwrap(), 10.0);
        for wrong in ["", "25", "0/s", "25/x", "/s", "2.5/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
