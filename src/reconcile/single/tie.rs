//! One row of an association, decided as a plan would decide it, with the whole chain that leads to it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use crate::model::order::{ObjectKey, Order};
use crate::model::plan::Withheld;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::{AssociationInput, PlanInput, SyncInput};
use crate::reconcile::plan::consider;
use crate::reconcile::policy::{AssociationSync, Nested, OrderThresholds};
use crate::reconcile::undo;
use crate::snapshot::row::{Cells, OwnedRow};
use crate::snapshot::table::{Line, Table};

use super::super::nesting::{CHILD, PARENT};
use super::narrowed::{NarrowedSync, Unjudged, few, live_of, narrow_all};
use super::recall::Recall;
use super::verdict::{Account, Verdict};

/// A row of an association: who is in what.
#[derive(Clone, Debug)]
pub struct Tie {
    /// The association, as its position in the job file.
    pub sync: usize,
    /// By which all orders about it know it; `None` where an end has no row.
    pub object: Option<ObjectKey>,
    /// The source's row that says so directly, and where it stands.
    pub direct: Option<Line>,
    /// Groups in groups that lead there, from the one that holds the member to the one in question; where it is not
    /// direct.
    pub path: Vec<String>,
    /// The groups that hold the member directly at the source.
    pub groups: Vec<String>,
    /// Where the target's row stands, where it has one.
    pub held: Option<Line>,
    /// Whether muster added the target's row.
    pub is_ours: bool,
    /// What a plan made now would do.
    pub verdict: Verdict,
}

/// What the outer end is called where groups are in groups.
const OUTER: [&str; 4] = ["parent", "group", "container", "outer"];

/// Decides about one row. `member` and `group` are accounts of its ends, `ends` their positions among the association's.
///
/// # Errors
/// What keeps a plan from being made as well.
pub fn tie(
    input: &PlanInput<'_>,
    index: usize,
    (member, group): (&Account, &Account),
    recall: &dyn Recall,
) -> Result<Option<Tie>, ReconcileError> {
    let found = input.syncs.iter().find_map(|sync| match sync {
        SyncInput::Association(association) if association.sync.index == index => Some(association),
        _ => None,
    });
    let Some(association) = found else { return Ok(None) };
    let sync_of = |account: &Account| {
        input.syncs.iter().find_map(|sync| match sync {
            SyncInput::Objects(objects) if objects.sync.index == account.subject.sync => Some(objects),
            _ => None,
        })
    };
    let (Some(members), Some(groups)) = (sync_of(member), sync_of(group)) else { return Ok(None) };
    let end = |of: &crate::reconcile::input::ObjectInput<'_>| {
        association.sync.ends.iter().find(|end| end.from == of.sync.from && end.to == of.sync.to)
    };
    let (mut member_end, mut group_end) = (end(members), end(groups));
    let is_nesting = member.subject.sync == group.subject.sync;
    if is_nesting && let [one, other] = association.sync.ends.as_slice() {
        // Both ends are of one kind: their names tell which holds the other.
        (member_end, group_end) =
            if OUTER.contains(&other.name.as_str()) { (Some(one), Some(other)) } else { (Some(other), Some(one)) };
    }
    let (Some(member_end), Some(group_end)) = (member_end, group_end) else { return Ok(None) };
    let column = |table: &Table, name: &str| {
        table.column(name).ok_or_else(|| ReconcileError::Column {
            sync: association.sync.id.clone(),
            resource: Box::new(association.sync.from.clone()),
            column: name.to_owned(),
            present: table.columns().join(", "),
        })
    };
    let source = association.source;
    let (in_member, in_group) = (column(source, &member_end.name)?, column(source, &group_end.name)?);
    let (member_key, group_key) = (member.subject.source_key.as_deref(), group.subject.source_key.as_deref());

    // Everything that ties the member, and every group in a group, in one pass.
    let group_keys: HashSet<String> = groups.source.par_map(|row| groups.source.key_of(row))?.into_iter().collect();
    let rows = source.par_fold(Vec::new, |found: &mut Vec<OwnedRow>, row| {
        let holds = row.cell(in_member);
        if Some(holds) == member_key || group_keys.contains(holds) {
            found.push(OwnedRow::of(row));
        }
    })?;
    let rows: Vec<OwnedRow> = rows.into_iter().flatten().collect();
    let of_member: Vec<&OwnedRow> = rows.iter().filter(|row| Some(row.cell(in_member)) == member_key).collect();
    let nested: Vec<&OwnedRow> = rows.iter().filter(|row| Some(row.cell(in_member)) != member_key).collect();
    let held_by: BTreeSet<&str> = of_member.iter().map(|row| row.cell(in_group)).collect();
    let direct = of_member.iter().find(|row| Some(row.cell(in_group)) == group_key);
    let mut pairs: Vec<(String, String)> =
        nested.iter().map(|row| (row.cell(in_member).to_owned(), row.cell(in_group).to_owned())).collect();
    let rows_of_their_own = pairs.len();
    if let Some((table, (child, parent))) =
        association.nestings.and_then(|table| Some((table, (table.column(CHILD)?, table.column(PARENT)?))))
    {
        table.for_each(|row| pairs.push((row.cell(child).to_owned(), row.cell(parent).to_owned())))?;
    }
    let path = path(&held_by, group_key, &pairs);

    // The narrowed association: what ties the member, and the groups on the way; one that is refused needs a witness.
    let on_way: BTreeSet<&str> = path.iter().map(String::as_str).chain(group_key).collect();
    let mut places: Vec<_> =
        of_member.iter().filter(|row| on_way.contains(row.cell(in_group))).map(|r| r.place()).collect();
    let ways = nested.iter().filter(|row| on_way.contains(row.cell(in_group)) && on_way.contains(row.cell(in_member)));
    let witness = nested.iter().filter(|_| association.sync.nested == Nested::Refuse).take(1);
    let mut wanted_groups: BTreeSet<String> = on_way.iter().map(|key| (*key).to_owned()).collect();
    for row in ways.chain(witness) {
        places.push(row.place());
        wanted_groups.extend([row.cell(in_member).to_owned(), row.cell(in_group).to_owned()]);
    }
    if association.sync.nested == Nested::Refuse {
        wanted_groups.extend(pairs.iter().skip(rows_of_their_own).take(1).flat_map(|(a, b)| [a.clone(), b.clone()]));
    }
    let target = association.target;
    let (to_member, to_group) = (column(target, &member_end.name)?, column(target, &group_end.name)?);
    let ids = (member.subject.target_id.as_deref(), group.subject.target_id.as_deref());
    let held = target.par_fold(Vec::new, |found: &mut Vec<OwnedRow>, row| {
        if ids.0.is_some() && Some(row.cell(to_member)) == ids.0 && Some(row.cell(to_group)) == ids.1 {
            found.push(OwnedRow::of(row));
        }
    })?;
    let held: Vec<OwnedRow> = held.into_iter().flatten().collect();
    let tables = (source.excerpt(&places)?, target.excerpt(&held.iter().map(OwnedRow::place).collect::<Vec<_>>())?);

    let member_keys: BTreeSet<String> = member_key.into_iter().map(str::to_owned).collect();
    let mut narrowed = Vec::new();
    if is_nesting {
        wanted_groups.extend(member_keys);
    } else {
        narrowed = narrow_all(input, &member.subject, &member_keys, recall)?;
    }
    narrowed.extend(narrow_all(input, &group.subject, &wanted_groups, recall)?);
    // Where objects refer to each other, each of both is all syncs.
    let mut seen = BTreeSet::new();
    narrowed.retain(|sync| seen.insert(sync.input.sync.index));
    narrowed.sort_by_key(|sync| sync.input.sync.index);
    let object = ends_object(association, member_end.name < group_end.name, member, group);
    let verdict = decided(input, association, &narrowed, &tables, object.as_ref(), recall)?;
    let is_ours = match &object {
        Some(object) => recall.added(&association.sync.id, std::slice::from_ref(object))?.first() == Some(&true),
        None => false,
    };
    Ok(Some(Tie {
        sync: index,
        direct: direct.map(|row| source.line_of(row.place())).transpose()?,
        path,
        groups: held_by.into_iter().map(str::to_owned).collect(),
        held: held.first().map(|row| target.line_of(row.place())).transpose()?,
        is_ours,
        object,
        verdict,
    }))
}

/// The shortest way from a group that holds the member to the one in question, over groups in groups; empty where there is
/// none but the direct one.
fn path(held_by: &BTreeSet<&str>, wanted: Option<&str>, nested: &[(String, String)]) -> Vec<String> {
    let Some(wanted) = wanted.filter(|wanted| !held_by.contains(wanted)) else { return Vec::new() };
    let mut outer_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (inner, outer) in nested {
        outer_of.entry(inner).or_default().insert(outer);
    }
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next: VecDeque<&str> = held_by.iter().copied().collect();
    while let Some(group) = next.pop_front() {
        if group == wanted {
            let mut path = vec![group.to_owned()];
            let mut at = group;
            while let Some(before) = came_from.get(at).filter(|_| !held_by.contains(at)) {
                path.push((*before).to_owned());
                at = before;
            }
            path.reverse();
            return path;
        }
        for outer in outer_of.get(group).into_iter().flatten() {
            if !held_by.contains(outer) && !came_from.contains_key(outer) {
                came_from.insert(outer, group);
                next.push_back(outer);
            }
        }
    }
    Vec::new()
}

fn ends_object(
    association: &AssociationInput<'_>,
    member_first: bool,
    member: &Account,
    group: &Account,
) -> Option<ObjectKey> {
    let (member, group) = (member.object.as_ref()?, group.object.as_ref()?);
    let ends = if member_first { [member, group] } else { [group, member] };
    Some(ObjectKey::association(&association.sync.to, &ends))
}

fn decided(
    input: &PlanInput<'_>,
    association: &AssociationInput<'_>,
    narrowed: &[NarrowedSync<'_>],
    tables: &(Table, Table),
    object: Option<&ObjectKey>,
    recall: &dyn Recall,
) -> Result<Verdict, ReconcileError> {
    let mut sync: AssociationSync = association.sync.clone();
    sync.thresholds = OrderThresholds::OFF;
    sync.scoped.iter_mut().for_each(|scoped| scoped.thresholds = OrderThresholds::OFF);
    sync.keep_one = None;
    let further = object.map(|object| recall.live(association.identity, std::slice::from_ref(object))).transpose()?;
    let live = live_of(narrowed, further.unwrap_or_default(), recall)?;
    let mut syncs: Vec<SyncInput<'_>> = narrowed.iter().map(|sync| SyncInput::Objects(sync.narrowed())).collect();
    let rows = AssociationInput {
        sync: &sync,
        source: &tables.0,
        target: &tables.1,
        // They are of the whole files.
        source_sha256: None,
        target_sha256: None,
        ..*association
    };
    syncs.push(SyncInput::Association(rows));
    let unjudged = Unjudged::default();
    let few = few(input, &syncs, &live, recall, &unjudged);
    let mut considered = consider(&few)?;
    undo::mark(&mut considered.ledger.draft.orders, &few);
    let draft = &considered.ledger.draft;
    let is_own = |id: &crate::model::order::OrderId| {
        live.iter().any(|live| live.id == *id && Some(&live.object) == object && live.of_other_job.is_none())
    };
    let order: Option<Order> = draft.orders.iter().find(|order| Some(&order.object) == object).cloned();
    let withheld: Vec<Withheld> = draft
        .withheld
        .iter()
        .filter(|withheld| withheld.about.ends_with(&format!(" in {}", association.sync.to)))
        .cloned()
        .collect();
    Ok(Verdict {
        situation: order.as_ref().map(|order| order.situation),
        note: String::new(),
        operation: order.as_ref().map(|order| order.operation),
        kept: draft.kept.iter().find(|id| is_own(id)).cloned(),
        reblocked: draft.reblocked.iter().filter(|(id, _)| is_own(id)).map(|(_, block)| block.clone()).collect(),
        superseded: draft.superseded.iter().filter(|(id, _)| is_own(id)).cloned().collect(),
        withheld,
        handed_over: Vec::new(),
        warnings: considered
            .warnings()
            .filter(|warning| warning.starts_with(&format!("{}:", association.sync.id)))
            .map(str::to_owned)
            .collect(),
        order,
    })
}
