//! Numbers in sentences.

/// A number with a comma between groups of three digits: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with its noun, which takes an `s` unless there is one of it: `1 order`, `2,000 orders`.
pub fn counted(number: u64, noun: &str) -> String {
    let mut text = format!("{} {noun}", count(number));
    if number != 1 {
        text.push('s');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0".to_owned(), "999".to_owned(), "1,000".to_owned(), "1,234,567".to_owned()]
        );
        assert_eq!(counted(1, "order"), "1 order");
        assert_eq!(counted(2000, "order"), "2,000 orders");
    }
}
