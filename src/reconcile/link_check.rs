//! Links held against the snapshots and against today's match rules: which lead nowhere, which contradict each other,
//! which the rules would make otherwise. Nothing is changed.

use std::collections::HashMap;

use super::correlate::Pairing;
use super::error::ReconcileError;
use super::index::{KeyHasher, NONE};
use super::input::ObjectInput;
use super::objects;
use super::reason::some;
use super::rename::Apart;
use crate::model::link::{How, Links};

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkTrouble {
    /// Its object is gone from the target, or both sides are.
    Dead,
    /// A link of another sync leads to the same object.
    Twice,
    /// Today's match rules would pair its row with another object.
    Differs,
    /// A match rule found it, and none does any more.
    Unfound,
}

impl LinkTrouble {
    /// The word that listings use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Twice => "twice",
            Self::Differs => "differs",
            Self::Unfound => "unfound",
        }
    }
}

/// A link that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DoubtfulLink {
    /// The sync, as its position in the job file.
    pub sync: usize,
    /// The source row's key.
    pub source_key: String,
    /// What is wrong.
    pub trouble: LinkTrouble,
    /// The target object's id.
    pub target_id: String,
    /// How the link came about.
    pub how: How,
    /// What there is to say about it.
    pub detail: String,
    /// The object that the rules would choose, where they choose one.
    pub instead: Option<String>,
}

/// Looks at all links of a sync, sorted by source key.
///
/// # Errors
/// Where a snapshot cannot be read or a rule does not fit it.
pub fn check(input: &ObjectInput<'_>) -> Result<Vec<DoubtfulLink>, ReconcileError> {
    let hasher = KeyHasher::random();
    let links = input.links;
    let doubtful = |link: u32, trouble: LinkTrouble, detail: String, instead: Option<String>| {
        let link = links.get(link);
        DoubtfulLink {
            sync: input.sync.index,
            source_key: link.source_key.to_owned(),
            trouble,
            target_id: link.target_id.to_owned(),
            how: link.how,
            detail,
            instead,
        }
    };
    let mut found = Vec::new();
    let linked = objects::correlate(input, &Apart::default(), hasher)?;
    let unproved = |proved: bool| if proved { "" } else { ", which does not prove that it is gone" };
    for (_, link) in &linked.done.dangling {
        let detail =
            format!("its object is not in the snapshot of {}{}", input.sync.to, unproved(input.target_absence));
        found.push(doubtful(*link, LinkTrouble::Dead, detail, None));
    }
    for link in &linked.done.dead {
        let proved = unproved(input.target_absence && input.source_absence);
        let detail = format!("neither {} nor {} has it{proved}", input.sync.from, input.sync.to);
        found.push(doubtful(*link, LinkTrouble::Dead, detail, None));
    }
    drop(linked);

    let none = Links::default();
    let unlinked = ObjectInput { links: &none, ..*input };
    let anew = objects::correlate(&unlinked, &Apart::default(), hasher)?;
    let owners: HashMap<&str, &str> = links.iter().map(|link| (link.target_id, link.source_key)).collect();
    for link in 0..links.len() as u32 {
        let view = links.get(link);
        let (source, target) =
            (anew.table.source_index.get(view.source_key), anew.table.target_index.get(view.target_id));
        let (Some(source), Some(target)) = (source.filter(|row| *row != NONE), target.filter(|row| *row != NONE))
        else {
            continue;
        };
        match anew.done.pairing[source as usize] {
            Pairing::Matched { target: other, rule } if other != target => {
                let (id, rule) = (anew.table.target.key(other), &anew.scanner.judges[rule as usize]);
                let owner = owners.get(id).map(|key| format!(", which is linked with `{key}` now")).unwrap_or_default();
                let detail = format!("by `{}` ({} %) it would belong to `{id}`{owner}", rule.text, rule.confidence);
                found.push(doubtful(link, LinkTrouble::Differs, detail, Some(id.to_owned())));
            }
            Pairing::Ambiguous { group } => {
                let group = &anew.done.groups[group as usize];
                if !group.targets.contains(&target) {
                    let rule = &anew.scanner.judges[group.rule as usize].text;
                    let ids: Vec<String> =
                        group.targets.iter().map(|target| format!("`{}`", anew.table.target.key(*target))).collect();
                    let one_of = if ids.len() == 1 { "" } else { "one of " };
                    let detail = format!("by `{rule}` it would belong to {one_of}{}", some(&ids));
                    found.push(doubtful(link, LinkTrouble::Differs, detail, None));
                }
            }
            Pairing::None
                if view.how == How::Matched
                    && anew.table.source.get(source).admission == super::rows::Admission::In =>
            {
                let detail = "a match rule found it once, and none does any more".to_owned();
                found.push(doubtful(link, LinkTrouble::Unfound, detail, None));
            }
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}
