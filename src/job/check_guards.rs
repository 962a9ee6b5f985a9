//! Checks of what a sync keeps and of what the target does not let change.

use super::check_rules::no_lookups;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::Checked;
use crate::rules::problem::{did_you_mean, nearest};
use crate::rules::scope::Scope;

pub(super) fn keep_one(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let Some(keep) = &sync.keep_one else { continue };
        let path = key_path(&path, "keep_one");
        let ends = || sync.ends.keys().map(String::as_str);
        if let Some(end) = keep.end.as_deref().filter(|end| !sync.ends.is_empty() && !sync.ends.contains_key(*end)) {
            let hint = nearest(end, ends()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("no end of this association is called `{end}`");
            problems.push(Problem { hint, ..checked.places.at(&key_path(&path, "end"), message) });
        }
        condition(checked, &key_path(&path, "scope"), keep.scope.as_ref(), problems);
    }
}

pub(super) fn fixed(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (number, fixed) in sync.fixed.iter().enumerate() {
            let path = entry_path(&key_path(&path, "fixed"), number);
            condition(checked, &key_path(&path, "target"), fixed.target.as_ref(), problems);
            for (number, name) in fixed.attributes.iter().enumerate() {
                if !sync.maps(name) {
                    let near = did_you_mean(name, sync.mapped().map(String::as_str));
                    let path = entry_path(&key_path(&path, "attributes"), number);
                    problems.push(checked.places.at(&path, format!("`{name}` is no mapped attribute{near}")));
                }
            }
        }
    }
}

fn condition(checked: &Checked<'_>, path: &str, text: Option<&String>, problems: &mut Vec<Problem>) {
    match text.map(|text| Scope::compile(std::slice::from_ref(text))) {
        None => {}
        Some(Ok(scope)) => no_lookups(checked, path, "a condition on the target's rows", scope.lookups(), problems),
        Some(Err(found)) => {
            for problem in found {
                problems.push(checked.places.inside(path, problem.offset, problem.message));
            }
        }
    }
}
