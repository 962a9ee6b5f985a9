//! Cells whose value nobody can tell: what was found out for a row from elsewhere says several things, or cannot be judged.

/// Begins such a cell. A noncharacter, which no text that is exchanged should hold (Unicode, section 23.7); a row that holds
/// it all the same blocks its own order and nothing else.
const MARK: char = '\u{FDD0}';

/// A cell that tells why it has no value.
pub fn disputed(why: &str) -> String {
    format!("{MARK}{why}")
}

/// Why a cell has no value, where nobody can tell it.
#[inline]
pub fn dispute(cell: &str) -> Option<&str> {
    cell.strip_prefix(MARK)
}
