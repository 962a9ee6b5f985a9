//! Checks of values that are made once for each object.

use super::check_rules::tell;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::Checked;
use crate::reconcile::generate::Collision;
use crate::rules::expression::Expression;

pub(super) fn generate(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (position, name) in sync.clear.iter().enumerate() {
            if sync.generate.contains_key(name) {
                let message = format!("`{name}` is made once and kept; it cannot be cleared");
                problems.push(checked.places.at(&entry_path(&key_path(&path, "clear"), position), message));
            }
        }
        for (attribute, one) in &sync.generate {
            let path = key_path(&key_path(&path, "generate"), attribute);
            if attribute.trim().is_empty() {
                problems.push(checked.places.at_key(&path, "an attribute without a name"));
            }
            for (table, is_there) in [
                ("attributes", sync.attributes.contains_key(attribute)),
                ("references", sync.references.contains_key(attribute)),
            ] {
                if is_there {
                    let message = format!("`{attribute}` stands under `{table}` too; a value has one rule");
                    problems.push(checked.places.at_key(&path, message));
                }
            }
            if let Some(rule) = &one.rule {
                let what = format!("the rule of `{attribute}`");
                tell(checked, &key_path(&path, "rule"), &what, Expression::compile(rule), problems);
            }
            if let Some(Err(message)) = one.on_collision.as_deref().map(Collision::parse) {
                let message = format!("`on_collision` of `{attribute}`: {message}");
                problems.push(checked.places.at(&key_path(&path, "on_collision"), message));
            }
        }
    }
}
