//! Orders as the page shows them: a row in the list, and all of one.

use serde_json::{Value as Json, json};

use super::index::{Index, IndexError};
use super::sheet::{Face, Sheet};
use crate::model::approval::Decision;
use crate::model::order::{Change, End, EndRef, Operation, Order, OrderId, OrderState};
use crate::model::value::Value;
use crate::report::figures::time;
use crate::report::review::change_brief;
use crate::report::safe_text;
use crate::report::summary::way_out;
use crate::store::database::Store;

/// Orders that one needs or that need it, named one by one.
const NAMED: usize = 8;

/// Values of a new object that its row tells.
const TOLD: usize = 4;

/// Columns of one of these.
const ROOM: usize = 60;

/// Characters of one value that are shown.
const SHOWN: usize = 1_500;

/// Text that is safe to be seen: what would hide or turn it is visible.
pub(super) fn safe(text: &str) -> String {
    safe_text::line(text).into_owned()
}

/// One order in the list.
pub(super) fn row(face: &Face, index: &Index, place: u32) -> Result<Json, IndexError> {
    let order = index.order(place)?;
    let at = place as usize;
    let (live, draft) = (&face.live, &face.draft);
    let (change, more) = brief(&order);
    Ok(json!({
        "n": place,
        "operation": order.operation,
        "resource": order.resource.to_string(),
        "key": safe(&order.key),
        "name": if order.name == order.key { String::new() } else { safe(&order.name) },
        "was": order.renamed_from.as_deref().map(safe),
        "change": change,
        "more": more,
        "cause": order.cause,
        "state": live.stand(at).state,
        "block": live.block(at).map(|block| block.reason),
        "draft": draft.decision(at),
        "approve": draft.may_approve(live, at),
        "reject": live.may_reject(at),
        "irreversible": order.irreversible.is_some(),
        "along": order.takes_along.len(),
        "confidence": order.confidence,
    }))
}

/// What an order changes, in the room of a row; and how many changes are not told there.
fn brief(order: &Order) -> (Option<String>, usize) {
    // What the row says already tells nothing.
    let said = |change: &&Change| {
        let after = change.after.as_ref().and_then(Value::as_text);
        after.is_some_and(|after| after == order.key || after == order.name || after == "true")
    };
    if order.operation == Operation::Create {
        let mut told: Vec<String> = Vec::new();
        for change in order.changes.iter().filter(|change| !said(change)).take(TOLD) {
            let after = change.after.as_ref().map(|value| safe_text::line(&value.to_string()).into_owned());
            told.push(format!("{} {}", short(&change.attribute), safe_text::clip(&after.unwrap_or_default(), ROOM)));
        }
        return ((!told.is_empty()).then(|| told.join(" · ")), 0);
    }
    let first = order.changes.iter().find(|change| !said(change)).or(order.changes.first());
    let text = first.map(|change| change_brief(&Change { attribute: short(&change.attribute), ..change.clone() }));
    (text, order.changes.len().saturating_sub(1))
}

/// An attribute without the address of its schema.
fn short(attribute: &str) -> String {
    let last = attribute.rsplit(':').next().filter(|last| !last.is_empty());
    safe(last.filter(|_| attribute.starts_with("urn:")).unwrap_or(attribute))
}

/// All of one order. `store` tells of those of other runs.
pub(super) fn whole(sheet: &Sheet, face: &Face, index: &Index, store: &Store, place: u32) -> Result<Json, IndexError> {
    let order = index.order(place)?;
    let at = place as usize;
    let (live, draft) = (&face.live, &face.draft);
    let stand = live.stand(at);
    let undoes = order.undoes.is_some();
    let block = live.block(at).map(|block| {
        json!({ "reason": block.reason, "detail": safe(&block.detail), "way_out": way_out(block.reason, undoes) })
    });
    let approved = stand.approved_by.filter(|_| stand.state != OrderState::PendingReview).map(|number| {
        json!({
            "number": number,
            "by": live.reviewers.get(&number).map(|who| safe(who)),
            "until": stand.approval_expires.map(time),
            "holds": live.is_covered(at),
        })
    });
    let sync = match &sheet.plan {
        Some(Ok(plan)) => plan.situations.get(order.sync).map(|sync| safe(&sync.sync)),
        _ => None,
    };
    let needs: Vec<Json> = order.needs().take(NAMED).map(|id| named(face, index, store, id)).collect();
    let (needed_by, needed_by_all) = needed_by(face, index, store, (&order.id, at))?;
    Ok(json!({
        "n": place,
        "id": order.id,
        "operation": order.operation,
        "resource": order.resource.to_string(),
        "key": safe(&order.key),
        "name": safe(&order.name),
        "was": order.renamed_from.as_deref().map(safe),
        "source_key": order.source_key.as_deref().map(safe),
        "target_id": order.target_id.as_deref().map(safe),
        "sync": sync,
        "situation": order.situation,
        "cause": order.cause,
        "reason": safe(&order.reason),
        "confidence": order.confidence,
        "changes": order.changes.iter().map(|change| changed(change, &order)).collect::<Vec<_>>(),
        "ends": order.ends.iter().map(|end| ended(face, index, store, end)).collect::<Vec<_>>(),
        "takes_along": order.takes_along.iter().map(|what| safe(what)).collect::<Vec<_>>(),
        "irreversible": order.irreversible.as_deref().map(safe),
        "thresholds": order.thresholds.iter().map(|name| safe(name)).collect::<Vec<_>>(),
        "undoes": order.undoes,
        "needs": needs,
        "needed_by": needed_by,
        "needed_by_all": needed_by_all,
        "state": stand.state,
        "block": block,
        "approved": approved,
        "seconded": live.seconded(at).map(|by| json!({
            "by": by.iter().map(|who| safe(who)).collect::<Vec<_>>(), "of": live.terms.reviewers,
        })),
        "draft": draft.decision(at),
        "approve": draft.may_approve(live, at),
        "reject": live.may_reject(at),
    }))
}

fn changed(change: &Change, order: &Order) -> Json {
    let refers = order.references.iter().find(|reference| reference.attribute == change.attribute);
    json!({
        "attribute": safe(&change.attribute),
        "before": shown(change.before.as_ref()),
        "after": shown(change.after.as_ref()),
        "cause": change.cause,
        "refers": refers.map(|reference| safe(&format!("{} {}", reference.resource, reference.key))),
    })
}

/// A value for people: nothing, or its texts; of an endless one the beginning.
fn shown(value: Option<&Value>) -> Json {
    let one = |text: &String| {
        let safe = safe(text);
        match safe.char_indices().nth(SHOWN) {
            None => safe,
            Some((end, _)) => {
                let all = crate::report::figures::counted(text.chars().count() as u64, "character");
                format!("{}… ({all})", &safe[..end])
            }
        }
    };
    match value {
        None => Json::Null,
        Some(Value::Text(text)) => json!([one(text)]),
        Some(Value::Many(texts)) => json!(texts.iter().map(one).collect::<Vec<_>>()),
    }
}

fn ended(face: &Face, index: &Index, store: &Store, end: &End) -> Json {
    let (id, order) = match &end.object {
        EndRef::Target(id) => (Some(safe(id)), None),
        EndRef::Order(order) => (None, Some(named(face, index, store, order))),
    };
    json!({ "name": safe(&end.name), "resource": end.resource.to_string(), "label": safe(&end.label), "id": id, "order": order })
}

/// Another order, as it is called in passing.
fn named(face: &Face, index: &Index, store: &Store, id: &OrderId) -> Json {
    let Some(place) = index.place_of(id) else {
        let Ok(other) = store.order(id) else { return json!({ "id": id }) };
        return json!({
            "id": id,
            "operation": other.operation,
            "resource": other.resource.to_string(),
            "key": safe(&other.key),
            "state": other.state,
            "run": other.run,
        });
    };
    let Ok(order) = index.order(place) else { return json!({ "id": id }) };
    json!({
        "id": id,
        "n": place,
        "operation": order.operation,
        "resource": order.resource.to_string(),
        "key": safe(&order.key),
        "state": face.live.stand(place as usize).state,
        "draft": face.draft.decision(place as usize),
    })
}

/// The orders that need one: they have its id in what they are found by.
fn needed_by(
    face: &Face,
    index: &Index,
    store: &Store,
    (id, at): (&OrderId, usize),
) -> Result<(Vec<Json>, usize), IndexError> {
    let all: Vec<u32> = super::filter::with_text(index, &id.0).into_iter().filter(|n| *n as usize != at).collect();
    let mut named_ones = Vec::new();
    let mut others = 0;
    for place in &all {
        // Of many, the first are read to be sure; an id is found nowhere else but where somebody wrote it into a value.
        if named_ones.len() == NAMED {
            others += 1;
            continue;
        }
        if index.order(*place)?.needs().any(|needed| needed == id) {
            named_ones.push(named(face, index, store, &index.entries[*place as usize].id()));
        }
    }
    let number = named_ones.len() + others;
    Ok((named_ones, number))
}

/// The word that the page uses for a decision.
pub(super) fn decision(word: Option<&str>) -> Result<Option<Decision>, String> {
    word.map(str::parse).transpose()
}
