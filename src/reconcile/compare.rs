//! One pair of rows, attribute by attribute.

use crate::model::link::AgreedView;
use crate::model::order::Change;
use crate::model::situation::Cause;
use crate::snapshot::row::Cells;

use super::canonical::{self, ABSENT};
use super::cause;
use super::policy::DriftAction;
use super::scan::{Scanner, Wanted};

/// What one row asks for.
#[derive(Default)]
pub(crate) struct Comparison {
    /// To be changed, sorted by attribute.
    pub(crate) changes: Vec<Change>,
    /// Changed by somebody at the target, and left or only told by the job's wish.
    pub(crate) drifted: Vec<Change>,
    /// Rules that failed: attribute and what the rule says.
    pub(crate) failures: Vec<(String, String)>,
    /// Required attributes that would be empty afterwards.
    pub(crate) lacking: Vec<String>,
}

/// What a new object would hold.
pub(crate) fn create(scanner: &Scanner<'_>, row: &dyn Cells) -> Comparison {
    let mut done = Comparison::default();
    let mut present = Vec::new();
    for (attribute, wanted) in scanner.attributes.iter().zip(scanner.wanted(row)) {
        match wanted {
            Wanted::Set(text) => {
                present.push(attribute.name.as_str());
                let (attribute, after) = (attribute.name.clone(), canonical::value(&text, attribute.kind));
                done.changes.push(Change { attribute, before: None, after, cause: Cause::Initial });
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
) -> Comparison {
    let mut done = Comparison::default();
    let drift = scanner.input.sync.on.drift;
    for (attribute, wanted) in scanner.attributes.iter().zip(scanner.wanted(source)) {
        let text = match &wanted {
            Wanted::Set(text) => text.as_str(),
            Wanted::Clear => "",
            Wanted::Nothing => continue,
            Wanted::Failed(failure) => {
                done.failures.push((attribute.name.clone(), failure.clone()));
                continue;
            }
        };
        let held = attribute.held(target);
        if canonical::canonical(text, attribute.kind) == canonical::canonical(held, attribute.kind) {
            continue;
        }
        let (want, have) = (canonical::digest(text, attribute.kind), canonical::digest(held, attribute.kind));
        let cause = cause::judge(agreed, &attribute.name, want, have, source_digest);
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
        if want == ABSENT && scanner.requires(&attribute.name) {
            done.lacking.push(attribute.name.clone());
        }
        done.changes.push(change);
    }
    done.changes.sort_by(|a, b| a.attribute.cmp(&b.attribute));
    done
}
