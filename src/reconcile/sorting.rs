//! How each object stands: what is confirmed is settled here, the rest becomes work for the decider.

use std::collections::HashMap;

use rayon::prelude::*;

use super::canonical::{self, ABSENT, NOTHING};
use super::correlate::{Correlation, Pairing};
use super::decide::Work;
use super::draft::{LinkBook, Settled};
use super::ends::EndState;
use super::input::ObjectInput;
use super::objects::{ObjectPlan, counted};
use super::reason::some;
use super::rows::{Admission, SourceRow, TargetRow};
use super::scan::{Attribute, Scanner, Wanted};
use crate::model::link::{AgreedView, How};
use crate::model::order::ObjectKey;
use crate::model::situation::Situation;

/// Says how each object stands, and collects those that have to be looked at closely.
pub(crate) fn sort_out(scanner: &Scanner<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>) -> Vec<Work> {
    let input = scanner.input;
    let mut work = Vec::new();
    let (mut unproved, mut scope_failed, mut unassigned) = (Vec::new(), Vec::new(), Vec::new());
    let was: HashMap<u32, u32> = done.dangling.iter().copied().collect();
    let looks = look_at_pairs(scanner, done, plan);
    let mut confirmed = 0;
    for row in 0..plan.table.source.len() as u32 {
        let source = plan.table.source.get(row);
        let key = || ObjectKey::by_source(&input.sync.to, &input.sync.from, source.key);
        let admission = source.admission;
        match done.pairing[row as usize] {
            Pairing::Skipped => {
                plan.undecided.insert(key());
                if !source.key.is_empty() && matches!(admission, Admission::Unknown) {
                    scope_failed.push(row);
                }
            }
            Pairing::Ambiguous { group } => work.push(Work::Ambiguous { source: row, group }),
            Pairing::Renamed { rename } => {
                let renamed = &done.renames[rename as usize];
                work.push(Work::Renamed { source: row, rename });
                plan.table.numbers[renamed.target as usize] = row;
            }
            Pairing::Linked { target, link } => {
                plan.table.numbers[target as usize] = row;
                match admission {
                    // Who leaves does not keep access because a condition fails.
                    Admission::Unknown if leaves(scanner, plan, row, target) => {
                        work.push(Work::Pair { source: row, target, link: Some(link), rule: None });
                    }
                    Admission::Unknown => {
                        plan.undecided.insert(key());
                        scope_failed.push(row);
                    }
                    Admission::Unassigned => {
                        plan.undecided.insert(key());
                        unassigned.push(source.key);
                    }
                    Admission::Out => work.push(Work::OutOfScope { source: row, target, link }),
                    Admission::In => {
                        let look = looks[row as usize];
                        // It came back: whatever becomes of the order that says so, its grace is over.
                        plan.book.graces.extend(look.in_grace.then(|| (source.key.to_owned(), None)));
                        if look.equal {
                            confirmed += 1;
                            if !look.agreed {
                                let held = plan.table.target.get(target);
                                plan.book.agreed.push(settled(source, held, input.links.get(link).how));
                            }
                        } else {
                            work.push(Work::Pair { source: row, target, link: Some(link), rule: None });
                        }
                    }
                }
            }
            Pairing::Matched { target, rule } => {
                let sure = scanner.judges[rule as usize].confidence >= 100;
                let equal = looks[row as usize].equal;
                // What somebody else manages is never linked here: the decider looks at it.
                work.push(Work::Pair { source: row, target, link: None, rule: Some((rule, equal)) });
                if sure {
                    plan.table.numbers[target as usize] = row;
                }
            }
            Pairing::None => match admission {
                Admission::In if input.target_absence => {
                    work.push(Work::Create { source: row, link: was.get(&row).copied() });
                }
                Admission::In => {
                    *plan.situations.counts.entry(Situation::Missing).or_default() += 1;
                    plan.undecided.insert(key());
                    unproved.push(source.key);
                }
                Admission::Out | Admission::Unassigned | Admission::Unknown => {}
            },
        }
        plan.table.states[row as usize] = state_of(input, scanner, done, source, row);
    }
    if confirmed > 0 {
        *plan.situations.counts.entry(Situation::Confirmed).or_default() += confirmed;
    }
    if !unproved.is_empty() {
        unproved.sort_unstable();
        plan.warnings.push(format!(
            "{}: {} found nothing in {}, but its snapshot does not prove absence; nothing is created before a complete run: {}",
            input.sync.id,
            counted(unproved.len(), "row"),
            input.sync.to,
            some(&unproved)
        ));
    }
    if !unassigned.is_empty() {
        unassigned.sort_unstable();
        plan.warnings.push(format!(
            "{}: {} in no group that `assigned` names, but the snapshots of the groups do not prove it; nothing is done before a complete run: {}",
            input.sync.id,
            if unassigned.len() == 1 { "1 row is".to_owned() } else { format!("{} rows are", unassigned.len()) },
            some(&unassigned)
        ));
    }
    told_scope(scanner, &scope_failed, plan);
    drop_links(input, done, plan);
    gone(input, done, plan, &mut work);
    work
}

/// How the object of a source row stands, from what it is paired with.
pub(crate) fn state_of(
    input: &ObjectInput<'_>,
    scanner: &Scanner<'_>,
    done: &Correlation,
    source: SourceRow<'_>,
    row: u32,
) -> EndState {
    match (done.pairing[row as usize], source.admission) {
        (Pairing::Skipped | Pairing::Ambiguous { .. }, _) => EndState::Undecided,
        (Pairing::Renamed { rename }, _) => {
            let renamed = &done.renames[rename as usize];
            match renamed.evidence.confidence(scanner) {
                100.. => EndState::Paired(renamed.target),
                _ => EndState::Undecided,
            }
        }
        (Pairing::Linked { .. }, Admission::Unknown | Admission::Unassigned) => EndState::Undecided,
        (Pairing::Linked { target, .. }, Admission::Out) => EndState::Unwanted(target),
        (Pairing::Linked { target, .. }, Admission::In) => EndState::Paired(target),
        (Pairing::Matched { target, rule }, _) if scanner.judges[rule as usize].confidence >= 100 => {
            EndState::Paired(target)
        }
        (Pairing::Matched { .. }, _) => EndState::Undecided,
        (Pairing::None, Admission::In) if input.target_absence => EndState::Creating,
        (Pairing::None, Admission::In | Admission::Unknown | Admission::Unassigned) => EndState::Undecided,
        (Pairing::None, Admission::Out) => EndState::Unmanaged,
    }
}

/// What a look at both sides of a pair tells.
#[derive(Clone, Copy, Default)]
struct Look {
    /// The target holds what is wanted.
    equal: bool,
    /// That is what was agreed last, from this very row.
    agreed: bool,
    /// Its object is in a grace.
    in_grace: bool,
}

/// Looks at all pairs, by source row, on all cores: their values lie all over the memory.
fn look_at_pairs(scanner: &Scanner<'_>, done: &Correlation, plan: &ObjectPlan<'_>) -> Vec<Look> {
    let input = scanner.input;
    let look = |(row, pairing): (usize, &Pairing)| {
        let source = plan.table.source.get(row as u32);
        let is_equal = |held: TargetRow<'_>| !source.failed && equal(&scanner.attributes, source.values, held.values);
        match *pairing {
            Pairing::Linked { target, link } if source.admission == Admission::In => {
                let (link, held) = (input.links.get(link), plan.table.target.get(target));
                let equal = is_equal(held);
                let agreed = equal && same_agreement(&plan.book, link.agreed, source, held);
                Look { equal, agreed, in_grace: link.grace.is_some() }
            }
            Pairing::Matched { target, .. } => {
                Look { equal: is_equal(plan.table.target.get(target)), ..Look::default() }
            }
            _ => Look::default(),
        }
    };
    done.pairing.par_iter().enumerate().map(look).collect()
}

/// Whether a row says that its account is out of use, and the target has it in use. Rows that cannot be read say nothing.
fn leaves(scanner: &Scanner<'_>, plan: &ObjectPlan<'_>, row: u32, target: u32) -> bool {
    let input = scanner.input;
    let flag = input.capabilities.enabled.as_deref();
    let Some(position) = scanner.attributes.iter().position(|attribute| flag == Some(&attribute.name)) else {
        return false;
    };
    let source = input.source.fetch(plan.table.source.rows.place(row));
    let held = input.target.fetch(plan.table.target.place(target));
    let (Ok(source), Ok(held)) = (source, held) else { return false };
    let attribute = &scanner.attributes[position];
    let off = |cell: &str| canonical::canonical(cell, attribute.kind) == canonical::canonical("false", attribute.kind);
    let wanted = scanner.wanted(&source).into_iter().nth(position);
    matches!(wanted, Some(Wanted::Set(text)) if off(&text)) && !off(attribute.held(&held))
}

fn told_scope(scanner: &Scanner<'_>, failed: &[u32], plan: &mut ObjectPlan<'_>) {
    let source = &plan.table.source;
    let mut rows: Vec<(&str, &str)> = failed.iter().map(|row| (source.key(*row), source.doubt(*row))).collect();
    rows.sort_unstable();
    let sync = scanner.input.sync;
    for (key, why) in &rows {
        plan.unjudged.insert(ObjectKey::by_source(&sync.to, &sync.from, key), (*why).to_owned());
    }
    if let Some((key, why)) = rows.first() {
        plan.warnings.push(format!(
            "{}: the scope cannot be judged for {}, nothing is done about {} before it can; the first is `{key}`: {why}",
            scanner.input.sync.id,
            counted(rows.len(), "row"),
            if rows.len() == 1 { "its object" } else { "their objects" },
        ));
    }
}

/// Links that point nowhere are dropped, as far as the snapshots prove it.
fn drop_links(input: &ObjectInput<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>) {
    let dropped = |link: u32, why: &str| {
        let link = input.links.get(link);
        (link.source_key.to_owned(), link.target_id.to_owned(), why.to_owned())
    };
    if input.target_absence {
        let why = format!("the object is gone from {}", input.sync.to);
        plan.book.dropped.extend(done.dangling.iter().map(|(_, link)| dropped(*link, &why)));
        if input.source_absence {
            let why = format!("the row is gone from {} and the object from {}", input.sync.from, input.sync.to);
            plan.book.dropped.extend(done.dead.iter().map(|link| dropped(*link, &why)));
        }
    }
    if !done.dangling.is_empty() && !input.target_absence {
        plan.warnings.push(format!(
            "{}: {} linked to what is not in the snapshot of {}, which does not prove that it is gone; nothing is done about {} before a complete run",
            input.sync.id,
            if done.dangling.len() == 1 { "1 row is".to_owned() } else { format!("{} rows are", done.dangling.len()) },
            input.sync.to,
            if done.dangling.len() == 1 { "it" } else { "them" },
        ));
    }
    plan.book.dropped.sort();
    let mut contradicting = Vec::new();
    for (first, later) in &done.contradicting {
        let (first, later) = (input.links.get(*first), input.links.get(*later));
        contradicting.push(format!("`{}` and `{}` → `{}`", first.source_key, later.source_key, later.target_id));
        plan.undecided.insert(ObjectKey::by_source(&input.sync.to, &input.sync.from, later.source_key));
    }
    if !contradicting.is_empty() {
        contradicting.sort();
        plan.warnings.push(format!(
            "{}: two rows are linked to one object; only the first is planned, forget the wrong one (`muster unlink JOB KEY`): {}",
            input.sync.id,
            some(&contradicting)
        ));
    }
}

/// Managed objects whose source row is gone get numbers after the source rows.
fn gone(input: &ObjectInput<'_>, done: &Correlation, plan: &mut ObjectPlan<'_>, work: &mut Vec<Work>) {
    let mut unproved = Vec::new();
    for (target, link) in &done.orphans {
        let key = input.links.get(*link).source_key;
        let number = plan.table.states.len() as u32;
        plan.table.numbers[*target as usize] = number;
        plan.table.gone.push(key.to_owned());
        if input.source_absence {
            plan.table.states.push(EndState::Unwanted(*target));
            work.push(Work::Orphan { number, target: *target, link: *link });
        } else {
            plan.table.states.push(EndState::Undecided);
            plan.undecided.insert(ObjectKey::by_source(&input.sync.to, &input.sync.from, key));
            unproved.push(key);
        }
    }
    if !unproved.is_empty() {
        unproved.sort_unstable();
        plan.warnings.push(format!(
            "{}: {} managed in {} not in the snapshot of {}, which does not prove that they are gone; nothing is done about them before a complete run: {}",
            input.sync.id,
            if unproved.len() == 1 { "1 object".to_owned() + " is" } else { format!("{} objects are", unproved.len()) },
            input.sync.to,
            input.sync.from,
            some(&unproved)
        ));
    }
}

/// Whether the target holds everything that is wanted. What is to be left alone is not compared, nor what is kept
/// whatever it is.
fn equal(attributes: &[Attribute], wanted: &[u64], held: &[u64]) -> bool {
    let is_equal = |((wanted, held), attribute): ((&u64, &u64), &Attribute)| {
        *wanted == NOTHING || wanted == held || (attribute.kept && *held != ABSENT)
    };
    wanted.iter().zip(held).zip(attributes).all(is_equal)
}

/// What is remembered of a confirmed object.
pub(crate) fn settled(source: SourceRow<'_>, target: TargetRow<'_>, how: How) -> Settled {
    Settled {
        source_key: source.key.into(),
        target_id: target.key.into(),
        how,
        source_digest: source.raw,
        values: target.values.into(),
    }
}

fn same_agreement(
    book: &LinkBook,
    agreed: Option<AgreedView<'_>>,
    source: SourceRow<'_>,
    target: TargetRow<'_>,
) -> bool {
    agreed.is_some_and(|agreed| {
        agreed.source_digest == source.raw && agreed.digests == target.values && *agreed.names == book.attributes
    })
}
