//! What the reader of review files has to do with any bytes: refuse them, or find decisions on orders of the plan. And
//! whatever orders say, the file that is written of them is read back as it was meant.
//!
//! An input is a file, read back against a plan of three orders; its text is also what a fourth one says.

use std::sync::LazyLock;

use muster::model::approval::Decision;
use muster::model::order::{Change, ObjectKey, Operation, Order, OrderId};
use muster::model::resource::ResourceName;
use muster::model::situation::{Cause, Situation};
use muster::model::value::Value;
use muster::store::review_file;

static PLAN: LazyLock<Vec<Order>> = LazyLock::new(|| {
    vec![order("1", "Jane", "=1+1"), order("2", "Jörg \u{202e}gpj.exe", "[\"a\",\"b\"]"), order("3", "007", "a, b\nc")]
});

fn order(key: &str, name: &str, after: &str) -> Order {
    let resource = ResourceName::new("vault", "users");
    let object = ObjectKey::by_target(&resource, key);
    let changes = vec![Change {
        attribute: "displayName".to_owned(),
        before: Value::text("before"),
        after: Value::from_cell(after),
        cause: Cause::Source,
    }];
    let fingerprint = Order::fingerprint_of(&resource, Operation::Update, &object, &changes);
    Order {
        id: OrderId::new(&fingerprint, 1),
        fingerprint,
        operation: Operation::Update,
        resource,
        sync: 0,
        object,
        target_id: Some(key.to_owned()),
        source_key: None,
        renamed_from: None,
        source_digest: None,
        key: key.to_owned(),
        name: name.to_owned(),
        changes,
        ends: Vec::new(),
        references: Vec::new(),
        closes: None,
        after: None,
        situation: Situation::Changed,
        cause: Cause::Source,
        reason: format!("displayName: {after}"),
        confidence: 100,
        takes_along: Vec::new(),
        thresholds: Vec::new(),
        block: None,
        undoes: None,
        ground: String::new(),
        irreversible: None,
    }
}

/// What the reader makes of a file, told in full.
fn told(bytes: &[u8], plan: &[Order]) -> Result<review_file::ReviewDecisions, String> {
    review_file::read(bytes, plan).map_err(|problems| {
        assert!(!problems.is_empty(), "a refusal says why");
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    })
}

/// Panics where the reader does something else.
pub fn check(input: &[u8]) {
    match told(input, &PLAN) {
        Ok(read) => {
            let named = read.decisions.keys().chain(read.comments.keys());
            assert!(named.into_iter().all(|id| PLAN.iter().any(|order| order.id == *id)));
        }
        Err(text) => assert_eq!(Err(text), told(input, &PLAN), "the same bytes are refused for the same"),
    }

    let text = String::from_utf8_lossy(input);
    let hostile: String = text.chars().take(200).collect();
    let mut plan = PLAN.clone();
    plan.push(order(&format!("4{hostile}"), &hostile, &hostile));
    let mut written = Vec::new();
    review_file::write(&plan, &mut written).expect("memory can be written");
    // As a person decides on every row, in a spreadsheet that knows nothing of marks.
    let mut decided = csv::Writer::from_writer(Vec::new());
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(&written[3..]);
    for (i, record) in rows.records().enumerate() {
        let mut cells: Vec<String> = record.expect("the file is whole").iter().map(str::to_owned).collect();
        if i > 0 {
            cells[0] = "approve".to_owned();
        }
        decided.write_record(&cells).expect("memory can be written");
    }
    let decided = decided.into_inner().expect("memory can be written");
    let read = told(&decided, &plan).expect("what was written can be read");
    assert_eq!(read.decisions.len(), 4);
    assert!(read.decisions.values().all(|decision| *decision == Decision::Approve));
}
