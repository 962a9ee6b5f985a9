//! What a plan does with one object, told step by step: by the functions that plans use.

use crate::model::explained::{Fact, Step, StepName};
use crate::model::link::LinkView;
use crate::model::situation::Cause;
use crate::reconcile::canonical::{self, ABSENT};
use crate::reconcile::compare::{self, Comparison, Names};
use crate::reconcile::ends::name_in;
use crate::reconcile::fit;
use crate::reconcile::policy::DriftAction;
use crate::reconcile::reason::some;
use crate::reconcile::references::Whom;
use crate::reconcile::scan::{Scanner, Wanted};
use crate::reconcile::weighing::LEAST;
use crate::snapshot::row::{Cells, OwnedRow};

/// Everything of an object that can be looked at.
pub(super) struct Object<'a> {
    pub(super) scanner: &'a Scanner<'a>,
    pub(super) source: Option<&'a OwnedRow>,
    pub(super) target: Option<&'a OwnedRow>,
    pub(super) link: Option<LinkView<'a>>,
    /// Digest of all cells of the source row.
    pub(super) raw: Option<u64>,
    /// Whom the source row names.
    pub(super) names: Option<Names<'a>>,
}

/// `department = Sales, enabled = true`.
fn told(inputs: &[(String, String)]) -> String {
    let told = inputs.iter().map(|(column, cell)| match cell.is_empty() {
        true => format!("{column} is empty"),
        false => format!("{column} = `{cell}`"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A value as it stands in sentences.
fn shown(cell: &str) -> String {
    if cell.is_empty() { "(empty)".to_owned() } else { format!("`{cell}`") }
}

impl Object<'_> {
    /// The key that the source row names in the reference of a position, and the value that this comes to, or why it
    /// comes to none.
    fn referred(&self, reference: usize) -> Option<(&str, Result<String, String>)> {
        let referred = self.names?.get(reference)?;
        let value =
            self.scanner.input.sync.references.get(reference)?.value(referred).map(|(value, _)| value.to_cell());
        let value = value.ok_or_else(|| match &referred.whom {
            Whom::Nobody(why) => why.clone(),
            Whom::There(_) | Whom::ToCome => String::new(),
        });
        Some((referred.key.as_str(), value))
    }

    /// Columns with their cells; those that came from elsewhere with where that is.
    fn with_sources(&self, inputs: Vec<(String, String)>) -> Vec<(String, String)> {
        let beside = &self.scanner.input.sync.derivation;
        let source = |column: &str| {
            let groups = beside.groups.as_ref().filter(|groups| groups.column == column).map(|groups| &groups.via);
            let join = beside.joins.iter().find(|join| join.columns().any(|known| known == column));
            groups.or(join.map(|join| &join.from))
        };
        let named = inputs.into_iter().map(|(column, cell)| match source(&column) {
            Some(from) => (format!("{column} (of {from})"), cell),
            None => (column, cell),
        });
        named.collect()
    }

    /// Each group that assigns, with whether the row is in it.
    pub(super) fn assign(&self) -> Step {
        let from = &self.scanner.input.sync.from;
        let groups = self.source.map(|row| self.scanner.assignments(row));
        let text = match &groups {
            None => format!("nothing to judge: no row in {from}"),
            Some(None) => {
                format!("the job has no assignment besides its scope: every row of {from} counts as assigned")
            }
            Some(Some(groups)) if groups.iter().any(|(_, is_member)| *is_member) => "assigned".to_owned(),
            Some(Some(groups)) if groups.len() == 1 => "not assigned: it is not in the group that assigns".to_owned(),
            Some(Some(groups)) => {
                format!("not assigned: it is in none of the {} groups that assign; one would do", groups.len())
            }
        };
        let mut step = Step::new(StepName::Assign, text);
        for (group, is_member) in groups.flatten().into_iter().flatten() {
            step.facts.push(Fact::new(group, if is_member { "it is in it" } else { "it is not in it" }));
        }
        if let Some(doubt) = self.scanner.input.derived.and_then(|derived| derived.doubt.as_ref()) {
            step.verdict = format!("cannot be judged, so nothing is done: {doubt}");
        }
        step
    }

    /// What the rules of the classification say of the row, up to the one that decides.
    fn class(&self, row: &OwnedRow) -> Option<Fact> {
        let rules = self.scanner.classes(row);
        if rules.is_empty() {
            return None;
        }
        let decided = rules.iter().position(|(_, holds)| *holds != Ok(false));
        let verdict = match decided.map(|at| &rules[at]) {
            None => "of no class: no rule holds".to_owned(),
            Some((found, Ok(_))) => format!("`{}`, {} % sure", found.class, found.confidence),
            Some((_, Err(failure))) => format!("cannot be judged: {failure}"),
        };
        let mut fact = Fact::new("class", verdict);
        for (at, (found, _)) in rules.iter().enumerate().take(decided.map_or(rules.len(), |at| at + 1)) {
            let word = if Some(at) == decided { "decides" } else { "does not hold" };
            fact = fact.with(word, found.rule);
        }
        Some(fact)
    }

    /// Each condition, with the clauses that do not hold and the values that they read.
    pub(super) fn scope(&self) -> Step {
        let from = &self.scanner.input.sync.from;
        let Some(row) = self.source else {
            return Step::new(StepName::Scope, format!("nothing to judge: no row in {from}"));
        };
        let verdicts = self.scanner.scope().explain(row);
        if verdicts.is_empty() {
            return Step::new(StepName::Scope, format!("in scope: the job takes every row of {from}"));
        }
        let verdict = match self.scanner.scope().admits(row) {
            Ok(true) => "in scope".to_owned(),
            Ok(false) if verdicts.len() == 1 => "out of scope: its condition does not hold".to_owned(),
            Ok(false) => format!("out of scope: none of its {} conditions holds; one would do", verdicts.len()),
            Err(_) => "cannot be judged, so nothing is done: mend the value or the rule".to_owned(),
        };
        let mut step = Step::new(StepName::Scope, verdict);
        for verdict in verdicts {
            let word = if verdict.admits { "holds" } else { "does not hold" };
            let mut fact = Fact::new(verdict.alternative, word);
            for clause in verdict.failing {
                let why = match clause.failure {
                    Some(failure) => failure.message,
                    None => told(&clause.inputs),
                };
                fact = fact.with("fails", format!("{}: {why}", clause.clause));
            }
            step.facts.push(fact);
        }
        step
    }

    /// What each rule makes of the source row.
    pub(super) fn map(&self) -> Step {
        let sync = self.scanner.input.sync;
        let Some(row) = self.source else {
            return Step::new(StepName::Map, format!("nothing to map: no row in {}", sync.from));
        };
        let wanted = self.scanner.wanted(row);
        let failed = wanted.iter().filter(|wanted| matches!(wanted, Wanted::Failed(_))).count();
        let rules = wanted.len();
        let mut step = Step::new(
            StepName::Map,
            match failed {
                0 => format!("{rules} rule{}", if rules == 1 { "" } else { "s" }),
                failed => format!("{failed} of {rules} rules failed: nothing is sent before they are mended"),
            },
        );
        step.facts.extend(self.class(row));
        for (attribute, wanted) in self.scanner.attributes.iter().zip(wanted) {
            let name = &attribute.name;
            let verdict = match &wanted {
                _ if !attribute.exists => format!("ignored: {} has no such attribute", sync.to),
                Wanted::Set(text) => shown(text),
                Wanted::Generated(text) => match self.target.map(|held| attribute.held(held)) {
                    Some(held) if self.scanner.keeps(attribute, text, held) => {
                        format!("{}: the object keeps what it holds; the rule yields {}", shown(held), shown(text))
                    }
                    _ => format!("made from {}, with a number where that is taken", shown(text)),
                },
                Wanted::Nothing => "left as it is: the rule yields nothing".to_owned(),
                Wanted::Clear => "cleared: the rule yields nothing, and `clear` names it".to_owned(),
                Wanted::Named(reference) => match self.referred(*reference) {
                    None => "left as it is: the row names nobody".to_owned(),
                    Some((key, Ok(value))) => format!("{}: refers to `{key}`", shown(&value)),
                    Some((key, Err(why))) => format!("refers to `{key}`, and {why}"),
                },
                Wanted::Failed(_) => "failed".to_owned(),
            };
            let mut fact = Fact::new(name, verdict).with("rule", sync.rules.mapping.rule(name).unwrap_or_default());
            let inputs = self.scanner.inputs(name, row);
            if !inputs.is_empty() {
                fact = fact.with("from", format!("{}: {}", sync.from, told(&self.with_sources(inputs))));
            }
            if let Wanted::Failed(failure) = &wanted {
                fact = fact.with("failure", failure.clone());
            }
            if let (Wanted::Set(text) | Wanted::Generated(text), Some(shape)) = (&wanted, &attribute.shape)
                && let Some(why) = fit::misfit(text, shape)
            {
                fact = fact.with("note", format!("{} {why}", sync.to));
            }
            if self.scanner.input.capabilities.writes_itself(name) {
                fact = fact.with("note", format!("{} writes it itself and takes no value for it", sync.to));
            }
            step.facts.push(fact);
        }
        step
    }

    /// Each match rule with its candidates. `paired` is the object that a plan pairs the row with.
    pub(super) fn correlate(&self, candidates: &[Candidate<'_>], paired: Option<&str>, why: &str) -> Step {
        let sync = self.scanner.input.sync;
        let verdict = match (self.link, paired) {
            (Some(link), Some(id)) if link.target_id == id => {
                format!("linked with `{id}` of {}: {}", sync.to, how(link))
            }
            (Some(link), None) if self.target.is_none() => {
                format!("linked with `{}`, which is not in {}", link.target_id, sync.to)
            }
            (_, Some(id)) if why.is_empty() => format!("matched with `{id}` of {}", sync.to),
            (_, Some(id)) => format!("matched with `{id}` of {}: {why}", sync.to),
            (Some(link), None) => {
                format!("linked with `{}`: {}; nothing is done with it now", link.target_id, how(link))
            }
            (_, None) if why.is_empty() => format!("no object of {} belongs to it", sync.to),
            (_, None) => why.to_owned(),
        };
        let mut step = Step::new(StepName::Correlate, verdict);
        let Some(row) = self.source else { return step };
        for (matcher, rule) in self.scanner.matchers.iter().zip(&sync.rules.matching) {
            let value = matcher.value(row);
            let about = match rule.tier {
                None => format!("{} ({} %)", matcher.text, matcher.confidence),
                Some(_) => format!("{} (weighs {})", matcher.text, matcher.confidence),
            };
            if self.link.is_some() && paired.is_some() {
                step.facts.push(Fact::new(about, "not tried: a link comes first"));
                continue;
            }
            if value.is_empty() {
                step.facts.push(Fact::new(about, "not tried: the row has no value for it"));
                continue;
            }
            let wanted = canonical::canonical(&value, matcher.kind).into_owned();
            let fits = |c: &&Candidate<'_>| canonical::canonical(matcher.held(c.row), matcher.kind) == wanted;
            let fitting: Vec<&Candidate<'_>> = candidates.iter().filter(fits).collect();
            let verdict = match fitting.len() {
                0 => format!("no candidate for `{value}`"),
                1 => format!("1 candidate for `{value}`"),
                several => format!("{several} candidates for `{value}`"),
            };
            let mut fact = Fact::new(about, verdict);
            let several = fitting.len() > 1;
            let weights: Vec<u16> =
                candidates.iter().filter_map(|other| self.weight(rule.tier, other.row, row)).collect();
            let best = weights.iter().copied().max();
            let alike = weights.iter().filter(|weight| Some(**weight) == best).count();
            for candidate in fitting {
                let name = name_in(self.scanner.input, candidate.row).unwrap_or_default();
                let why = match (candidate.linked, paired) {
                    (Some(key), _) if self.link.is_none_or(|link| link.target_id != candidate.id) => {
                        format!(", not taken: it is linked with row `{key}`")
                    }
                    (_, Some(id)) if id == candidate.id => String::new(),
                    (_, taken) => match self.weight(rule.tier, candidate.row, row) {
                        Some(weight) if weight < LEAST => {
                            format!(", not taken: its rules weigh {weight} together, and {LEAST} are needed")
                        }
                        Some(weight) if taken.is_some() || Some(weight) < best => {
                            let best = best.unwrap_or(weight);
                            format!(", not taken: its rules weigh {weight} together, those of another {best}")
                        }
                        Some(weight) if alike > 1 => format!(", weighs {weight}, as another does: a person chooses"),
                        Some(weight) => {
                            format!(
                                ", not taken, though it weighs {weight}: a person refused it, or another row has it"
                            )
                        }
                        None if taken.is_some() => ", not taken: another rule decided".to_owned(),
                        None if several => ", one of several: a person chooses".to_owned(),
                        None => ", not taken: another row or rule contends for it".to_owned(),
                    },
                };
                fact = fact.with("candidate", format!("`{}` ({name}){why}", candidate.id));
            }
            if paired.is_some() && why.contains(&matcher.text) {
                fact.verdict = format!("decided it: {}", fact.verdict);
            }
            step.facts.push(fact);
        }
        step
    }

    /// What the rules of a tier that agree on a pair weigh together; `None` outside of tiers.
    fn weight(&self, tier: Option<u16>, target: &OwnedRow, source: &OwnedRow) -> Option<u16> {
        tier?;
        let rules = self.scanner.matchers.iter().zip(&self.scanner.input.sync.rules.matching);
        let agree = rules.filter(|(matcher, rule)| {
            let value = matcher.value(source);
            rule.tier == tier
                && !value.is_empty()
                && canonical::canonical(&value, matcher.kind)
                    == canonical::canonical(matcher.held(target), matcher.kind)
        });
        Some(agree.map(|(matcher, _)| u16::from(matcher.confidence)).sum())
    }

    /// Attribute by attribute: what is wanted, what was agreed, what is there.
    pub(super) fn compare(&self) -> Step {
        let (sync, drift) = (self.scanner.input.sync, self.scanner.input.sync.on.drift);
        let (Some(source), Some(target)) = (self.source, self.target) else {
            let lacking = if self.source.is_none() { &sync.from } else { &sync.to };
            return Step::new(StepName::Compare, format!("nothing to compare: it is not in {lacking}"));
        };
        let agreed = self.link.and_then(|link| link.agreed);
        let raw = self.raw.unwrap_or_default();
        let Some(names) = self.names else { return Step::new(StepName::Compare, "nothing to compare") };
        let Comparison { changes, drifted, .. } = compare::pair(self.scanner, source, target, agreed, raw, names);
        let mut step = Step::new(StepName::Compare, String::new());
        let mut ignored = Vec::new();
        for (attribute, wanted) in self.scanner.attributes.iter().zip(self.scanner.wanted(source)) {
            let held = attribute.held(target);
            let referred;
            let text = match &wanted {
                Wanted::Set(text) => text.as_str(),
                Wanted::Generated(text) if self.scanner.keeps(attribute, text, held) => {
                    let fact = Fact::new(&attribute.name, "kept: it is made once");
                    step.facts.push(fact.with("held", shown(held)));
                    continue;
                }
                Wanted::Generated(text) => text.as_str(),
                Wanted::Clear => "",
                Wanted::Named(reference) => match self.referred(*reference) {
                    Some((_, Ok(value))) => {
                        referred = value;
                        referred.as_str()
                    }
                    unknown => {
                        let whom = unknown.map_or("nobody".to_owned(), |(key, _)| format!("`{key}`, who is not there"));
                        let fact = Fact::new(&attribute.name, format!("left as it is: it refers to {whom}"));
                        step.facts.push(fact.with("held", shown(held)));
                        continue;
                    }
                },
                Wanted::Nothing if !attribute.exists => {
                    ignored.push(attribute.name.as_str());
                    continue;
                }
                Wanted::Nothing => {
                    step.facts.push(
                        Fact::new(&attribute.name, "left as it is: its rule yields nothing").with("held", shown(held)),
                    );
                    continue;
                }
                Wanted::Failed(_) => {
                    step.facts.push(Fact::new(&attribute.name, "its rule failed").with("held", shown(held)));
                    continue;
                }
            };
            let of = |list: &[crate::model::order::Change]| {
                list.iter().find(|change| change.attribute == attribute.name).map(|change| change.cause)
            };
            let verdict = match (of(&changes), of(&drifted)) {
                (Some(cause), _) => format!("differs: {}", cause_words(cause)),
                (None, Some(_)) => match drift {
                    DriftAction::Leave => "changed at the target, left so (on.drift = `leave`)".to_owned(),
                    _ => "changed at the target, told and left so (on.drift = `report`)".to_owned(),
                },
                (None, None) => "confirmed".to_owned(),
            };
            let differs = verdict != "confirmed";
            let mut fact = Fact::new(&attribute.name, verdict);
            if differs {
                let before = agreed.and_then(|agreed| agreed.digest(&attribute.name));
                let (want, have) = (canonical::digest(text, attribute.kind), canonical::digest(held, attribute.kind));
                let rule = sync.rules.mapping.rule(&attribute.name).unwrap_or_default();
                fact = fact.with("source", told(&self.scanner.inputs(&attribute.name, source))).with("rule", rule);
                fact = fact.with("wanted", shown(text)).with("held", shown(held)).with(
                    "agreed",
                    match before {
                        None => "never yet",
                        Some(before) if before == have => "what is held",
                        Some(before) if before == want => "what is wanted",
                        Some(ABSENT) => "no value",
                        Some(_) => "another value, on neither side any more",
                    },
                );
            } else {
                fact = fact.with("held", shown(held));
            }
            step.facts.push(fact);
        }
        step.verdict = match (changes.len(), drifted.len()) {
            (0, 0) => self.unchanged(raw, source),
            (0, left) => format!("{left} changed at the target and left so; nothing to send"),
            (1, _) => "1 attribute differs".to_owned(),
            (several, _) => format!("{several} attributes differ"),
        };
        if !ignored.is_empty() {
            let fact = Fact::new(some(&ignored), format!("ignored: {} has no such attribute", sync.to));
            step.facts.push(fact);
        }
        step
    }

    /// Why an update is not reflected, where no mapped attribute changed.
    fn unchanged(&self, raw: u64, source: &OwnedRow) -> String {
        let input = self.scanner.input;
        let agreed = self.link.and_then(|link| link.agreed);
        if agreed.is_none_or(|agreed| self.scanner.digest.is_as_it_was(agreed.source_digest, raw)) {
            return "no mapped attribute differs".to_owned();
        }
        let read = input.sync.rules.mapping.columns();
        let keys = input.source.key_columns();
        let unread = input
            .source
            .columns()
            .iter()
            .enumerate()
            .filter(|(at, column)| !read.contains(column) && !keys.contains(at) && !source.cell(*at).is_empty());
        let unread: Vec<&str> = unread.map(|(_, column)| column.as_str()).collect();
        let which = match unread.is_empty() {
            true => "; its rules make the same of it".to_owned(),
            false => format!("; no rule reads {}", some(&unread)),
        };
        format!("no mapped attribute differs, though the row changed since both sides last agreed{which}")
    }
}

/// An object of the target that a match rule might find.
pub(super) struct Candidate<'a> {
    pub(super) id: &'a str,
    pub(super) row: &'a OwnedRow,
    /// The source key that it is linked with.
    pub(super) linked: Option<&'a str>,
}

/// How a link came to be, in words.
fn how(link: LinkView<'_>) -> &'static str {
    use crate::model::link::How;
    match link.how {
        How::Matched => "a match rule found it",
        How::Person => "a person said so",
        How::Applied => "an order made it",
        How::Adopted => "an order found it there already",
    }
}

/// Why a value differs, in words.
fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Initial => "initial (both sides never agreed on it yet)",
        Cause::Drift => "drift (changed at the target)",
        Cause::Source => "source (changed in the identity data)",
        Cause::Rule => "rule (the job's rules make something else of the row than they did)",
        Cause::Both => "both (changed on both sides; a person looks at it)",
        Cause::Revert => "revert",
    }
}
