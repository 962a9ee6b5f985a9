//! What a sync finds out about its source rows, and its value tables, as they are meant.

use std::collections::BTreeSet;

use super::derived_file::{GroupsFile, PrecedenceWord, RuleFile, ValueTableFile};
use super::file::{NestedWord, SyncFile};
use super::place::{Places, entry_path, key_path};
use crate::model::resource::ResourceName;
use crate::reconcile::derived::Derivation;
use crate::reconcile::groups::GroupRule;
use crate::reconcile::joined::JoinRule;
use crate::reconcile::policy::Nested;
use crate::rules::classes::ClassRule;
use crate::rules::expression::Expression;
use crate::rules::grants::{Among, Grant, Precedence, ValueTable};
use crate::rules::problem::RuleProblem;

fn sentence(problem: RuleProblem) -> String {
    problem.to_string()
}

fn resource(text: Option<&String>) -> Result<Option<ResourceName>, String> {
    text.map(|text| text.parse()).transpose()
}

/// What is found out about the rows of a sync; `reads` are the source columns that its rules read.
pub(super) fn derivation(one: &SyncFile, reads: &BTreeSet<String>) -> Result<Derivation, String> {
    let mut reads = reads.clone();
    let mut classes = Vec::new();
    for rule in &one.classify {
        let when = Expression::condition(rule.when.as_deref().unwrap_or_default()).map_err(sentence)?;
        reads.extend(when.columns());
        let class = rule.class.clone().unwrap_or_default();
        classes.push(ClassRule { when, class, confidence: rule.confidence.unwrap_or(100) });
    }
    let mut joins = Vec::new();
    for (name, join) in &one.join {
        let compiled =
            |rule: &Option<String>| Expression::compile(rule.as_deref().unwrap_or_default()).map_err(sentence);
        let own = |column: &String| Some(column.strip_prefix(name)?.strip_prefix('.')?.to_owned());
        joins.push(JoinRule {
            name: name.clone(),
            from: join.from.as_deref().unwrap_or_default().parse()?,
            here: compiled(&join.here)?,
            there: compiled(&join.there)?,
            reads: reads.iter().filter_map(own).collect(),
        });
    }
    Ok(Derivation { groups: one.groups.as_ref().map(|groups| group_rule(one, groups)).transpose()?, joins, classes })
}

fn group_rule(one: &SyncFile, groups: &GroupsFile) -> Result<GroupRule, String> {
    let or = |text: &Option<String>, default: &str| text.clone().unwrap_or_else(|| default.to_owned());
    Ok(GroupRule {
        via: groups.via.as_deref().unwrap_or_default().parse()?,
        member: or(&groups.member, "user"),
        group: or(&groups.group, "group"),
        of: resource(groups.of.as_ref())?,
        by: groups.by.clone(),
        nestings: resource(groups.nestings.as_ref())?,
        nested: nested(groups.nested),
        column: or(&groups.column, "groups"),
        assigned: one.assigned.clone(),
    })
}

/// What a group in a group means.
pub(super) fn nested(word: Option<NestedWord>) -> Nested {
    match word {
        Some(NestedWord::Flatten) => Nested::Flatten,
        Some(NestedWord::Direct) => Nested::Direct,
        Some(NestedWord::Refuse) => Nested::Refuse,
        None => Nested::default(),
    }
}

/// The value tables of the sync at a path of the file.
pub(super) fn tables(one: &SyncFile, path: &str, places: &Places<'_>) -> Result<Vec<ValueTable>, String> {
    one.grants.iter().map(|(attribute, table)| value_table(attribute, table, path, places)).collect()
}

fn value_table(attribute: &str, one: &ValueTableFile, path: &str, places: &Places<'_>) -> Result<ValueTable, String> {
    let path = key_path(&key_path(&key_path(path, "grants"), attribute), "table");
    let mut rows = Vec::new();
    for (number, row) in one.table.iter().flatten().enumerate() {
        rows.push(Grant {
            when: Expression::condition(row.when.as_deref().unwrap_or_default()).map_err(sentence)?,
            value: row.value.clone().unwrap_or_default(),
            line: places.line(&entry_path(&path, number)),
        });
    }
    let by = one.by.clone();
    Ok(ValueTable {
        attribute: attribute.to_owned(),
        precedence: match one.precedence {
            Some(PrecedenceWord::All) => Precedence::All,
            Some(PrecedenceWord::First) | None => Precedence::First,
        },
        among: resource(one.among.as_ref())?.map(|resource| Among { resource, by }),
        rows,
    })
}

/// One rule that yields what the first of several yields.
pub(super) fn rule(rules: &RuleFile) -> String {
    match rules.rules() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => {
            let tried = first.iter().map(|rule| format!("({0}) != '' ? ({0}) : ", rule.trim()));
            tried.chain([format!("({})", last.trim())]).collect()
        }
    }
}
