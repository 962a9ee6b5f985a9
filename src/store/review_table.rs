//! A table as a spreadsheet saved it: encoding and delimiter are found out, empty rows and columns left out.

use crate::snapshot::markup::is_markup;

/// Characters that are shown on each side of where a file ceases to be text.
const AROUND: usize = 30;

/// The rows of a table; cells as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The header's cells, trimmed and in lower case.
    pub(super) header: Vec<String>,
    /// Each row that is not empty, with its number in the file (the header is row 1).
    pub(super) rows: Vec<(usize, Vec<String>)>,
}

/// Reads a table whose header should hold `wanted` columns; the error says what the file is instead.
pub(super) fn read(bytes: &[u8], wanted: &[&str]) -> Result<Table, String> {
    let text = decode(bytes, wanted)?;
    let (text, named) = match text.split_once(['\n', '\r']) {
        // Some spreadsheets write and obey a first line that names the delimiter.
        Some((first, rest)) if first.len() == 5 && first.starts_with("sep=") => {
            (rest.trim_start_matches('\n'), first.bytes().last())
        }
        _ => (text.as_str(), None),
    };
    let fit = |delimiter: u8| {
        let mut first = csv::StringRecord::new();
        let read = reader(text, delimiter).read_record(&mut first);
        let known = first.iter().filter(|cell| wanted.contains(&cell.trim().to_lowercase().as_str())).count();
        if matches!(read, Ok(true)) { known } else { 0 }
    };
    let delimiter =
        named.unwrap_or_else(|| [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| fit(*d)).unwrap_or(b','));
    let mut rows = Vec::new();
    let mut header = None;
    for (i, record) in reader(text, delimiter).records().enumerate() {
        let record = record.map_err(|e| format!("row {}: {e}", i + 1))?;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        match header {
            None => header = Some(record.iter().map(|cell| cell.trim().to_lowercase()).collect()),
            Some(_) => rows.push((i + 1, record.iter().map(str::to_owned).collect())),
        }
    }
    header.map(|header| Table { header, rows }).ok_or_else(|| "the file is empty".to_owned())
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
}

/// UTF-8 with or without BOM, UTF-16 of either byte order with BOM.
fn decode(bytes: &[u8], wanted: &[&str]) -> Result<String, String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("it begins as UTF-16 and ends in the middle of a character".to_owned());
        }
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
            .collect::<Result<String, _>>()
            .map_err(|e| format!("it begins as UTF-16 and is not: {e}"))
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            if bytes.starts_with(b"PK\x03\x04") {
                return Err("it is a workbook, not a CSV file; save it as CSV UTF-8".to_owned());
            }
            if is_markup(bytes) {
                return Err("it is a web page, not a CSV file; save the review file itself".to_owned());
            }
            String::from_utf8(bytes.to_vec()).map_err(|e| {
                let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
                let first = String::from_utf8_lossy(first).to_lowercase();
                if !wanted.iter().any(|column| first.contains(column)) {
                    return "it is neither text in UTF-8 nor a review file by its first line; give the review file"
                        .to_owned();
                }
                let (before, rest) = bytes.split_at(e.utf8_error().valid_up_to());
                let line = before.split(|b| *b == b'\n').count();
                let from = before.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
                let rest = rest.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
                let (before, rest) = (String::from_utf8_lossy(&before[from..]), String::from_utf8_lossy(rest));
                let before = &before[before.char_indices().rev().nth(AROUND - 1).map_or(0, |(at, _)| at)..];
                let found: String = before.chars().chain(rest.chars().take(AROUND)).collect();
                format!("it was saved in another encoding, line {line} reads `{found}`; save it as CSV UTF-8")
            })
        }
    }
}
