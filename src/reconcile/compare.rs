//! One pair of rows, attribute by attribute.

use crate::model::link::AgreedView;
use crate::model::order::{Change, Reference};
use crate::model::situation::Cause;
use crate::snapshot::row::Cells;

use super::canonical::{self, ABSENT};
use super::cause;
use super::ends::EndTable;
use super::fit;
use super::policy::DriftAction;
use super::references::{Referred, Whom};
use super::scan::{Attribute, Scanner, Wanted};

/// What one row asks for.
#[derive(Default)]
pub(crate) struct Comparison {
    /// To be changed, sorted by attribute.
    pub(crate) changes: Vec<Change>,
    /// Changed by somebody at the target, and left or only told by the job's wish.
    pub(crate) drifted: Vec<Change>,
    /// Rules that failed: attribute and what the rule says.
    pub(crate) failures: Vec<(String, String)>,
    /// Values that the target would not take: attribute, value, and what it takes.
    pub(crate) misfits: Vec<(String, String, String)>,
    /// Values that are none of those that the target suggests: attribute and half a sentence.
    pub(crate) unusual: Vec<(String, String)>,
    /// Attributes whose new value is made for the object, by their positions; the change says what it is made from.
    pub(crate) generated: Vec<usize>,
    /// Some attribute holds what could be made for it, which is no difference.
    pub(crate) keeps: bool,
    /// Required attributes that would be empty afterwards.
    pub(crate) lacking: Vec<String>,
    /// To what new values refer, sorted by attribute.
    pub(crate) references: Vec<Reference>,
    /// Required attributes that refer to nobody: the attribute, what the row names, and why that is nobody.
    pub(crate) nobody: Vec<(String, String, String)>,
}

impl Comparison {
    /// Whether the target would take a value.
    fn look_at(&mut self, attribute: &Attribute, text: &str) {
        let Some(shape) = &attribute.shape else { return };
        if let Some(takes) = fit::misfit(text, shape) {
            self.misfits.push((attribute.name.clone(), text.to_owned(), takes));
        } else if let Some(unusual) = fit::unusual(text, shape) {
            self.unusual.push((attribute.name.clone(), unusual));
        }
    }
}

/// Whom one row names.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) table: &'a EndTable<'a>,
    pub(crate) row: u32,
}

impl<'a> Names<'a> {
    /// Whom it names in the reference of a position, if anybody.
    pub(crate) fn get(self, reference: usize) -> Option<&'a Referred> {
        self.table.references.get(reference)?.get(self.row)
    }
}

/// What a new object would hold.
pub(crate) fn create(scanner: &Scanner<'_>, row: &dyn Cells, names: Names<'_>) -> Comparison {
    let mut done = Comparison::default();
    let mut present = Vec::new();
    for (position, (attribute, wanted)) in scanner.attributes.iter().zip(scanner.wanted(row)).enumerate() {
        match wanted {
            Wanted::Set(text) | Wanted::Generated(text) => {
                done.generated.extend(attribute.generated.map(|_| position));
                present.push(attribute.name.as_str());
                done.look_at(attribute, &text);
                let (attribute, after) = (attribute.name.clone(), canonical::value(&text, attribute.kind));
                done.changes.push(Change { attribute, before: None, after, cause: Cause::Initial });
            }
            Wanted::Named(reference) => {
                let Some(referred) = names.get(reference) else { continue };
                let rule = &scanner.input.sync.references[reference];
                match (rule.value(referred), &referred.whom) {
                    (Some((value, to)), _) => {
                        present.push(attribute.name.as_str());
                        let (attribute, after) = (attribute.name.clone(), Some(value));
                        done.changes.push(Change { attribute, before: None, after, cause: Cause::Initial });
                        done.references.push(to);
                    }
                    (None, Whom::Nobody(why)) if scanner.requires(&attribute.name) => {
                        present.push(attribute.name.as_str());
                        done.nobody.push((attribute.name.clone(), referred.key.clone(), why.clone()));
                    }
                    (None, _) => {}
                }
            }
            Wanted::Failed(failure) => done.failures.push((attribute.name.clone(), failure)),
            Wanted::Nothing | Wanted::Clear => {}
        }
    }
    let required = &scanner.input.sync.rules.required;
    // What the target needs and no rule is about may be the target's own to fill in.
    let mapped = |name: &&String| scanner.attributes.iter().any(|attribute| attribute.name == **name);
    let by_target = scanner.input.capabilities.required.iter().filter(|name| !required.contains(name)).filter(mapped);
    done.lacking = required.iter().chain(by_target).filter(|name| !present.contains(&name.as_str())).cloned().collect();
    done.changes.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    done
}

/// What has to change so that the target's row holds what the source's row wants.
pub(crate) fn pair(
    scanner: &Scanner<'_>,
    source: &dyn Cells,
    target: &dyn Cells,
    agreed: Option<AgreedView<'_>>,
    source_digest: u64,
    names: Names<'_>,
) -> Comparison {
    let mut done = Comparison::default();
    let drift = scanner.input.sync.on.drift;
    for (position, (attribute, wanted)) in scanner.attributes.iter().zip(scanner.wanted(source)).enumerate() {
        let mut to = None;
        let text = match &wanted {
            Wanted::Set(text) => text.clone(),
            Wanted::Generated(text) => {
                if scanner.keeps(attribute, text, attribute.held(target)) {
                    done.keeps = true;
                    continue;
                }
                text.clone()
            }
            Wanted::Clear => String::new(),
            Wanted::Nothing => continue,
            Wanted::Named(reference) => {
                let Some(referred) = names.get(*reference) else { continue };
                let Some((value, found)) = scanner.input.sync.references[*reference].value(referred) else {
                    if let Whom::Nobody(why) = &referred.whom
                        && scanner.requires(&attribute.name)
                    {
                        done.nobody.push((attribute.name.clone(), referred.key.clone(), why.clone()));
                    }
                    continue;
                };
                to = Some(found);
                value.to_cell()
            }
            Wanted::Failed(failure) => {
                done.failures.push((attribute.name.clone(), failure.clone()));
                continue;
            }
        };
        let text = text.as_str();
        let held = attribute.held(target);
        if canonical::canonical(text, attribute.kind) == canonical::canonical(held, attribute.kind) {
            continue;
        }
        let (want, mut have) = (canonical::digest(text, attribute.kind), canonical::digest(held, attribute.kind));
        // What the target never shows is what both sides last agreed on.
        if scanner.input.capabilities.hidden.contains(&attribute.name)
            && let Some(before) = agreed.and_then(|agreed| agreed.digest(&attribute.name))
        {
            if before == want {
                done.keeps = true;
                continue;
            }
            have = before;
        }
        let is_as_it_was = |before| scanner.digest.is_as_it_was(before, source_digest);
        let cause = match cause::judge(agreed, &attribute.name, want, have, is_as_it_was) {
            // Whom a row names moves without it: by a row of its own, or an object that was made anew. So does what it
            // looks up.
            Cause::Rule if to.is_some() || attribute.looks_up => Cause::Source,
            Cause::Source
                if to.is_none()
                    && let Some(before) = agreed.and_then(|agreed| agreed.digest(&attribute.name))
                    && scanner.is_by_edit(position, source, before) =>
            {
                Cause::Rule
            }
            cause => cause,
        };
        let change = Change {
            attribute: attribute.name.clone(),
            before: attribute.held_value(target),
            after: canonical::value(text, attribute.kind),
            cause,
        };
        if cause == Cause::Drift && drift != DriftAction::Correct {
            done.drifted.push(change);
            continue;
        }
        if to.is_none() {
            done.look_at(attribute, text);
        }
        if want == ABSENT && scanner.requires(&attribute.name) {
            done.lacking.push(attribute.name.clone());
        }
        done.generated.extend(attribute.generated.map(|_| position));
        done.changes.push(change);
        done.references.extend(to);
    }
    done.changes.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    done
}
