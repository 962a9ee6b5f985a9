//! review.csv: one row an order, for any spreadsheet, and read back with everything that spreadsheets do to a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::review_cell::{is_reencoded, is_same, typed, written};
use super::review_problem::{Problems, ReviewProblem};
use super::review_table;
use super::whole_file::WholeFile;
use crate::model::approval::Decision;
use crate::model::numbers::counted;
use crate::model::order::{Order, OrderId};

/// The columns, in the order in which they are written.
pub const COLUMNS: [&str; 12] = [
    "decision",
    "order",
    "operation",
    "resource",
    "key",
    "name",
    "changes",
    "cause",
    "reason",
    "confidence",
    "takes_along",
    "comment",
];

/// Rows of one file at most; a plan of more orders goes on in review-2.csv, and so on.
pub const ROWS_A_FILE: usize = 1_000_000;

/// What a person filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewDecisions {
    /// Decided orders; those with an empty decision still wait.
    pub decisions: BTreeMap<OrderId, Decision>,
    /// Comments by order.
    pub comments: BTreeMap<OrderId, String>,
}

/// One order's row, its decision and comment empty.
pub fn row(order: &Order) -> [Cow<'_, str>; 12] {
    let value = |value: &Option<crate::model::value::Value>| match value {
        Some(value) => value.to_cell().replace('\r', "\\r").replace('\n', "\\n"),
        None => "(absent)".to_owned(),
    };
    let renamed = order.renamed_from.iter().map(|was| {
        let plain = |key: &str| key.replace('\r', "\\r").replace('\n', "\\n");
        format!("renamed: {} → {}", plain(was), plain(&order.key))
    });
    let changes: Vec<String> = renamed
        .chain(
            order
                .changes
                .iter()
                .map(|change| format!("{}: {} → {}", change.attribute, value(&change.before), value(&change.after))),
        )
        .collect();
    let mut reason = match &order.block {
        Some(block) => Cow::Owned(format!("blocked, {}: {}", block.reason, block.detail)),
        None => Cow::Borrowed(order.reason.as_str()),
    };
    if let Some(why) = &order.irreversible {
        let reason = reason.to_mut();
        reason.push_str("; cannot be undone: ");
        reason.push_str(why);
    }
    let resource = [&order.resource.system, ".", &order.resource.resource].concat();
    [
        Cow::Borrowed(""),
        written(Cow::Borrowed(&order.id.0)),
        written(Cow::Borrowed(order.operation.word())),
        written(Cow::Owned(resource)),
        written(Cow::Borrowed(&order.key)),
        written(Cow::Borrowed(&order.name)),
        written(Cow::Owned(changes.join("\n"))),
        written(Cow::Borrowed(order.cause.word())),
        written(reason),
        written(Cow::Owned(order.confidence.to_string())),
        written(Cow::Owned(order.takes_along.join("\n"))),
        Cow::Borrowed(""),
    ]
}

/// Writes rows for these orders: UTF-8 with BOM, so that spreadsheets see what it is.
///
/// # Errors
/// When the output cannot be written.
pub fn write(orders: &[Order], output: impl Write) -> std::io::Result<()> {
    let mut output = output;
    output.write_all(b"\xEF\xBB\xBF")?;
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(output);
    writer.write_record(COLUMNS)?;
    for order in orders {
        writer.write_record(row(order).iter().map(|cell| cell.as_bytes()))?;
    }
    writer.flush()
}

/// Writes the review files of a plan, to be shown with its other files.
pub(super) fn begin(folder: &Path, orders: &[Order]) -> Result<Vec<(PathBuf, WholeFile)>, StoreError> {
    let mut files = Vec::new();
    let mut rest = orders;
    loop {
        let (part, more) = rest.split_at(rest.len().min(ROWS_A_FILE));
        let name = if files.is_empty() { "review.csv".to_owned() } else { format!("review-{}.csv", files.len() + 1) };
        let path = folder.join(name);
        let mut file = WholeFile::begin(&path)?;
        write(part, &mut file).map_err(|source| file.error(source))?;
        file.sync()?;
        files.push((path, file));
        if more.is_empty() {
            return Ok(files);
        }
        rest = more;
    }
}

/// Reads a review file back and holds every row against the plan's orders, in the plan's sequence.
///
/// Where the plan was split into several files, each is read on its own: all rows of its part have to be there.
///
/// # Errors
/// All problems of the file at once (of more than ten of one kind, the number).
pub fn read(bytes: &[u8], orders: &[Order]) -> Result<ReviewDecisions, Vec<ReviewProblem>> {
    read_parts(bytes, orders, ROWS_A_FILE)
}

fn read_parts(bytes: &[u8], orders: &[Order], rows_a_file: usize) -> Result<ReviewDecisions, Vec<ReviewProblem>> {
    let table = review_table::read(bytes, &COLUMNS).map_err(|what| vec![ReviewProblem::NoTable { what }])?;
    let positions = columns(&table.header)?;
    let by_id: HashMap<&str, usize> = orders.iter().enumerate().map(|(i, order)| (order.id.0.as_str(), i)).collect();
    let id_of = |cells: &'_ Vec<String>| cells.get(positions[1]).map_or("", |cell| typed(cell)).to_owned();
    if let Some((_, first)) = table.rows.first()
        && OrderId::is_id(&id_of(first))
        && !table.rows.iter().any(|(_, cells)| by_id.contains_key(id_of(cells).as_str()))
    {
        return Err(vec![ReviewProblem::OtherPlan { first: OrderId(id_of(first)) }]);
    }
    let mut seen: HashMap<usize, usize> = HashMap::with_capacity(table.rows.len());
    let mut result = ReviewDecisions::default();
    let mut problems = Problems::default();
    let mut reencoded = Vec::new();
    for (row, cells) in &table.rows {
        let row = *row;
        let cell = |column: usize| cells.get(positions[column]).map_or("", String::as_str);
        let beyond = cells.iter().enumerate().find(|(i, text)| !positions.contains(i) && !text.trim().is_empty());
        if let Some((_, found)) = beyond {
            problems.add(ReviewProblem::Beyond { row, found: beginning(found) });
        }
        let id = typed(cell(1));
        let Some(index) = by_id.get(id).copied() else {
            problems.add(ReviewProblem::OtherOrder { row, found: beginning(id) });
            continue;
        };
        let order = &orders[index];
        if let Some(first) = seen.insert(index, row) {
            problems.add(ReviewProblem::Twice { row, first, order: order.id.clone() });
            continue;
        }
        for (column, expected) in self::row(order).iter().enumerate().skip(2).take(9) {
            if is_same(expected, cell(column)) {
                continue;
            }
            if is_reencoded(expected, cell(column)) {
                reencoded.push((row, column, difference(expected, cell(column))));
            } else {
                let (expected, found) = difference(expected, cell(column));
                let (column, order) = (COLUMNS[column], order.id.clone());
                problems.add(ReviewProblem::Changed { row, column, order, expected, found });
            }
        }
        match decision(cell(0)) {
            Ok(Some(decision)) => drop(result.decisions.insert(order.id.clone(), decision)),
            Ok(None) => {}
            Err(hint) => {
                let found = beginning(cell(0).trim());
                problems.add(ReviewProblem::Decision { row, found, hint });
            }
        }
        let comment = typed(cell(11));
        if !comment.is_empty() {
            result.comments.insert(order.id.clone(), comment.to_owned());
        }
    }
    for (part, of_part) in orders.chunks(rows_a_file).enumerate() {
        let first = part * rows_a_file;
        let indices = first..first + of_part.len();
        let whole = orders.len() <= rows_a_file;
        if !whole && !indices.clone().any(|i| seen.contains_key(&i)) {
            continue;
        }
        for order in indices.filter(|i| !seen.contains_key(i)).map(|i| &orders[i]) {
            problems.add(ReviewProblem::Missing {
                order: order.id.clone(),
                label: beginning(&format!("{} {} {}", order.operation, order.resource, order.key)),
            });
        }
    }
    let cells = counted(reencoded.len() as u64, "cell");
    if let Some((row, column, (expected, found))) = reencoded.into_iter().next() {
        problems.add(ReviewProblem::Encoding { cells, row, column: COLUMNS[column], expected, found });
    }
    problems.none().map(|()| result)
}

/// Where each of [`COLUMNS`] stands in the file.
fn columns(header: &[String]) -> Result<[usize; 12], Vec<ReviewProblem>> {
    if !header.iter().any(|name| COLUMNS.contains(&name.as_str())) {
        return Err(vec![ReviewProblem::NoReview { first: beginning(&header.join(",")) }]);
    }
    let mut problems = Problems::default();
    let mut positions = [usize::MAX; 12];
    for (position, name) in header.iter().enumerate() {
        match COLUMNS.iter().position(|column| column == name) {
            Some(column) if positions[column] == usize::MAX => positions[column] = position,
            Some(_) => problems.add(ReviewProblem::TwiceColumn { column: name.clone() }),
            None if name.is_empty() => {}
            None => {
                let hint = nearest(name, &COLUMNS);
                problems.add(ReviewProblem::OtherColumn { column: beginning(name), hint });
            }
        }
    }
    for (column, position) in COLUMNS.iter().copied().zip(&positions) {
        // A comment column that nobody used may be gone; the others are what was reviewed.
        if *position == usize::MAX && column != "comment" {
            problems.add(ReviewProblem::NoColumn { column });
        }
    }
    problems.none().map(|()| positions)
}

/// The decision that a cell holds; the error is a hint.
fn decision(cell: &str) -> Result<Option<Decision>, String> {
    let word = typed(cell).trim().to_lowercase();
    if word.is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = Decision::ALL.iter().map(|decision| decision.word()).collect();
    word.parse().map(Some).map_err(|_| nearest(&word, &words))
}

fn nearest(word: &str, known: &[&str]) -> String {
    let best = known.iter().map(|k| (strsim::jaro_winkler(word, k), *k)).max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(likeness, _)| *likeness > 0.7).map_or_else(String::new, |(_, k)| format!(" (did you mean {k}?)"))
}

/// The beginning of a text in one line.
fn beginning(text: &str) -> String {
    excerpt(text, 0)
}

/// Both texts in one line, from shortly before where they begin to differ.
fn difference(expected: &str, found: &str) -> (String, String) {
    let common = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
    let from = if common > 40 { common - 20 } else { 0 };
    (excerpt(expected, from), excerpt(found, from))
}

fn excerpt(text: &str, from: usize) -> String {
    let shown: String = text.chars().skip(from).take(80).flat_map(char::escape_debug).collect();
    let more = text.chars().nth(from + 80).is_some();
    format!("{}{}{}", if from > 0 { "…" } else { "" }, shown.replace("\\'", "'"), if more { "…" } else { "" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::order::{ObjectKey, Operation};
    use crate::model::resource::ResourceName;
    use crate::model::situation::{Cause, Situation};

    fn order(number: u8) -> Order {
        let resource = ResourceName::new("vault", "users");
        let object = ObjectKey::by_target(&resource, &number.to_string());
        let fingerprint = Order::fingerprint_of(&resource, Operation::Delete, &object, &[]);
        Order {
            id: OrderId::new(&fingerprint, 1),
            fingerprint,
            operation: Operation::Delete,
            resource,
            sync: 0,
            object,
            target_id: Some(number.to_string()),
            source_key: None,
            renamed_from: None,
            source_digest: None,
            key: number.to_string(),
            name: String::new(),
            changes: Vec::new(),
            ends: Vec::new(),
            references: Vec::new(),
            closes: None,
            after: None,
            situation: Situation::Orphan,
            cause: Cause::Source,
            reason: "gone".to_owned(),
            confidence: 100,
            takes_along: Vec::new(),
            thresholds: Vec::new(),
            block: None,
            undoes: None,
            ground: String::new(),
            irreversible: None,
        }
    }

    #[test]
    fn a_part_of_a_split_file_is_read_on_its_own_and_has_to_be_whole() {
        let orders: Vec<Order> = (1..=5).map(order).collect();
        let read_rows = |rows: &[Order]| {
            let mut bytes = Vec::new();
            write(rows, &mut bytes).unwrap();
            read_parts(&bytes, &orders, 2)
        };
        for part in orders.chunks(2) {
            assert!(read_rows(part).is_ok());
        }
        let problems = read_rows(&orders[1..4]).unwrap_err();
        assert!(matches!(&problems[..], [ReviewProblem::Missing { order, .. }] if *order == orders[0].id));
    }
}
