//! The review file as spreadsheets give it back.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use muster::model::approval::Decision;
use muster::model::order::{Block, BlockReason, Change, ObjectKey, Operation, Order, OrderId};
use muster::model::resource::ResourceName;
use muster::model::situation::{Cause, Situation};
use muster::model::value::Value;
use muster::store::review_file::{COLUMNS, read, write};
use muster::store::review_problem::ReviewProblem;
use proptest::prelude::*;

fn order(number: usize, key: &str, name: &str, reason: &str, value: &str) -> Order {
    let resource = ResourceName::new("vault", "users");
    let object = ObjectKey::by_target(&resource, &format!("{number}"));
    let changes =
        vec![Change { attribute: "displayName".into(), before: None, after: Value::text(value), cause: Cause::Source }];
    let fingerprint = Order::fingerprint_of(&resource, Operation::Update, &object, &changes);
    Order {
        id: OrderId::new(&fingerprint, 1),
        fingerprint,
        operation: Operation::Update,
        resource,
        sync: 0,
        object,
        target_id: Some(number.to_string()),
        source_key: Some(key.into()),
        renamed_from: None,
        source_digest: None,
        key: key.into(),
        name: name.into(),
        changes,
        ends: Vec::new(),
        references: Vec::new(),
        closes: None,
        after: None,
        situation: Situation::Changed,
        cause: Cause::Source,
        reason: reason.into(),
        confidence: 100,
        takes_along: vec![name.into(), value.into()],
        thresholds: Vec::new(),
        block: None,
        undoes: None,
        ground: String::new(),
        irreversible: None,
    }
}

fn people() -> Vec<Order> {
    vec![
        order(1, "007", "James", "moved", "0049 30"),
        order(2, "'tis", "=cmd()", "2026-11-22", "line\nbreak"),
        order(3, "jane", "Jane; \"J\", Doe", "true", "x → y"),
    ]
}

/// The cells of a written file, header first.
fn cells(orders: &[Order]) -> Vec<Vec<String>> {
    let mut bytes = Vec::new();
    write(orders, &mut bytes).unwrap();
    assert!(bytes.starts_with(b"\xEF\xBB\xBFdecision,order,"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[3..]);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// How a spreadsheet saves a table.
#[derive(Clone, Debug)]
struct Saved {
    delimiter: u8,
    /// 0 UTF-8, 1 UTF-8 with BOM, 2 UTF-16 LE, 3 UTF-16 BE.
    encoding: u8,
    crlf: bool,
    quote_all: bool,
    names_delimiter: bool,
    trailing: usize,
}

impl Saved {
    const PLAIN: Self =
        Self { delimiter: b',', encoding: 0, crlf: false, quote_all: false, names_delimiter: false, trailing: 0 };

    fn bytes(&self, cells: &[Vec<String>]) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .terminator(if self.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if self.quote_all { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        let empty = vec![String::new(); self.trailing];
        for row in cells {
            writer.write_record(row.iter().chain(&empty)).unwrap();
        }
        for _ in 0..self.trailing {
            writer.write_record(vec![""; cells[0].len()]).unwrap();
        }
        let mut text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        if self.names_delimiter {
            text = format!("sep={}\r\n{text}", char::from(self.delimiter));
        }
        let wide = |unit: fn(u16) -> [u8; 2]| {
            std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(unit).collect::<Vec<u8>>()
        };
        match self.encoding {
            0 => text.into_bytes(),
            1 => [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            2 => wide(u16::to_le_bytes),
            _ => wide(u16::to_be_bytes),
        }
    }
}

fn saved() -> impl Strategy<Value = Saved> {
    let delimiter = prop_oneof![Just(b','), Just(b';'), Just(b'\t')];
    (delimiter, 0..4_u8, any::<bool>(), any::<bool>(), any::<bool>(), 0..3_usize).prop_map(
        |(delimiter, encoding, crlf, quote_all, names_delimiter, trailing)| Saved {
            delimiter,
            encoding,
            crlf,
            quote_all,
            names_delimiter,
            trailing,
        },
    )
}

/// Text as systems hold it: anything, and what spreadsheets like to reinterpret.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[=+@\\-'\t\r\n,;\"0-9eE./: \u{202e}\u{feff}]{0,12}",
        "0[0-9]{1,6}|[0-9]{10,20}|[0-9]E[0-9]|true|FALSE|[0-9]{1,2}/[0-9]{1,2}|Jan [0-9]",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_spreadsheet_may_rewrite_it_and_the_decisions_come_back(
        rows in prop::collection::vec((text(), text(), text(), text(), 0..3_usize, 0..4_usize, any::<bool>()), 1..6),
        saved in saved(),
        columns in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
        turn in any::<bool>(),
    ) {
        let orders: Vec<Order> =
            rows.iter().enumerate().map(|(i, (k, n, r, v, ..))| order(i, k, n, r, v)).collect();
        let mut table = cells(&orders);
        let mut expected = BTreeMap::new();
        for (i, (.., decision, spelling, unmark)) in rows.iter().enumerate() {
            let word = ["", "approve", "reject"][*decision];
            let spelled = [word.to_owned(), word.to_uppercase(), format!(" {word} "), format!("{word}\u{a0}")];
            table[i + 1][0] = spelled[*spelling].clone();
            if let Ok(decision) = word.parse::<Decision>() {
                expected.insert(orders[i].id.clone(), decision);
            }
            if *unmark {
                for cell in &mut table[i + 1] {
                    if let Some(bare) = cell.strip_prefix('\'') {
                        *cell = bare.to_owned();
                    }
                }
            }
        }
        if turn {
            table[1..].reverse();
        }
        let table: Vec<Vec<String>> =
            table.iter().map(|row| columns.iter().map(|c| row[*c].clone()).collect()).collect();
        let review = read(&saved.bytes(&table), &orders);
        prop_assert_eq!(review.map(|r| r.decisions), Ok(expected));
    }

    #[test]
    fn any_other_change_is_refused_with_its_place(
        (key, name, value) in (text(), text(), text()),
        column in 2..11_usize,
        row in 1..3_usize,
        added in "[a-z0-9 .]",
        saved in saved(),
    ) {
        let orders = [order(1, &key, &name, "moved", &value), order(2, &value, &key, &name, "x")];
        let mut table = cells(&orders);
        table[row][column].push_str(&added);
        let problems = read(&saved.bytes(&table), &orders).unwrap_err();
        let place = |problem: &ReviewProblem| match problem {
            ReviewProblem::Changed { row, column, .. } => Some((*row, *column)),
            _ => None,
        };
        prop_assert_eq!(problems.iter().map(place).collect::<Vec<_>>(), [Some((row + 1, COLUMNS[column]))]);
    }
}

/// The only problem of a table, as it is told.
fn problem(table: &[Vec<String>]) -> String {
    let problems = read(&Saved::PLAIN.bytes(table), &people()).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    let table = cells(&people());
    let ids: Vec<String> = people().iter().map(|order| order.id.0.clone()).collect();

    let mut changed = table.clone();
    changed[1][4] = "7".into();
    assert_eq!(
        problem(&changed),
        format!(
            "row 2, column key of order {}: expected `'007`, found `7`; restore the cell: only decision and comment are yours to change",
            ids[0]
        )
    );
    let mut word = table.clone();
    word[2][0] = "aprove".into();
    assert_eq!(
        problem(&word),
        "row 3, column decision: `aprove` is no decision (did you mean approve?); write approve, reject, or nothing"
    );
    let mut twice = table.clone();
    twice.push(table[1].clone());
    assert_eq!(problem(&twice), format!("row 5: order {} stands in row 2 already; remove one of the two", ids[0]));
    let mut missing = table.clone();
    missing.remove(3);
    assert_eq!(
        problem(&missing),
        format!(
            "order {} (update vault.users jane) has no row; a row that is not to be decided keeps an empty decision: restore it",
            ids[2]
        )
    );
    let mut unknown = table.clone();
    unknown.push(vec!["approve".into(), "o-ffffffffffffffff-1".into()]);
    assert_eq!(
        problem(&unknown),
        "row 5, column order: `o-ffffffffffffffff-1` is no order of this plan; remove the row, or restore its id"
    );
    let mut beyond = table.clone();
    beyond[1].push("why?".into());
    assert_eq!(problem(&beyond), "row 2: `why?` stands beyond the last column; remove it");
    let mut other = table.clone();
    other[0][0] = "decisions".into();
    let problems = read(&Saved::PLAIN.bytes(&other), &people()).unwrap_err();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the column `decisions` does not belong here (did you mean decision?); remove it",
            "the column `decision` is missing; give the file its header back"
        ]
    );
    for (bytes, what) in [
        (&b"PK\x03\x04rest"[..], "it is a workbook, not a CSV file; save it as CSV UTF-8"),
        (b"decision\nJos\xE9", "it was saved in another encoding, line 2 reads `Jos\u{fffd}`; save it as CSV UTF-8"),
        (b"\xFF\xFEa", "it begins as UTF-16 and ends in the middle of a character"),
        (b"<html><body>decision</body></html>", "it is a web page, not a CSV file; save the review file itself"),
        (b"", "the file is empty"),
    ] {
        assert_eq!(read(bytes, &people()).unwrap_err(), [ReviewProblem::NoTable { what: what.into() }]);
    }
    let other = read(b"id,login\n1,a\n", &people()).unwrap_err();
    assert!(other[0].to_string().starts_with("it is no review file") && other[0].to_string().contains("`id,login`"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut table = cells(&people());
    table[1][5] = "Jim".into();
    table[2][0] = "yes".into();
    table.remove(3);
    assert_eq!(read(&Saved::PLAIN.bytes(&table), &people()).unwrap_err().len(), 3);
}

#[test]
fn comments_come_back_and_blocked_orders_show_their_reason() {
    let mut orders = people();
    let block = Block { reason: BlockReason::LowConfidence, detail: "80 % by e-mail".into() };
    orders[0].block = Some(block);
    let mut table = cells(&orders);
    assert_eq!(table[1][8], "blocked, low-confidence: 80 % by e-mail");
    assert_eq!(table[1][6], "displayName: (absent) → 0049 30");
    table[1][11] = " it is him ".into();
    let review = read(&Saved::PLAIN.bytes(&table), &orders).unwrap();
    assert_eq!(review.comments, BTreeMap::from([(orders[0].id.clone(), "it is him".to_owned())]));
    assert!(review.decisions.is_empty());
}
