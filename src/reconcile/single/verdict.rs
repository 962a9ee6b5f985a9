//! What a plan made now would do about one object.

use std::collections::BTreeMap;

use crate::model::explained::{Fact, Step, StepName};
use crate::model::order::{Block, BlockReason, ObjectKey, Operation, Order, OrderId};
use crate::model::plan::Withheld;
use crate::model::situation::Situation;
use crate::reconcile::compare::Names;
use crate::reconcile::ends::{EndState, name_in};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::{LiveOrder, PlanInput, SyncInput};
use crate::reconcile::plan::{Considered, consider};
use crate::reconcile::scan::Scanner;
use crate::reconcile::undo;
use crate::snapshot::row::OwnedRow;
use crate::snapshot::table::{Line, Table};

use super::Subject;
use super::narrowed::{NarrowedSync, Unjudged, few, live_of, narrow};
use super::recall::Recall;
use super::steps::{Candidate, Object};

/// How one object stands, and what is to be done about it, before all orders are judged together.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How it stands; `None` where the job has nothing to do with it, or where nothing can be said.
    pub situation: Option<Situation>,
    /// What there is to say where no order says it; may be empty.
    pub note: String,
    /// What a plan would do about it, be it by a new order or by one that is live.
    pub operation: Option<Operation>,
    /// The order that a plan would raise.
    pub order: Option<Order>,
    /// The live order that it would keep.
    pub kept: Option<OrderId>,
    /// What it would block that one for, or free it from.
    pub reblocked: Vec<Option<Block>>,
    /// Live orders that it would supersede, each with why.
    pub superseded: Vec<(OrderId, String)>,
    /// What is wanted, and was rejected or undone before.
    pub withheld: Vec<Withheld>,
    /// Handed over to people, and not done yet.
    pub handed_over: Vec<OrderId>,
    /// What a plan would warn of that names it.
    pub warnings: Vec<String>,
}

/// An object, as the snapshots and the rules tell it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The object, both its ends filled in as far as they are known.
    pub subject: Subject,
    /// What it is called; may be empty.
    pub name: String,
    /// Its object key, by which orders know it; `None` for what no row stands for.
    pub object: Option<ObjectKey>,
    /// Where its source row stands.
    pub source_line: Option<Line>,
    /// Where its row stands in the target's snapshot.
    pub target_line: Option<Line>,
    /// The source row's cells, by column.
    pub source_cells: BTreeMap<String, String>,
    /// What the target holds of each mapped attribute.
    pub held: BTreeMap<String, String>,
    /// Of each value table of its sync, the positions of the rows that hold for its source row; empty without one.
    pub given: Vec<Vec<usize>>,
    /// Scope, map, correlate, compare, decide, in this order.
    pub steps: Vec<Step>,
    /// What a plan made now would do.
    pub verdict: Verdict,
    /// Whether both snapshots had to be taken as a whole.
    pub is_whole: bool,
}

/// Decides about one object. `input` has whole tables, no links and no live orders: these are asked of `recall`.
///
/// # Errors
/// What keeps a plan from being made as well.
pub fn account(
    input: &PlanInput<'_>,
    subject: &Subject,
    recall: &dyn Recall,
) -> Result<Option<Account>, ReconcileError> {
    let narrowed = narrow(input, subject, recall)?;
    let live = live_of(&narrowed, Vec::new(), recall)?;
    let syncs: Vec<SyncInput<'_>> = narrowed.iter().map(|sync| SyncInput::Objects(sync.narrowed())).collect();
    let unjudged = Unjudged::default();
    let few = few(input, &syncs, &live, recall, &unjudged);
    let own = narrowed.iter().find(|sync| sync.input.sync.index == subject.sync);
    own.map(|own| tell(own, subject, consider(&few)?, &few)).transpose()
}

fn tell(
    own: &NarrowedSync<'_>,
    subject: &Subject,
    mut considered: Considered<'_>,
    few: &PlanInput<'_>,
) -> Result<Account, ReconcileError> {
    undo::mark(&mut considered.ledger.draft.orders, few);
    let plan = considered.plans.iter().map(|(plan, _)| plan).find(|plan| plan.table.input.sync.index == subject.sync);
    let Some(plan) = plan else {
        return Err(ReconcileError::Memory(format!("the sync {} cannot be planned", own.input.sync.id)));
    };
    let table = &plan.table;
    let (input, draft) = (table.input, &considered.ledger.draft);
    let by_key = |key: &str| {
        let gone = table.gone.iter().position(|gone| gone == key).map(|at| (table.source.len() + at) as u32);
        table.find_source(key).or(gone)
    };
    let by_id = |id: &str| table.find_target(id).and_then(|row| table.number_of(row));
    let number =
        subject.source_key.as_deref().and_then(by_key).or_else(|| subject.target_id.as_deref().and_then(by_id));
    let source_key = number.map(|number| table.key(number).to_owned()).or_else(|| subject.source_key.clone());
    let state = number.map(|number| table.states[number as usize]);
    let source_row = source_key.as_deref().and_then(|key| table.find_source(key));
    let paired = number.and_then(|number| table.target_of(number));
    let object = source_key.as_ref().map(|key| ObjectKey::by_source(&input.sync.to, &input.sync.from, key));
    let order = draft.orders.iter().find(|order| Some(&order.object) == object.as_ref()).cloned();
    let own_live = few.live.iter().filter(|live| live.of_other_job.is_none() && Some(&live.object) == object.as_ref());
    let kept_live = own_live.clone().find(|live| draft.kept.contains(&live.id));
    // Whom it would become, where a person has to say so first.
    let proposed =
        order.as_ref().map_or(kept_live.and_then(|live| live.target_id.as_deref()), |o| o.target_id.as_deref());
    let proposed = proposed.and_then(|id| table.find_target(id));
    let linked = source_key.as_deref().and_then(|key| input.links.iter().find(|link| link.source_key == key));
    let asked = subject.target_id.as_deref().and_then(|id| table.find_target(id));
    let target_row = paired.or(proposed).or_else(|| linked.and_then(|l| table.find_target(l.target_id))).or(asked);
    let target_id = target_row.map(|row| table.target.key(row).to_owned()).or_else(|| subject.target_id.clone());

    let source = source_row.map(|row| input.source.fetch(table.source.rows.place(row))).transpose()?;
    let target = target_row.map(|row| input.target.fetch(table.target.place(row))).transpose()?;
    let scanner = Scanner::bind(input, &mut Vec::new())?;
    let mut rows: Vec<(String, OwnedRow, Option<String>)> = Vec::new();
    if source.is_some() && table.target.len() <= CANDIDATES {
        for row in 0..table.target.len() as u32 {
            let id = table.target.key(row).to_owned();
            let owner = input.links.iter().find(|link| link.target_id == id).map(|link| link.source_key.to_owned());
            rows.push((id, input.target.fetch(table.target.place(row))?, owner));
        }
    }
    let candidates: Vec<Candidate<'_>> =
        rows.iter().map(|(id, row, owner)| Candidate { id, row, linked: owner.as_deref() }).collect();
    let raw = source_row.and_then(|row| table.source.raw(row));
    let names = source_row.map(|row| Names { table, row });
    let shown =
        Object { scanner: &scanner, source: source.as_ref(), target: target.as_ref(), link: linked, raw, names };

    let about = |sync: usize, key: &str, id: Option<&str>| {
        let is_it = match source_key.as_deref() {
            Some(known) => known == key,
            None => id.is_some() && id == target_id.as_deref(),
        };
        sync == subject.sync && is_it
    };
    let listed = draft.listed.iter().find(|listed| about(listed.sync, &listed.key, listed.target_id.as_deref()));
    let situation = match (&order, listed, state) {
        (Some(order), ..) => Some(order.situation),
        (None, Some(listed), _) => Some(listed.situation),
        (None, None, Some(EndState::Paired(_))) => Some(Situation::Confirmed),
        _ => None,
    };
    let own_live: Vec<&OrderId> = own_live.map(|live| &live.id).collect();
    let named = source_key.as_ref().map(|key| format!(" `{key}` in {}", input.sync.to)).unwrap_or_default();
    let is_about = |text: &str| !named.is_empty() && text.ends_with(&named);
    let names: Vec<String> = source_key.iter().chain(&target_id).map(|name| format!("`{name}`")).collect();
    let verdict = Verdict {
        situation,
        note: match draft.orders.iter().find(|o| o.renamed_from.is_some() && o.renamed_from == source_key) {
            Some(renamed) => format!("its row goes by another key now, explain `{}`: {}", renamed.key, renamed.reason),
            None => listed.filter(|_| order.is_none()).map(|listed| listed.note.clone()).unwrap_or_default(),
        },
        operation: order.as_ref().map(|order| order.operation).or(kept_live.map(|live| live.operation)),
        kept: draft.kept.iter().find(|kept| own_live.contains(kept)).cloned(),
        reblocked: draft.reblocked.iter().filter(|(id, _)| own_live.contains(&id)).map(|(_, b)| b.clone()).collect(),
        superseded: draft.superseded.iter().filter(|(id, _)| own_live.contains(&id)).cloned().collect(),
        withheld: draft.withheld.iter().filter(|withheld| is_about(&withheld.about)).cloned().collect(),
        handed_over: draft.handed_over.iter().filter(|(_, about)| is_about(about)).map(|(id, _)| id.clone()).collect(),
        warnings: told(&considered, &names),
        order,
    };
    let is_unsure = |live: &&LiveOrder| live.block == Some(BlockReason::LowConfidence);
    let waits =
        kept_live.filter(is_unsure).map(|live| format!("not surely; a person confirms it by order {}", live.id));
    let why = verdict.order.as_ref().map(|order| match &order.block {
        Some(block) if paired.is_none() && order.target_id.is_some() => block.detail.clone(),
        Some(block) if order.situation == Situation::Ambiguous => block.detail.clone(),
        _ => match order.reason.find("matched with") {
            Some(at) => order.reason[at..].to_owned(),
            None => String::new(),
        },
    });
    let paired_id = paired.or(proposed).map(|row| table.target.key(row));
    let correlated = shown.correlate(&candidates, paired_id, why.or(waits).as_deref().unwrap_or_default());
    let steps = vec![shown.assign(), shown.scope(), shown.map(), correlated, shown.compare(), decide(&verdict)];
    let line_in = |side: usize, whole: &Table, key: Option<&str>, row: Option<&OwnedRow>| {
        // Of whole snapshots the row itself says where it stands.
        let itself = row.filter(|_| own.is_whole()).map(OwnedRow::place);
        let place = itself.or_else(|| key.and_then(|key| own.places[side].get(key)).copied().filter(|_| row.is_some()));
        place.map(|place| whole.line_of(place)).transpose()
    };
    let source_line = line_in(0, own.input.source, source_key.as_deref(), source.as_ref())?;
    let target_line = line_in(1, own.input.target, target_id.as_deref(), target.as_ref())?;
    let cells = |row: &OwnedRow| {
        let cells = input.source.columns().iter().enumerate();
        cells.map(|(at, name)| (name.clone(), crate::snapshot::row::Cells::cell(row, at).to_owned())).collect()
    };
    let held = |row: &OwnedRow| {
        let held = scanner.attributes.iter();
        held.map(|attribute| (attribute.name.clone(), attribute.held(row).to_owned())).collect()
    };
    let name = target.as_ref().and_then(|row| name_in(input, row));
    let name = name.or_else(|| verdict.order.as_ref().map(|order| order.name.clone()));
    Ok(Account {
        subject: Subject { sync: subject.sync, source_key, target_id },
        name: name.unwrap_or_default(),
        object,
        source_line,
        target_line,
        source_cells: source.as_ref().map(cells).unwrap_or_default(),
        held: target.as_ref().map(held).unwrap_or_default(),
        given: source.iter().flat_map(|row| scanner.tables.iter().map(|table| table.fitting(row))).collect(),
        steps,
        verdict,
        is_whole: own.is_whole(),
    })
}

/// With more objects of the target than so many, candidates are not told one by one.
const CANDIDATES: usize = 2_000;

/// The warnings of a plan that name one of these.
fn told(considered: &Considered<'_>, names: &[String]) -> Vec<String> {
    let all = considered.warnings();
    all.filter(|warning| names.iter().any(|name| warning.contains(name))).map(str::to_owned).collect()
}

/// The step that says what follows.
fn decide(verdict: &Verdict) -> Step {
    let word = |situation: Situation| situation.word();
    let Some(order) = &verdict.order else {
        let text = match (verdict.situation, verdict.note.is_empty()) {
            (Some(situation), false) if verdict.operation.is_some() => {
                let operation = verdict.operation.map_or("", Operation::word);
                format!("{}: {operation}; {}", word(situation), verdict.note)
            }
            (Some(situation), true) => format!("{}: nothing to do", word(situation)),
            (Some(situation), false) => format!("{}: {}", word(situation), verdict.note),
            (None, false) => verdict.note.clone(),
            (None, _) if verdict.warnings.is_empty() => "nothing to do: it is neither wanted nor managed".to_owned(),
            (None, _) => "nothing can be said of it now".to_owned(),
        };
        return Step::new(StepName::Decide, text);
    };
    let mut step = Step::new(StepName::Decide, format!("{}: {}; {}", order.situation, order.operation, order.reason));
    if let Some(block) = &order.block {
        step.facts.push(Fact::new("blocked", block.reason.word()).with("why", &block.detail));
    }
    step
}
