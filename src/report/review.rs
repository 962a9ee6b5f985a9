//! `muster review RUN`: each order with what it changes and why.

use std::fmt::Write as _;

use super::figures::counted;
use super::safe_text;
use super::screen::Screen;
use super::table::{Column, Listing};
use crate::model::order::{Block, Change, Order, OrderState};
use crate::model::situation::Situation;
use crate::model::value::Value;

/// How much of one value a screen shows, in columns.
const SHOWN: usize = 120;

/// How much of it a file or a pipe gets: whole but for what nobody reads.
const WHOLE: usize = 4_096;

/// How much of a key or a name stands in the first line there.
const NAMED: usize = 48;

/// An order and where it stands now.
#[derive(Clone, Copy, Debug)]
pub struct ReviewRow<'a> {
    /// The order as planned.
    pub order: &'a Order,
    /// Its state now.
    pub state: OrderState,
    /// Its block now, where it is blocked.
    pub block: Option<&'a Block>,
    /// Who approved it, where somebody did: `jane@example.com`; `1 of 2: jane@example.com` where more have to.
    pub approved_by: Option<&'a str>,
}

/// One order for people, over several lines, ending with a line break.
pub fn review_text(row: &ReviewRow, on: impl Into<Screen>) -> String {
    let on = on.into();
    let shown = if on.width < Screen::WHOLE { SHOWN } else { WHOLE };
    let order = row.order;
    let named = |text: &str| {
        let safe = safe_text::line(text);
        let head = if on.width < Screen::WHOLE { NAMED } else { WHOLE };
        safe_text::clip(&safe, head).into_owned()
    };
    let was = order.renamed_from.as_ref().map(|was| format!("{} → ", named(was))).unwrap_or_default();
    let key = named(&order.key);
    let mut text = format!("{}  {} {}  {was}{key}", order.id, order.operation, order.resource);
    if !order.name.is_empty() && order.name != order.key {
        let _ = write!(text, " ({})", named(&order.name));
    }
    let state = match row.approved_by.map(safe_text::line) {
        Some(by) if row.state == OrderState::Approved => format!("approved by {by}"),
        Some(by) => format!("{}, approved by {by}", on.paint_state(row.state.word())),
        None => on.paint_state(row.state.word()).into_owned(),
    };
    let rename = if order.renamed_from.is_some() { "  rename" } else { "" };
    let _ = writeln!(text, "{rename}  [{state}]");
    for change in &order.changes {
        let _ = write!(text, "    {}", shown_change(change, shown));
        if change.cause != order.cause {
            let _ = write!(text, "  ({})", change.cause);
        }
        text.push('\n');
    }
    let confidence = if order.confidence < 100 && order.situation != Situation::Ambiguous {
        format!(", confidence {} %", order.confidence)
    } else {
        String::new()
    };
    let _ = writeln!(text, "    {}, {}{confidence}: {}", order.situation, order.cause, safe_text::line(&order.reason));
    if let Some(block) = row.block {
        let _ = writeln!(text, "    blocked, {}: {}", block.reason, safe_text::line(&block.detail));
    }
    if !order.takes_along.is_empty() {
        let _ = writeln!(text, "    takes along: {}", safe_text::line(&order.takes_along.join("; ")));
    }
    if let Some(why) = &order.irreversible {
        let _ = writeln!(text, "    cannot be undone: {}", safe_text::line(why));
    }
    text
}

/// Orders as a listing, for `--format table`, `json` or `csv`.
pub fn review_listing<'a>(rows: impl IntoIterator<Item = ReviewRow<'a>>) -> Listing {
    let mut listing = Listing::new(vec![
        Column::whole("order"),
        Column::state("state"),
        Column::whole("operation"),
        Column::new("resource"),
        Column::new("key"),
        Column::roomy("name"),
        Column::roomy("renamed_from"),
        Column::roomy("block"),
        Column::roomy("approved_by"),
        Column::roomy("changes"),
        Column::roomy("situation"),
        Column::roomy("cause"),
        Column::roomy("reason"),
        Column::roomy("detail"),
        Column::roomy("confidence"),
        Column::roomy("takes_along"),
        Column::roomy("irreversible"),
    ]);
    for row in rows {
        let order = row.order;
        listing.push(vec![
            order.id.to_string().into(),
            row.state.word().into(),
            order.operation.word().into(),
            order.resource.to_string().into(),
            order.key.as_str().into(),
            order.name.as_str().into(),
            order.renamed_from.as_deref().into(),
            row.block.map(|block| block.reason.word()).into(),
            row.approved_by.into(),
            order.changes.iter().map(change_text).collect::<Vec<_>>().into(),
            order.situation.word().into(),
            order.cause.word().into(),
            order.reason.as_str().into(),
            row.block.map(|block| block.detail.as_str()).into(),
            u64::from(order.confidence).into(),
            order.takes_along.clone().into(),
            order.irreversible.as_deref().into(),
        ]);
    }
    listing
}

/// One change: `title: "Nurse" → "Head nurse"`; `(absent)` where there is no value. Safe for a terminal.
pub fn change_text(change: &Change) -> String {
    shown_change(change, WHOLE)
}

/// The same with the beginning of a long value, for where there is little room.
pub fn change_brief(change: &Change) -> String {
    shown_change(change, SHOWN)
}

/// The same with so many columns of each value at most.
fn shown_change(change: &Change, most: usize) -> String {
    let attribute = safe_text::line(&change.attribute);
    let value = |value: Option<&Value>| value_text(value, most);
    format!("{attribute}: {} → {}", value(change.before.as_ref()), value(change.after.as_ref()))
}

/// A value in quotes, several in brackets; a long one is cut and its length told.
fn value_text(value: Option<&Value>, most: usize) -> String {
    match value {
        None => "(absent)".to_owned(),
        Some(Value::Text(text)) => quoted(text, most),
        Some(Value::Many(values)) => {
            let mut shown = String::new();
            let mut told = 0;
            for value in values {
                if safe_text::width(&shown) > most {
                    break;
                }
                if told > 0 {
                    shown.push_str(", ");
                }
                shown.push_str(&quoted(value, most));
                told += 1;
            }
            if told < values.len() {
                let _ = write!(shown, " and {} more", values.len() - told);
            }
            format!("[{shown}]")
        }
    }
}

fn quoted(text: &str, most: usize) -> String {
    let safe = safe_text::line(text);
    if safe_text::width(&safe) <= most {
        return format!("\"{safe}\"");
    }
    format!("\"{}\" ({})", safe_text::clip(&safe, most), counted(text.chars().count() as u64, "character"))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::table::Format;
    use super::*;
    use crate::model::order::{BlockReason, ObjectKey, Operation, OrderId};
    use crate::model::resource::ResourceName;
    use crate::model::situation::{Cause, Situation};

    pub(in crate::report) fn order() -> Order {
        let users = ResourceName::new("vault", "users");
        let object = ObjectKey::by_target(&users, "77");
        let changes = vec![
            Change {
                attribute: "roles".to_owned(),
                before: None,
                after: Value::many(["b".to_owned(), "a".to_owned()]),
                cause: Cause::Source,
            },
            Change {
                attribute: "title".to_owned(),
                before: Value::text("old\u{202e}"),
                after: Value::text("x".repeat(500)),
                cause: Cause::Drift,
            },
        ];
        let fingerprint = Order::fingerprint_of(&users, Operation::Update, &object, &changes);
        Order {
            id: OrderId("o-0123456789abcdef-1".to_owned()),
            fingerprint,
            operation: Operation::Update,
            resource: users,
            sync: 0,
            object,
            target_id: Some("77".to_owned()),
            source_key: Some("jane".to_owned()),
            renamed_from: None,
            source_digest: None,
            key: "jane@corp".to_owned(),
            name: "Jane".to_owned(),
            changes,
            ends: Vec::new(),
            references: Vec::new(),
            closes: None,
            after: None,
            situation: Situation::Changed,
            cause: Cause::Source,
            reason: "the source row changed".to_owned(),
            confidence: 80,
            takes_along: vec!["3 keys".to_owned()],
            thresholds: Vec::new(),
            block: None,
            undoes: None,
            ground: String::new(),
            irreversible: None,
        }
    }

    #[test]
    fn an_order_shows_before_and_after_cause_reason_and_block() {
        let order = order();
        let block = Block { reason: BlockReason::LowConfidence, detail: "matched by e-mail; approve it".to_owned() };
        let row = ReviewRow { order: &order, state: OrderState::Blocked, block: Some(&block), approved_by: None };
        let long = "x".repeat(119);
        assert_eq!(
            review_text(&row, 80),
            format!(
                "o-0123456789abcdef-1  update vault.users  jane@corp (Jane)  [blocked]\n    \
                 roles: (absent) → [\"a\", \"b\"]\n    \
                 title: \"old\\u{{202e}}\" → \"{long}…\" (500 characters)  (drift)\n    \
                 changed, source, confidence 80 %: the source row changed\n    \
                 blocked, low-confidence: matched by e-mail; approve it\n    \
                 takes along: 3 keys\n"
            )
        );
        let json: serde_json::Value = serde_json::from_str(&review_listing([row]).render(Format::Json, 80)).unwrap();
        assert_eq!(json[0]["block"], "low-confidence");
        assert_eq!(json[0]["changes"][0], "roles: (absent) → [\"a\", \"b\"]");
        assert_eq!(json[0]["confidence"], 80);
    }
}
