//! Web pages that were saved where a table was expected: a login page, an error page, an export as HTML.

/// How such pages begin, in lower case.
const BEGINNINGS: [&[u8]; 6] = [b"<!doctype", b"<html", b"<?xml", b"<head", b"<body", b"<!--"];

/// Bytes of a file that tell.
pub(super) const HEAD: usize = 64;

/// Whether a file that begins with these bytes is a page for people and no table. A byte order mark and blanks ahead are
/// passed over.
pub fn is_markup(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    BEGINNINGS
        .iter()
        .any(|beginning| text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning)))
}
