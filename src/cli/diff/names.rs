//! The column names that were typed against those of both files.

use std::path::Path;

use super::Args;
use crate::rules::problem::nearest;
use crate::snapshot::table::Table;

/// Columns that an error lists.
const LISTED: usize = 12;

/// Every typed name that a file lacks, with the name that was probably meant.
pub(super) fn problems(args: &Args, old: &Table, new: &Table) -> Vec<String> {
    let same = old.columns() == new.columns();
    let mut found = Vec::new();
    if args.key.is_empty() {
        let shared: Vec<&str> = old.columns().iter().map(String::as_str).filter(|c| new.column(c).is_some()).collect();
        found.push(match shared.as_slice() {
            [] => format!("no column is in both files; {}, {}", has(old), has(new)),
            shared => format!("say which columns identify a row, with --key; both files have {}", list(shared)),
        });
    }
    for name in &args.key {
        match (old.column(name), new.column(name)) {
            (Some(_), Some(_)) => {}
            (None, None) if same => found.push(format!(
                "the key column `{name}` is in neither file;{} both have {}",
                hint(name, old.columns()).unwrap_or_default(),
                list(old.columns())
            )),
            (old_has, new_has) => {
                let lacking = [(old, old_has), (new, new_has)].into_iter().filter(|(_, has)| has.is_none());
                found.extend(lacking.map(|(table, _)| {
                    let near = hint(name, table.columns()).unwrap_or_default();
                    format!("the key column `{name}` is not in {};{near} {}", shown(table.path()), has(table))
                }));
            }
        }
    }
    let typed = args.ignore.iter().map(|name| ("--ignore", name));
    let typed = typed.chain(args.normalise.iter().map(|(name, _)| ("--normalise", name)));
    for (option, name) in typed.filter(|(_, name)| old.column(name).is_none() && new.column(name).is_none()) {
        let all: Vec<&str> = old.columns().iter().chain(new.columns()).map(String::as_str).collect();
        let next = hint(name, &all).unwrap_or_else(|| " check its name".to_owned());
        found.push(format!("the column `{name}` of {option} is in neither file;{next}"));
    }
    found
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}

fn has(table: &Table) -> String {
    format!("{} has {}", shown(table.path()), list(table.columns()))
}

/// ` did you mean …?`, where a column is near enough.
fn hint(name: &str, columns: &[impl AsRef<str>]) -> Option<String> {
    nearest(name, columns.iter().map(AsRef::as_ref)).map(|near| format!(" did you mean `{near}`?"))
}

fn list(columns: &[impl AsRef<str>]) -> String {
    let first: Vec<String> = columns.iter().take(LISTED).map(|c| format!("`{}`", c.as_ref())).collect();
    match columns.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        rest => format!("{} and {rest} more", first.join(", ")),
    }
}
