//! What a run wants, at a glance: what the page shows before any order.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::desk::{Desk, Signature};
use super::index::Index;
use super::orders::safe;
use super::sheet::{Face, Sheet};
use crate::model::approval::Decision;
use crate::model::order::{Operation, OrderState, Remedy};
use crate::model::plan::Plan;
use crate::model::record::{Hold, RunRecord};
use crate::model::run::RunState;
use crate::report::figures::{counted, time};
use crate::report::safe_text;
use crate::report::summary::{left_text, way_out};
use crate::store::database::Store;

/// Runs whose sizes are shown.
const PAST: usize = 12;

/// Lines of a long list that are shown.
const LISTED: usize = 200;

/// Everything about a run but its orders.
pub(super) fn overview(sheet: &Sheet, face: &Face, store: &Store, desk: &dyn Desk) -> Json {
    let live = &face.live;
    let record = &live.record;
    let plan = sheet.plan.as_ref().and_then(|plan| plan.as_ref().ok());
    let undoes = plan.is_some_and(|plan| plan.reverts.is_some());
    let blocked: Vec<Json> = live
        .reasons
        .iter()
        .map(|(reason, number)| {
            let remedy = match reason.remedy() {
                Remedy::Approval => "approval",
                Remedy::Acceptance => "acceptance",
                Remedy::Choice => "choice",
                Remedy::CauseGone => "cause-gone",
            };
            json!({ "reason": reason, "count": number, "way_out": way_out(*reason, undoes), "remedy": remedy })
        })
        .collect();
    json!({
        "run": sheet.run,
        "plan": sheet.digest,
        "job": safe(&record.job),
        "state": record.state,
        "held": !live.open.is_empty(),
        "started": time(record.started),
        "starter": safe(&record.starter),
        "note": safe(&record.note),
        "stage": stage(record, plan.is_some(), &live.open),
        "failure": sheet.failure().map(safe),
        "reading": sheet.reading().map(|(read, of)| json!({ "read": read, "of": of })),
        "generation": face.generation,
        "wants": plan.map(wants),
        "holds": live.holds.iter().map(|hold| held(hold, face)).collect::<Vec<_>>(),
        "blocked": blocked,
        "refusals": live.refusals.iter().map(|why| safe(why)).collect::<Vec<_>>(),
        "states": live.states,
        "reviewers": live.terms.reviewers,
        "signature": signature(store, desk, record),
        "facets": sheet.index().and_then(Result::ok).map(facets),
        "draft": drafted(face),
    })
}

/// Where a run without a plan stands, in a sentence; and what comes once everything that holds it is accepted.
fn stage(record: &RunRecord, has_plan: bool, open: &[String]) -> Option<String> {
    let job = safe_text::line(&record.job);
    match record.state {
        RunState::HeldSnapshot if open.is_empty() => {
            Some(format!("Everything that held it is accepted; once that is sealed, muster run {job} goes on."))
        }
        RunState::HeldSnapshot if has_plan => Some(format!(
            "Once that is accepted: muster run {job}; or mend the data at its system, and the next run is clean."
        )),
        RunState::HeldSnapshot | RunState::HeldPlan if !has_plan => Some(format!(
            "It is held before its plan: nothing is planned before what holds it is accepted, then by muster run {job}; or mend the data at its system, and the next run is clean."
        )),
        RunState::Started if !has_plan => Some("It is under way, or was killed before it planned anything.".to_owned()),
        RunState::Failed if !has_plan => Some(format!("It failed. Next: muster check {job}")),
        RunState::Replaced => Some("What held it is not left to be accepted: a newer run took its place.".to_owned()),
        _ => None,
    }
}

/// What the plan says of itself.
fn wants(plan: &Plan) -> Json {
    let mut counts = Vec::new();
    for (resource, numbers) in &plan.counts {
        for (operation, number) in numbers {
            counts.push(json!({ "resource": resource.to_string(), "operation": operation, "count": number }));
        }
    }
    let first: Vec<String> =
        plan.situations.iter().filter(|sync| sync.first_run).map(|sync| safe(&sync.sync)).collect();
    let grace: Vec<Json> = plan
        .situations
        .iter()
        .filter_map(|sync| {
            let grace = sync.grace.as_ref()?;
            Some(json!({ "sync": safe(&sync.sync), "objects": grace.objects, "due": grace.due.map(time) }))
        })
        .collect();
    let renames: BTreeMap<String, u64> = plan.renames.iter().map(|(name, n)| (name.to_string(), *n)).collect();
    let withheld: Vec<String> =
        plan.withheld.iter().take(LISTED).map(|one| safe(&format!("{}: {}", one.about, one.why))).collect();
    let left = plan.reverts.as_ref().map(|reverted| {
        let left: Vec<String> =
            reverted.left.iter().filter(|left| !left.is_undone).take(LISTED).map(left_text).collect();
        json!({ "run": reverted.run, "left": left })
    });
    json!({
        "orders": plan.orders,
        "counts": counts,
        "renames": renames,
        "first_load": first,
        "grace": grace,
        "warnings": plan.warnings.iter().map(|warning| safe(warning)).collect::<Vec<_>>(),
        "irreversible": plan.irreversible,
        "withheld": withheld,
        "withheld_all": plan.withheld.len(),
        "reverts": left,
    })
}

fn held(hold: &Hold, face: &Face) -> Json {
    let explanation = hold.excess.as_ref().and_then(|excess| excess.explanation.as_ref());
    let facts: Vec<Json> = explanation
        .into_iter()
        .flat_map(|one| &one.facts)
        .map(|fact| json!({ "text": safe(&fact.text), "count": fact.count }))
        .collect();
    let sentence =
        if hold.detail.contains(&hold.name) { hold.detail.clone() } else { format!("{}: {}", hold.name, hold.detail) };
    let drafted = face.draft.accepted.get(&hold.name);
    json!({
        "name": hold.name,
        "shown": safe(&hold.name),
        "kind": hold.kind,
        "sentence": safe(&sentence),
        "figure": hold.figure,
        "first": hold.first.iter().take(10).map(|key| safe(key)).collect::<Vec<_>>(),
        "all": hold.excess.as_ref().map(|excess| excess.figure),
        "limit": hold.excess.as_ref().map(|excess| excess.limit),
        "size": hold.excess.as_ref().map(|excess| excess.size),
        "facts": facts,
        "rest": explanation.map_or(0, |one| one.rest),
        "explained": explanation.map_or(0, |one| one.all()),
        "open": face.live.open.contains(&hold.name),
        "draft": drafted.map(|acceptance| safe(&acceptance.reason)),
    })
}

/// Live orders of earlier runs, and how large what the plan is about was in the past.
pub(super) fn earlier(store: &Store, sheet: &Sheet, record: &RunRecord) -> Json {
    let Some(Ok(plan)) = &sheet.plan else { return Json::Null };
    let kinds = store.live_kinds(&record.job, None).unwrap_or_default();
    let kept: u64 = kinds.iter().filter(|kind| kind.run < record.id).map(|kind| kind.orders).sum();
    let planned = store.last_of_kind(&record.id, "plan").ok().flatten();
    let superseded = planned.and_then(|entry| entry.detail.get("superseded")?.as_u64()).unwrap_or(0);
    let mut past: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    let runs = store.runs(&record.job, 0).unwrap_or_default();
    let before = runs.into_iter().filter(|run| run.id < record.id && run.plan_digest.is_some()).take(PAST);
    let mut before: Vec<RunRecord> = before.collect();
    before.reverse();
    for run in &before {
        let Ok(earlier) = store.registered_plan(&run.id) else { continue };
        for (name, size) in earlier.sizes {
            let point = json!({ "run": run.id, "at": time(run.started), "size": size });
            past.entry(name).or_default().push(point);
        }
    }
    let sizes: Vec<Json> = plan
        .sizes
        .iter()
        .filter_map(|(name, now)| {
            let counts = plan.counts.iter().find(|(resource, _)| resource.to_string() == *name);
            let count = |operation: Operation| counts.and_then(|(_, n)| n.get(&operation)).copied().unwrap_or(0);
            let (more, less) =
                (count(Operation::Create) + count(Operation::Add), count(Operation::Delete) + count(Operation::Remove));
            let disabled = count(Operation::Disable);
            (counts.is_some() || !name.contains('/')).then(|| {
                json!({
                    "name": safe(name),
                    "past": past.remove(name).unwrap_or_default(),
                    "now": now,
                    "more": more,
                    "less": less,
                    "disabled": disabled,
                    "after": (now + more).saturating_sub(less),
                })
            })
        })
        .collect();
    json!({ "kept": kept, "superseded": superseded, "sizes": sizes })
}

fn signature(store: &Store, desk: &dyn Desk, record: &RunRecord) -> Json {
    match desk.signature(store, record) {
        Ok(Signature::NotAsked) => json!({ "asked": false }),
        Ok(Signature::With(key)) => json!({ "asked": true, "with": safe(&key) }),
        Ok(Signature::Elsewhere) => json!({ "asked": true, "with": null }),
        Err(why) => json!({ "asked": false, "failure": safe(&why) }),
    }
}

/// What there is to choose from, with how many orders each choice has.
fn facets(index: &Index) -> Json {
    let mut operations: BTreeMap<Operation, u64> = BTreeMap::new();
    let mut resources: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, number) in index.kinds.iter().zip(&index.tally.kinds) {
        *operations.entry(kind.operation).or_default() += number;
        *resources.entry(kind.resource.to_string()).or_default() += number;
    }
    let tally = &index.tally;
    json!({
        "operation": operations,
        "resource": resources,
        "cause": tally.causes,
        "only": {
            "irreversible": tally.irreversible,
            "rename": tally.renames,
            "unsure": tally.unsure,
            "takes-along": tally.takes_along,
        },
    })
}

/// What is decided and not sealed, in numbers.
pub(super) fn drafted(face: &Face) -> Json {
    let (approve, reject) = face.draft.counts();
    json!({
        "approve": approve,
        "reject": reject,
        "accept": face.draft.accepted.len(),
        "revision": face.draft.revision,
        "fallen": face.draft.fallen,
        "sealing": face.is_sealing,
    })
}

/// What sealing the draft means, in words and numbers, to be confirmed.
pub(super) fn before_the_seal(sheet: &Sheet, face: &Face, store: &Store, desk: &dyn Desk) -> Json {
    let (live, draft) = (&face.live, &face.draft);
    let mut groups: BTreeMap<(Decision, Operation, String), u64> = BTreeMap::new();
    let (mut deletes, mut along, mut irreversible, mut unsure, mut sent) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    if let Some(Ok(index)) = sheet.index() {
        for (place, decision) in draft.decided() {
            let entry = &index.entries[place];
            let kind = &index.kinds[usize::from(entry.kind)];
            *groups.entry((decision, kind.operation, kind.resource.to_string())).or_default() += 1;
            if decision == Decision::Approve {
                let is_delete = kind.operation == Operation::Delete;
                deletes += u64::from(is_delete);
                along += u64::from(is_delete && entry.takes_along);
                irreversible += u64::from(entry.is_irreversible);
                unsure += u64::from(entry.is_unsure && live.block(place).is_some());
            }
            sent += u64::from(decision == Decision::Reject && live.stand(place).state == OrderState::Approved);
        }
    }
    let groups: Vec<Json> = groups
        .into_iter()
        .map(|((decision, operation, resource), count)| {
            json!({ "decision": decision, "operation": operation, "resource": resource, "count": count })
        })
        .collect();
    let mut words = Vec::new();
    if deletes > 0 {
        let mut text = format!("{} for good", counted(deletes, "delete"));
        if along > 0 {
            let them = if deletes == 1 { "it takes".to_owned() } else { format!("{along} of them take") };
            text.push_str(&format!("; {them} other things along, as each order says"));
        }
        words.push(text);
    }
    if irreversible > deletes {
        words.push(format!("{} that cannot be undone once applied", counted(irreversible - deletes, "other order")));
    }
    if unsure > 0 {
        words.push(format!(
            "{} matched or classed with less than 100 %: approving says that it is so",
            counted(unsure, "order")
        ));
    }
    if sent > 0 {
        words.push(format!("{} approved before and not sent yet: rejected now", counted(sent, "order")));
    }
    let (approve, reject) = draft.counts();
    let waiting = live.states.get(&OrderState::PendingReview).copied().unwrap_or(0)
        + live.states.get(&OrderState::Blocked).copied().unwrap_or(0);
    let accepted: Vec<Json> = draft
        .accepted
        .iter()
        .map(|(name, one)| json!({ "name": safe(name), "figure": safe(&one.figure), "reason": safe(&one.reason) }))
        .collect();
    let until = desk.rules(store, &live.record).ok().map(|rules| time(desk.now() + rules.lasts));
    json!({
        "run": sheet.run,
        "approve": approve,
        "reject": reject,
        "left": waiting.saturating_sub(approve + reject),
        "groups": groups,
        "accepted": accepted,
        "words": words,
        "still_held": live.open.iter().filter(|name| !draft.accepted.contains_key(*name)).map(|name| safe(name)).collect::<Vec<_>>(),
        "reviewer": safe(&desk.reviewer()),
        "reviewers": live.terms.reviewers,
        "signature": signature(store, desk, &live.record),
        "until": until,
        "revision": draft.revision,
    })
}
