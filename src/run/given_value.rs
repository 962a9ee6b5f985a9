//! Why somebody has a role, an organization or a permission that a value table gives, or has it not.

use super::Conductor;
use super::error::RunError;
use super::explain::{Look, Opened};
use crate::job::SyncKind;
use crate::model::explained::{Explained, Fact, Step, StepName};
use crate::model::value::Value;
use crate::reconcile::single::Account;
use crate::rules::grants::{Precedence, ValueTable};
use crate::rules::problem::alike;

impl Conductor {
    /// The chain from a source row through a value table to what it gives; where no table of the sync gives such a name,
    /// those that look like it.
    pub(super) fn explain_given_value(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        member: Account,
        name: &str,
    ) -> Result<Result<Explained, Vec<String>>, RunError> {
        let sync = &self.job.syncs[member.subject.sync];
        let SyncKind::Objects(objects) = &sync.kind else { return Ok(Err(Vec::new())) };
        let gives = |table: &ValueTable| table.rows.iter().any(|row| row.value == name);
        let tables: Vec<(usize, &ValueTable)> =
            objects.tables.iter().enumerate().filter(|(_, table)| gives(table)).collect();
        if tables.is_empty() {
            let names = objects.tables.iter().flat_map(|table| &table.rows).map(|row| row.value.as_str());
            return Ok(Err(alike(name, names).into_iter().map(str::to_owned).collect()));
        }
        let (mut facts, mut verdicts, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        for (position, table) in tables {
            let holding = member.given.get(position).map_or(&[][..], Vec::as_slice);
            verdicts.push(verdict(table, holding, name));
            facts.extend(rows(table, holding, name));
            let held = member.held.get(&table.attribute).and_then(|cell| Value::from_cell(cell));
            let has = match held {
                Some(Value::Text(text)) => text == name,
                Some(Value::Many(values)) => values.iter().any(|value| value == name),
                None => false,
            };
            let said = if has { "the target has it" } else { "the target does not have it" };
            facts.push(Fact::new(&table.attribute, said).with("in", sync.to.to_string()));
            attributes.push(table.attribute.clone());
        }
        let mut explained = self.told(look, opened, member)?;
        for step in &mut explained.steps {
            match step.step {
                StepName::Map => {
                    *step = Step { facts: std::mem::take(&mut facts), ..Step::new(StepName::Map, verdicts.join("; ")) };
                }
                StepName::Compare => step.facts.retain(|fact| attributes.contains(&fact.about)),
                _ => {}
            }
        }
        explained.name = format!("{name} → {}", explained.name);
        Ok(Ok(explained))
    }
}

/// Whether a table gives the name, and by which of its rows.
fn verdict(table: &ValueTable, holding: &[usize], name: &str) -> String {
    let attribute = &table.attribute;
    let of = |position: &&usize| table.rows.get(**position).is_some_and(|row| row.value == name);
    let decides = match table.precedence {
        Precedence::First => holding.first().filter(|position| of(position)),
        Precedence::All => holding.iter().find(of),
    };
    let line = |position: &usize| table.rows.get(*position).map_or(0, |row| row.line);
    match (decides, holding.iter().find(of), holding.first()) {
        (Some(by), ..) => format!("`{name}` of `{attribute}` is given, by line {} of the job file", line(by)),
        (None, Some(later), Some(first)) => format!(
            "`{name}` of `{attribute}` is not given: line {} holds for it, but line {} holds first (precedence = \"first\")",
            line(later),
            line(first)
        ),
        _ => format!("`{name}` of `{attribute}` is not given: no row of its table that gives it holds"),
    }
}

/// The rows of a table that decide about a name: those that give it, and the one that holds first.
fn rows(table: &ValueTable, holding: &[usize], name: &str) -> Vec<Fact> {
    let decides = |position: usize| table.precedence == Precedence::First && holding.first() == Some(&position);
    let told = table.rows.iter().enumerate().filter(|(position, row)| row.value == name || decides(*position));
    told.map(|(position, row)| {
        let holds = if holding.contains(&position) { "holds" } else { "does not hold" };
        Fact::new(format!("line {}", row.line), holds).with("when", row.when.text()).with("gives", &row.value)
    })
    .collect()
}
