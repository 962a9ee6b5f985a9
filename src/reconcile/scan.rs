//! Rows as digests: both snapshots of a sync are read once, in parallel, and only what differs is read again.

use std::borrow::Cow;

use crate::model::capabilities::{AttributeShape, AttributeType};
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::rules::ObjectRules;
use crate::rules::classes::{Classified, Classifier};
use crate::rules::earlier::EarlierRules;
use crate::rules::grants::BoundTable;
use crate::rules::mapping::{BoundMapping, Mapped};
use crate::rules::matching::BoundMatch;
use crate::rules::problem::{RuleFailure, RuleProblem};
use crate::rules::scope::BoundScope;
use crate::snapshot::row::Cells;
use crate::snapshot::table::{KEY_JOINT, Table};

use super::canonical::{self, ABSENT, NOTHING};
use super::error::ReconcileError;
use super::input::ObjectInput;
use super::row_digest::RowDigest;
use super::rows::{Admission, Rows, SourceRows};
use super::target_columns::{exists, is_shown, no_attribute, no_match_attribute};
use super::weighing::WeighedTier;

/// [`KEY_JOINT`] as a text.
const JOINT: &str = "\u{1f}";
const _: () = assert!(KEY_JOINT as u32 == 0x1f);

/// A mapped attribute.
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: AttributeType,
    /// Its column in the target's snapshot.
    pub(crate) column: Option<usize>,
    /// False where the target says that it has no such attribute: never compared, never sent.
    pub(crate) exists: bool,
    /// Its position among the sync's generated attributes, where its value is made once.
    pub(crate) generated: Option<usize>,
    /// Whether an object that holds a value of it keeps that, whatever the rule says.
    pub(crate) kept: bool,
    /// What the target takes, where it tells.
    pub(crate) shape: Option<AttributeShape>,
    /// Its position among the sync's references, where its value refers to an object.
    pub(crate) reference: Option<usize>,
    /// Its rule reads other snapshots, so that its value moves without the row.
    pub(crate) looks_up: bool,
}

/// A match rule, bound to both tables.
pub(crate) struct Matcher {
    rule: BoundMatch,
    pub(crate) kind: AttributeType,
    pub(crate) confidence: u8,
    /// `source = target`, for people.
    pub(crate) text: String,
}

/// What match rules are tried at once.
pub(crate) enum Tier {
    /// One rule, by its position.
    Rule(usize),
    /// Several that weigh together.
    Weighed(WeighedTier),
}

/// Says how sure a match is, and by what.
pub(crate) struct Judge {
    pub(crate) confidence: u8,
    pub(crate) text: String,
}

/// Says of a source key whether it needs no match rule.
pub(crate) type IsLinked<'l> = &'l (dyn Fn(&str) -> bool + Sync);

/// Reads the rows of one sync.
pub(crate) struct Scanner<'a> {
    pub(crate) input: &'a ObjectInput<'a>,
    pub(crate) attributes: Vec<Attribute>,
    mapping: BoundMapping,
    scope: BoundScope,
    pub(crate) matchers: Vec<Matcher>,
    /// The match rules in the order in which they are tried.
    pub(crate) tiers: Vec<Tier>,
    /// Who judges matches: each rule alone, then each set of rules that weigh together.
    pub(crate) judges: Vec<Judge>,
    /// The column with a row's groups, where only members of some take part.
    assigned: Option<usize>,
    classifier: Classifier,
    /// The value tables, in the order of the sync's.
    pub(crate) tables: Vec<BoundTable>,
    /// What tells later whether a row changed.
    pub(crate) digest: RowDigest,
    earlier: EarlierRules,
    /// Whether the scope reads nothing that was found out for the rows elsewhere.
    scope_reads_own_cells: bool,
}

/// What the rules want of one attribute.
pub(crate) enum Wanted {
    /// This value.
    Set(String),
    /// Whatever the object holds of it; where that is nothing, a value that is made once, from this one. Where the job
    /// lets it follow its rule, only what could be made of this one.
    Generated(String),
    /// Whatever it is.
    Nothing,
    /// No value.
    Clear,
    /// The object of this row, in the reference of a position.
    Named(usize),
    /// The rule failed: the rule, its inputs and the error.
    Failed(String),
}

impl<'a> Scanner<'a> {
    /// Binds the sync's rules to the columns of its tables.
    pub(crate) fn bind(input: &'a ObjectInput<'a>, warnings: &mut Vec<String>) -> Result<Self, ReconcileError> {
        let sync = input.sync;
        let rules = &sync.rules;
        let wrong = |problems: Vec<RuleProblem>| ReconcileError::Rule {
            sync: sync.id.clone(),
            resource: sync.from.clone(),
            cause: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        let columns = input.source.columns();
        let mapping = rules.mapping.bind(columns, input.lookups).map_err(wrong)?;
        let scope = rules.scope.bind_with(columns, input.lookups).map_err(wrong)?;
        let mut attributes = Vec::new();
        for (position, name) in rules.mapping.attributes().iter().enumerate() {
            let name: &str = name;
            let exists = exists(input, name);
            if !exists {
                warnings.push(no_attribute(sync, input.capabilities, name));
            }
            let (name, column) = (name.to_owned(), input.target.column(name));
            let reference = sync.references.iter().position(|reference| reference.attribute == name);
            let looks_up = mapping.looks_up(position);
            let shape = input.capabilities.shape(&name).cloned();
            let generated = sync.generated.iter().position(|rule| rule.attribute == name);
            attributes.push(Attribute {
                kind: input.capabilities.kind(&name),
                column,
                exists,
                generated,
                kept: generated.is_some_and(|at| !sync.generated[at].follow),
                shape,
                reference,
                looks_up,
                name,
            });
        }
        let mut matchers = Vec::new();
        for rule in &rules.matching {
            if !exists(input, &rule.target) && !is_shown(input, &rule.target)? {
                return Err(no_match_attribute(input, rule.source.text(), &rule.target));
            }
            matchers.push(Matcher {
                rule: rule
                    .bind(columns, input.target.columns(), input.lookups)
                    .map_err(|problem| wrong(vec![problem]))?,
                kind: input.capabilities.kind(&rule.target),
                confidence: rule.confidence,
                text: format!("{} = {}", rule.source.text(), rule.target),
            });
        }
        let (tiers, judges) = tiers(rules, &matchers);
        let rule = &sync.derivation;
        let assigning = rule.groups.as_ref().filter(|groups| !groups.assigned.is_empty());
        let assigned = assigning.and_then(|groups| input.source.column(&groups.column));
        let one = |problem| wrong(vec![problem]);
        let classifier = Classifier::bind(&rule.classes, columns, input.lookups).map_err(one)?;
        let tables = sync.tables.iter().map(|table| table.bind(columns, input.lookups));
        let tables = tables.collect::<Result<_, _>>().map_err(one)?;
        let digest = RowDigest::new(columns, rule);
        let earlier = input.earlier.map(|was| EarlierRules::bind(was, &rules.mapping, columns, input.lookups));
        let earlier = earlier.unwrap_or_default();
        let found = rule.columns();
        let scope_reads_own_cells = !rules.scope.columns().iter().any(|column| found.contains(column));
        Ok(Self {
            input,
            attributes,
            mapping,
            scope,
            matchers,
            tiers,
            judges,
            assigned,
            classifier,
            tables,
            digest,
            earlier,
            scope_reads_own_cells,
        })
    }

    /// Whether the rule that an attribute had before the job file was edited makes of a row what was agreed, so that the
    /// edit is what changes it.
    pub(crate) fn is_by_edit(&self, position: usize, row: &dyn Cells, agreed: u64) -> bool {
        let attribute = &self.attributes[position];
        self.earlier.explains(position, row, |value| digest_of(value, attribute) == agreed)
    }

    /// Whether a source row takes part; where that cannot be judged, why.
    pub(crate) fn admission(&self, row: &dyn Cells) -> (Admission, Option<String>) {
        if let Some(doubt) = self.input.derived.and_then(|derived| derived.doubt.as_ref()) {
            // Whom the scope leaves out by the row's own cells is out, whatever the groups say.
            let is_out = self.scope_reads_own_cells && self.scope.admits(row) == Ok(false);
            return if is_out { (Admission::Out, None) } else { (Admission::Unknown, Some(doubt.clone())) };
        }
        match self.scope.admits(row) {
            Ok(true) if !self.is_assigned(row) => match self.input.derived.is_none_or(|derived| derived.proves_absence)
            {
                true => (Admission::Out, None),
                false => (Admission::Unassigned, None),
            },
            Ok(true) => (Admission::In, None),
            Ok(false) => (Admission::Out, None),
            Err(failure) => (Admission::Unknown, Some(failure.to_string())),
        }
    }

    /// The groups that assign, each with whether a row is in it; `None` where every row counts as assigned.
    pub(crate) fn assignments(&self, row: &dyn Cells) -> Option<Vec<(&'a str, bool)>> {
        let groups = self.input.sync.derivation.groups.as_ref()?;
        let cell = row.cell(self.assigned?);
        let own = match Value::from_cell(cell) {
            Some(Value::Many(names)) => names,
            Some(Value::Text(name)) => vec![name],
            None => Vec::new(),
        };
        Some(groups.assigned.iter().map(|name| (name.as_str(), own.contains(name))).collect())
    }

    fn is_assigned(&self, row: &dyn Cells) -> bool {
        self.assignments(row).is_none_or(|groups| groups.iter().any(|(_, is_member)| *is_member))
    }

    /// Whether a row that its scope admits does not take part because it is in no group that assigns.
    pub(crate) fn lacks_a_group(&self, row: &dyn Cells) -> bool {
        !self.is_assigned(row) && self.scope.admits(row) == Ok(true)
    }

    /// The class of a source row, and how sure it is.
    pub(crate) fn class(&self, row: &dyn Cells) -> Result<Option<Classified<'_>>, RuleFailure> {
        self.classifier.classify(row)
    }

    /// Each rule of the classification with what it says of a row.
    pub(crate) fn classes(&self, row: &dyn Cells) -> Vec<(Classified<'_>, Result<bool, RuleFailure>)> {
        self.classifier.explain(row)
    }

    /// The match rule that fails on a source row, with why: whom it would find is not known then.
    pub(crate) fn unmatched(&self, row: &dyn Cells) -> Option<(&str, RuleFailure)> {
        self.matchers.iter().find_map(|matcher| Some((matcher.text.as_str(), matcher.rule.source.cell(row).err()?)))
    }

    /// Whether a match rule is more than a column of the source.
    pub(crate) fn matches_by_expression(&self) -> bool {
        self.matchers.iter().any(|matcher| matcher.rule.source.column().is_none())
    }

    /// Every source row, in the file's order. Match rules are left out for rows that `is_linked` knows.
    pub(crate) fn source(&self, is_linked: Option<IsLinked<'_>>) -> Result<SourceRows, ReconcileError> {
        let table = self.input.source;
        let references = self.input.sync.references.len();
        let new = || (SourceRows::new(self.attributes.len(), self.matchers.len(), references), Vec::new(), Vec::new());
        let chunks = table.par_fold(new, |(rows, values, scratch), row| {
            let (admission, doubt) = self.admission(row);
            let doubt = doubt.map(String::into_boxed_str);
            let mut failed = false;
            values.clear();
            if admission == Admission::In {
                values.extend(self.mapping.values(row).zip(&self.attributes).map(|(value, attribute)| {
                    failed |= matches!(value, Mapped::Failed(_));
                    digest_of(&value, attribute)
                }));
            } else {
                values.resize(self.attributes.len(), NOTHING);
            }
            let is_known = || is_linked.is_some_and(|is_linked| is_linked(&table.key_of(row)));
            let matching = admission == Admission::In && !is_known();
            let matches = self.matchers.iter().map(|matcher| match matching {
                true => canonical::digest(&matcher.value(row), matcher.kind),
                false => ABSENT,
            });
            rows.rows.push(key(table, row), row.place(), values.iter().copied(), matches);
            if references > 0 {
                let named = self.named(row, admission);
                rows.name(named.iter().map(|named| &**named));
            }
            rows.mark(self.digest.of(row, scratch), admission, failed, doubt);
        })?;
        let rows = SourceRows::gather(chunks.into_iter().map(|(rows, ..)| rows).collect());
        checked(rows.len(), &self.input.sync.from)?;
        Ok(rows)
    }

    /// Which rows a row names, of each reference; nothing where it is not in scope.
    fn named<'r>(&'r self, row: &'r dyn Cells, admission: Admission) -> Vec<Cow<'r, str>> {
        let mut named = vec![Cow::Borrowed(""); self.input.sync.references.len()];
        if admission != Admission::In {
            return named;
        }
        for (value, attribute) in self.mapping.values(row).zip(&self.attributes) {
            if let (Mapped::Set(text), Some(reference), true) = (value, attribute.reference, attribute.exists) {
                named[reference] = text;
            }
        }
        named
    }

    /// Every target row, in the file's order.
    pub(crate) fn target(&self) -> Result<Rows, ReconcileError> {
        let table = self.input.target;
        let new = || Rows::new(self.attributes.len(), self.matchers.len());
        let chunks = table.par_fold(new, |rows, row| {
            let values = self.attributes.iter().map(|a| canonical::digest(a.held(row), a.kind));
            let matches = self.matchers.iter().map(|m| canonical::digest(m.held(row), m.kind));
            rows.push(key(table, row), row.place(), values, matches);
        })?;
        let rows = Rows::gather(chunks);
        checked(rows.len(), &self.input.sync.to)?;
        Ok(rows)
    }

    /// What the rules want of each attribute, in the order of `attributes`.
    pub(crate) fn wanted(&self, row: &dyn Cells) -> Vec<Wanted> {
        let values = self.mapping.values(row).zip(&self.attributes).map(|(value, attribute)| match value {
            _ if !attribute.exists => Wanted::Nothing,
            Mapped::Set(text) if text.is_empty() => Wanted::Nothing,
            Mapped::Set(text) if attribute.generated.is_some() => Wanted::Generated(text.into_owned()),
            Mapped::Set(text) => attribute.reference.map_or_else(|| Wanted::Set(text.into_owned()), Wanted::Named),
            Mapped::Nothing => Wanted::Nothing,
            Mapped::Clear => Wanted::Clear,
            Mapped::Failed(failure) => Wanted::Failed(failure.to_string()),
        });
        values.collect()
    }

    /// Whether a source row takes part, and which alternative of the scope says what of it.
    pub(crate) fn scope(&self) -> &BoundScope {
        &self.scope
    }

    /// The digest of what the rules want of one attribute, by its position.
    pub(crate) fn wanted_digest(&self, position: usize, row: &dyn Cells) -> u64 {
        digest_of(&self.mapping.value(position, row), &self.attributes[position])
    }

    /// The position of an attribute among the mapped ones.
    pub(crate) fn position(&self, attribute: &str) -> Option<usize> {
        self.attributes.iter().position(|a| a.name == attribute)
    }

    /// Whether an object keeps what it holds of a generated attribute, whose rule yields `text` now.
    pub(crate) fn keeps(&self, attribute: &Attribute, text: &str, held: &str) -> bool {
        let rule = attribute.generated.and_then(|at| self.input.sync.generated.get(at));
        rule.is_some_and(|rule| !held.is_empty() && (!rule.follow || rule.could_be(text, held, attribute.kind)))
    }

    /// Whether no object may be without an attribute: by the job's word or the target's.
    pub(crate) fn requires(&self, attribute: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == attribute);
        named(&self.input.sync.rules.required) || named(&self.input.capabilities.required)
    }

    /// What an attribute's rule reads of a row and looks up for it.
    pub(crate) fn inputs(&self, attribute: &str, row: &dyn Cells) -> Vec<(String, String)> {
        self.position(attribute).map_or_else(Vec::new, |position| self.mapping.inputs(position, row))
    }
}

/// The order in which match rules are tried, and who judges what they find.
fn tiers(rules: &ObjectRules, matchers: &[Matcher]) -> (Vec<Tier>, Vec<Judge>) {
    let mut judges: Vec<Judge> =
        matchers.iter().map(|m| Judge { confidence: m.confidence, text: m.text.clone() }).collect();
    let mut tiers = Vec::new();
    let mut position = 0;
    for together in rules.matching.chunk_by(|a, b| a.tier.is_some() && a.tier == b.tier) {
        let positions = position..position + together.len();
        position += together.len();
        if together.iter().all(|rule| rule.tier.is_none()) {
            tiers.extend(positions.map(Tier::Rule));
            continue;
        }
        let weights = positions.map(|at| (at, u16::from(matchers[at].confidence))).collect();
        let tier = WeighedTier { rules: weights, judges: judges.len() };
        for set in 0..1_usize << tier.rules.len() {
            let agree = tier.rules.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
            let texts: Vec<String> =
                agree.map(|(_, (at, weight))| format!("{} ({weight})", matchers[*at].text)).collect();
            judges.push(Judge { confidence: tier.weight(set).min(100) as u8, text: texts.join(" + ") });
        }
        tiers.push(Tier::Weighed(tier));
    }
    (tiers, judges)
}

impl Attribute {
    /// What a target row holds of it.
    pub(crate) fn held<'r>(&self, row: &'r dyn Cells) -> &'r str {
        self.column.map_or("", |column| row.cell(column))
    }

    /// What a target row holds of it, as a value.
    pub(crate) fn held_value(&self, row: &dyn Cells) -> Option<Value> {
        canonical::value(self.held(row), self.kind)
    }
}

impl Matcher {
    /// The value that a source row is matched by; empty where the rule yields none or fails.
    pub(crate) fn value<'r>(&'r self, row: &'r dyn Cells) -> Cow<'r, str> {
        self.rule.source.cell(row).unwrap_or_default()
    }

    /// What a target row holds in the rule's column.
    pub(crate) fn held<'r>(&self, row: &'r dyn Cells) -> &'r str {
        row.cell(self.rule.target)
    }
}

/// Rows are numbered with 31 bits.
pub(crate) fn checked(rows: usize, resource: &ResourceName) -> Result<(), ReconcileError> {
    match i32::try_from(rows) {
        Ok(_) => Ok(()),
        Err(_) => Err(ReconcileError::TooManyRows { resource: resource.clone(), rows }),
    }
}

/// The parts that a row's key consists of, as `Table::key_of` joins them.
fn key<'r>(table: &'r Table, row: &'r dyn Cells) -> impl Iterator<Item = &'r str> {
    let columns = table.key_columns().iter().enumerate();
    columns.flat_map(|(i, column)| [if i > 0 { JOINT } else { "" }, row.cell(*column)])
}

fn digest_of(value: &Mapped<'_>, attribute: &Attribute) -> u64 {
    match value {
        _ if !attribute.exists => NOTHING,
        // To whom it refers is known when all sides are correlated.
        Mapped::Set(_) if attribute.reference.is_some() => NOTHING,
        Mapped::Set(text) if text.is_empty() => NOTHING,
        Mapped::Set(text) => canonical::digest(text, attribute.kind),
        Mapped::Clear => ABSENT,
        Mapped::Nothing | Mapped::Failed(_) => NOTHING,
    }
}
