//! Cursors (RFC 9865): where the next page begins, for this query, for a while.
//!
//! Nothing is remembered: the cursor itself says behind which row it stands. So rows that are deleted meanwhile lose
//! nothing, and a cursor can be used again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::scim::error::{ScimError, ScimType};

/// The position behind a row, in the order of a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    /// What the row is sorted by; empty where rows come in the order of their making.
    pub(super) key: String,
    /// The number of the row.
    pub(super) seq: i64,
}

#[derive(Serialize, Deserialize)]
struct Token {
    behind: Position,
    count: Option<i64>,
    query: u64,
    issued: i64,
}

/// Writes a cursor. `query` is a text of all parameters but count.
pub(super) fn write(behind: Position, count: Option<i64>, query: &str, now: DateTime<Utc>) -> String {
    let token = Token { behind, count, query: xxh3_64(query.as_bytes()), issued: now.timestamp_millis() };
    // A struct of plain fields has a JSON.
    let text = serde_json::to_string(&token).unwrap_or_default();
    let mut out = format!("{:016x}", xxh3_64(text.as_bytes()));
    for byte in text.as_bytes() {
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// Reads a cursor that was written for the same query and count, not longer ago than `life`.
///
/// # Errors
/// `invalidCursor`, `invalidCount`, `expiredCursor` (RFC 9865 §2.1).
pub(super) fn read(
    text: &str,
    count: Option<i64>,
    query: &str,
    now: DateTime<Utc>,
    life: Duration,
) -> Result<Position, ScimError> {
    let token = decode(text)
        .filter(|token| token.query == xxh3_64(query.as_bytes()))
        .ok_or_else(|| ScimError::bad(ScimType::InvalidCursor, "the cursor is not one of this query"))?;
    if token.count != count {
        return Err(ScimError::bad(ScimType::InvalidCount, "`count` stays the same from page to page"));
    }
    let age = now.timestamp_millis().saturating_sub(token.issued);
    if u128::try_from(age).is_ok_and(|age| age > life.as_millis()) {
        return Err(ScimError::bad(ScimType::ExpiredCursor, "the cursor is too old; begin anew"));
    }
    Ok(token.behind)
}

fn decode(text: &str) -> Option<Token> {
    let (sum, hex) = text.split_at_checked(16)?;
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<_>>()?;
    (u64::from_str_radix(sum, 16).ok()? == xxh3_64(&bytes)).then(|| serde_json::from_slice(&bytes).ok())?
}
