//! Who must not be locked out: the last member in use of a group that the job protects, the last holder of a right that
//! a sync keeps, and the account that muster itself uses. Judged over everything that is live, because each order alone
//! looks harmless.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::capabilities::{AttributeType, OwnAccount};
use crate::model::order::{Block, BlockReason, EndRef, Operation, OrderId, OrderState, Remedy};
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::rules::problem::RuleProblem;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::{Cells, Row};
use crate::snapshot::table::Table;

use super::canonical;
use super::ends::{EndTable, NAMES, name_in};
use super::error::ReconcileError;
use super::input::PlanInput;
use super::kept_now::keep_one_of;
use super::plan::{Planned, association_of, ends_of};
use super::policy::AssociationSync;
use super::reason::{block, some};
use super::standing::{Ledger, Which};
use super::uncounted;

/// What all orders together would take away; ids are the target's.
#[derive(Default)]
pub(crate) struct Leaving<'l> {
    /// Objects that are disabled or deleted.
    pub(crate) objects: HashMap<(&'l ResourceName, &'l str), Vec<usize>>,
    /// Those of them that are deleted.
    pub(crate) deleted: HashMap<(&'l ResourceName, &'l str), Vec<usize>>,
    /// Association rows that are removed, by the ids of their ends.
    pub(crate) rows: HashMap<&'l ResourceName, HashMap<(&'l str, &'l str), Vec<usize>>>,
}

/// Blocks the orders that would lock somebody out.
pub(crate) fn guard(
    input: &PlanInput<'_>,
    plans: &[Planned<'_>],
    ledger: &mut Ledger<'_>,
) -> Result<(), ReconcileError> {
    let (mut guarded, mut unknown) = (Vec::new(), Vec::new());
    for rows in input.syncs.iter().filter_map(association_of) {
        let ends = ends_of(rows.sync, plans)?.map(|end| &end.plan.table);
        guarded.push((rows.sync, rows.target, ends, rules(input, rows.sync, rows.target, ends)?));
    }
    for rows in input.unplanned {
        match (rows.target, ends_of(rows.sync, plans)) {
            (Some(target), Ok(ends)) => {
                let ends = ends.map(|end| &end.plan.table);
                guarded.push((rows.sync, target, ends, rules(input, rows.sync, target, ends)?));
            }
            _ => unknown.push(rows),
        }
    }
    let has_rules = !unknown.is_empty() || guarded.iter().any(|(.., rules)| !rules.is_empty());
    let (leaving, going) = Leaving::of(ledger, |operation| match operation {
        Operation::Disable | Operation::Remove => has_rules,
        Operation::Delete => true,
        _ => false,
    });
    if going.is_empty() {
        return Ok(());
    }
    let mut blocks: Vec<(usize, Block)> = Vec::new();
    let mut warnings = Vec::new();
    for (sync, target, ends, rules) in guarded {
        for rule in rules {
            blocks.extend(rule.judge(&leaving)?);
        }
        blocks.extend(own_rights(sync, target, ends, &leaving)?);
    }
    for rows in unknown {
        let (found, told) = uncounted::judge(rows, input.wishes.protect, &leaving);
        blocks.extend(found);
        warnings.extend(told);
    }
    drop(leaving);
    for (number, block) in blocks {
        ledger.stop(going[number], block);
    }
    ledger.draft.warnings.append(&mut warnings);
    Ok(())
}

impl<'l> Leaving<'l> {
    /// Of the operations that matter. Also gives the orders that the numbers stand for.
    pub(crate) fn of<'a>(ledger: &'l Ledger<'a>, matters: impl Fn(Operation) -> bool) -> (Self, Vec<Which<'a>>) {
        let (mut leaving, mut going) = (Self::default(), Vec::new());
        let goes = |block: &Option<Block>| block.as_ref().is_none_or(|b| b.reason.remedy() != Remedy::CauseGone);
        let new = ledger.draft.orders.iter().enumerate().filter(|(_, order)| goes(&order.block));
        for (number, order) in new.filter(|(_, order)| matters(order.operation)) {
            let ends = order.ends.iter().map(|end| &end.object);
            leaving.take(going.len(), &order.resource, order.operation, order.target_id.as_deref(), ends);
            going.push(Which::New(number));
        }
        let lifted = ledger.draft.reblocked.iter().filter(|(_, block)| block.is_none()).map(|(id, _)| id);
        let lifted: HashSet<&OrderId> = lifted.collect();
        for live in ledger.remaining().into_iter().filter(|live| matters(live.operation)) {
            // What this guard blocked in an earlier run is judged anew; what undoes another, when it is asked for again.
            let is_judged = live.block == Some(BlockReason::Protected) && (!live.undoes || lifted.contains(&live.id));
            let is_stopped = live.state == OrderState::Blocked
                && live.block.is_some_and(|b| b.remedy() == Remedy::CauseGone)
                && !is_judged;
            if is_stopped || ledger.is_stopped(&live.id) {
                continue;
            }
            leaving.take(going.len(), &live.resource, live.operation, live.target_id.as_deref(), live.ends.iter());
            going.push(Which::Live(live));
        }
        (leaving, going)
    }

    fn take(
        &mut self,
        which: usize,
        resource: &'l ResourceName,
        operation: Operation,
        id: Option<&'l str>,
        ends: impl Iterator<Item = &'l EndRef>,
    ) {
        match (operation, id) {
            (Operation::Disable | Operation::Delete, Some(id)) => {
                if operation == Operation::Delete {
                    self.deleted.entry((resource, id)).or_default().push(which);
                }
                self.objects.entry((resource, id)).or_default().push(which);
            }
            (Operation::Remove, _) => {
                let ids: Vec<&str> = ends.filter_map(target).collect();
                if let [first, second] = ids[..] {
                    self.rows.entry(resource).or_default().entry((first, second)).or_default().push(which);
                }
            }
            _ => {}
        }
    }

    /// Ids of the objects of a type that go.
    fn ids(&self, resource: &ResourceName) -> HashSet<&'l str> {
        self.objects.keys().filter(|(of, _)| *of == resource).map(|(_, id)| *id).collect()
    }
}

fn target(end: &EndRef) -> Option<&str> {
    match end {
        EndRef::Target(id) => Some(id),
        EndRef::Order(_) => None,
    }
}

/// One thing to keep: a row in use for each of some objects at one end.
struct Rule<'r> {
    sync: &'r AssociationSync,
    target: &'r Table,
    ends: [&'r EndTable<'r>; 2],
    /// The end whose objects keep a row.
    kept: usize,
    /// The objects, by target id; `None` = all.
    only: Option<HashSet<String>>,
    /// The rows that count.
    scope: Option<(BoundScope, String)>,
    /// The setting, for people.
    setting: String,
}

fn rules<'r>(
    input: &PlanInput<'_>,
    sync: &'r AssociationSync,
    target: &'r Table,
    ends: [&'r EndTable<'r>; 2],
) -> Result<Vec<Rule<'r>>, ReconcileError> {
    let mut rules = Vec::new();
    for kept in [0, 1] {
        let named = &sync.ends[kept];
        if counts_members(ends, kept) {
            let only = named_objects(ends[kept], input.wishes.protect)?;
            if !only.is_empty() {
                let setting = "[apply] protect".to_owned();
                rules.push(Rule { sync, target, ends, kept, only: Some(only), scope: None, setting });
            }
        }
        let Some(keep) = sync.keep_one.as_ref().filter(|keep| keep.end == named.name) else { continue };
        let scope = match &keep.scope {
            None => None,
            Some((scope, text)) => {
                let wrong = |problems: Vec<RuleProblem>| ReconcileError::Rule {
                    sync: sync.id.clone(),
                    resource: sync.to.clone(),
                    cause: format!(
                        "keep_one: {}",
                        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                    ),
                };
                Some((scope.bind(target.columns()).map_err(wrong)?, text.clone()))
            }
        };
        let setting = keep_one_of(&sync.to);
        rules.push(Rule { sync, target, ends, kept, only: None, scope, setting });
    }
    Ok(rules)
}

/// Whether the rows of a protected object are members that are counted: it is a group of accounts. Else none of its
/// rows is touched.
pub(crate) fn counts_members(ends: [&EndTable<'_>; 2], kept: usize) -> bool {
    let is_account = |end: usize| ends[end].input.capabilities.enabled.is_some();
    !is_account(kept) && is_account(1 - kept)
}

/// Target ids of the objects that the job protects.
fn named_objects(table: &EndTable<'_>, protect: &BTreeSet<String>) -> Result<HashSet<String>, ReconcileError> {
    let prefix = format!("{}/", table.input.sync.to);
    let names: HashSet<&str> = protect.iter().filter_map(|name| name.strip_prefix(prefix.as_str())).collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let mut found = called(table, &|name| names.contains(name))?;
    let linked = names.iter().filter_map(|name| table.find_source(name)).filter_map(|number| table.target_id(number));
    found.extend(linked.map(str::to_owned));
    Ok(found)
}

/// Ids of the target's objects whose id or name is one of some.
fn called(table: &EndTable<'_>, is_it: &(dyn Fn(&str) -> bool + Sync)) -> Result<HashSet<String>, ReconcileError> {
    let target = table.input.target;
    let columns: Vec<usize> = NAMES.iter().filter_map(|name| target.column(name)).collect();
    let found = target.par_fold(Vec::new, |found: &mut Vec<String>, row| {
        let key = target.key_of(row);
        if is_it(&key) || columns.iter().any(|column| is_it(row.cell(*column))) {
            found.push(key);
        }
    })?;
    Ok(found.into_iter().flatten().collect())
}

impl Rule<'_> {
    /// Blocks for all that would take the last row together. Who stays is for a person to say.
    fn judge<'l>(&self, leaving: &Leaving<'l>) -> Result<Vec<(usize, Block)>, ReconcileError> {
        let (table, sync) = (self.target, self.sync);
        let columns = [self.column(0)?, self.column(1)?];
        let (kept, other) = (columns[self.kept], columns[1 - self.kept]);
        let gone = leaving.ids(&self.ends[1 - self.kept].input.sync.to);
        let none = HashMap::new();
        let removed = leaving.rows.get(&sync.to).unwrap_or(&none);
        let goes = |row: &Row<'_>| {
            gone.contains(row.cell(other)) || removed.contains_key(&(row.cell(columns[0]), row.cell(columns[1])))
        };
        let concerns = |row: &Row<'_>| self.only.as_ref().is_none_or(|only| only.contains(row.cell(kept)));
        // What cannot be judged may be lost, and does not count as kept.
        let counts =
            |row: &Row<'_>, unknown: bool| self.scope.as_ref().is_none_or(|(s, _)| s.admits(row).unwrap_or(unknown));
        let going = table.par_fold(Vec::new, |going: &mut Vec<(String, String)>, row| {
            if concerns(row) && goes(row) && counts(row, true) {
                going.push((row.cell(kept).to_owned(), row.cell(other).to_owned()));
            }
        })?;
        let mut losing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (object, member) in going.into_iter().flatten() {
            losing.entry(object).or_default().insert(member);
        }
        if losing.is_empty() {
            return Ok(Vec::new());
        }
        let members = self.ends[1 - self.kept];
        let disabled = disabled(members)?;
        let in_use =
            |id: &str| members.find_target(id).is_some_and(|row| !disabled.get(row as usize).is_some_and(|d| *d));
        let staying = table.par_fold(HashSet::new, |staying: &mut HashSet<String>, row| {
            let object = row.cell(kept);
            if losing.contains_key(object)
                && !staying.contains(object)
                && !goes(row)
                && counts(row, false)
                && in_use(row.cell(other))
            {
                staying.insert(object.to_owned());
            }
        })?;
        for object in staying.into_iter().flatten() {
            losing.remove(&object);
        }
        let mut blocks = Vec::new();
        for (object, lost) in &losing {
            let detail = self.detail(object, lost)?;
            for member in lost {
                let pair = if self.kept == 0 {
                    (object.as_str(), member.as_str())
                } else {
                    (member.as_str(), object.as_str())
                };
                let of_row = removed.get(&pair).into_iter().flatten();
                let key = (&self.ends[1 - self.kept].input.sync.to, member.as_str());
                let of_object = leaving.objects.get(&key).into_iter().flatten();
                blocks.extend(of_row.chain(of_object).filter_map(|which| Some((*which, protected(detail.clone())?))));
            }
        }
        Ok(blocks)
    }

    fn column(&self, end: usize) -> Result<usize, ReconcileError> {
        let name = &self.sync.ends[end].name;
        self.target.column(name).ok_or_else(|| ReconcileError::Column {
            sync: self.sync.id.clone(),
            resource: Box::new(self.sync.to.clone()),
            column: name.clone(),
            present: self.target.columns().join(", "),
        })
    }

    fn detail(&self, object: &str, lost: &BTreeSet<String>) -> Result<String, ReconcileError> {
        let members = self.ends[1 - self.kept];
        let mut who = Vec::new();
        for id in lost {
            who.push(format!("`{}`", label(members, id)?));
        }
        let kept = self.ends[self.kept];
        let what = in_use(&self.sync.ends[1 - self.kept].name, self.scope.as_ref().map(|(_, text)| text.as_str()));
        Ok(last_of(&kept.input.sync.to, &label(kept, object)?, &what, &self.setting, who))
    }
}

/// Whom an object keeps one of, in words.
pub(crate) fn in_use(member: &str, scope: Option<&str>) -> String {
    match scope {
        None => format!("{member} in use"),
        Some(scope) => format!("{member} in use with `{scope}`"),
    }
}

/// Why the last ones stay; `who` are the members that would go, in words.
pub(crate) fn last_of(of: &ResourceName, called: &str, what: &str, setting: &str, mut who: Vec<String>) -> String {
    who.sort();
    format!(
        "`{of}/{called}` would be left without a {what} ({setting}): {} would go; add another one first, or reject the order of whoever is to stay, and run again",
        some(&who),
    )
}

pub(crate) fn protected(detail: String) -> Option<Block> {
    block(BlockReason::Protected, detail)
}

/// Why something stays that the account of muster has rights by.
pub(crate) fn holds_own(of: &ResourceName, called: &str, account: &OwnAccount) -> String {
    format!(
        "`{of}/{called}` holds `{}`, the account that muster itself uses (known by {}), and deleting it would take these rights away; take the account out by hand first, or give muster another one, and run again",
        account.names.last().map_or("", String::as_str),
        account.known_by,
    )
}

/// What to call an object of the target.
fn label(table: &EndTable<'_>, id: &str) -> Result<String, ReconcileError> {
    let Some(row) = table.find_target(id) else { return Ok(id.to_owned()) };
    let cells = table.input.target.fetch(table.target.place(row))?;
    Ok(name_in(table.input, &cells).unwrap_or_else(|| id.to_owned()))
}

/// By target row: whether the account is disabled.
fn disabled(table: &EndTable<'_>) -> Result<Vec<bool>, ReconcileError> {
    let target = table.input.target;
    let Some(column) = table.input.capabilities.enabled.as_deref().and_then(|name| target.column(name)) else {
        return Ok(Vec::new());
    };
    let is_disabled = |row: &Row<'_>| {
        let value = canonical::value(row.cell(column), AttributeType::Boolean);
        value.as_ref().and_then(Value::as_text) == Some("false")
    };
    Ok(target.par_map(is_disabled)?)
}

/// Deletes of what the account that muster itself uses has rights by.
fn own_rights<'l>(
    sync: &AssociationSync,
    target: &Table,
    ends: [&EndTable<'_>; 2],
    leaving: &Leaving<'l>,
) -> Result<Vec<(usize, Block)>, ReconcileError> {
    let mut blocks = Vec::new();
    for kept in [0, 1] {
        let of = &ends[kept].input.sync.to;
        let deleted: HashMap<&str, &Vec<usize>> = leaving
            .deleted
            .iter()
            .filter(|((resource, _), _)| *resource == of)
            .map(|((_, id), which)| (*id, which))
            .collect();
        let Some(account) = own_account(ends[1 - kept]).filter(|_| !deleted.is_empty()) else { continue };
        let own = called(ends[1 - kept], &|name| account.is(&[name]))?;
        let name = |end: usize| sync.ends[end].name.as_str();
        let (Some(column), Some(other)) = (target.column(name(kept)), target.column(name(1 - kept))) else {
            continue;
        };
        let held = target.par_fold(Vec::new, |held: &mut Vec<String>, row| {
            if deleted.contains_key(row.cell(column)) && own.contains(row.cell(other)) {
                held.push(row.cell(column).to_owned());
            }
        })?;
        for id in held.into_iter().flatten().collect::<BTreeSet<String>>() {
            let detail = holds_own(of, &label(ends[kept], &id)?, account);
            let orders = deleted.get(id.as_str()).into_iter().flat_map(|which| which.iter());
            blocks.extend(orders.filter_map(|which| Some((*which, protected(detail.clone())?))));
        }
    }
    Ok(blocks)
}

/// The account that muster itself uses, where these are the accounts.
fn own_account<'a>(table: &EndTable<'a>) -> Option<&'a OwnAccount> {
    table.input.account.filter(|_| table.input.capabilities.enabled.is_some())
}
