//! Whom a new row or a leaver may be under another key, where several could be: told to whoever reviews the orders.

use super::decide::Decider;
use super::ends::name_in;
use super::error::ReconcileError;
use super::reason::some;

impl Decider<'_> {
    /// Objects that a new row is like, whose own rows are gone, as the end of a reason.
    pub(crate) fn like_objects(&self, row: u32) -> Result<String, ReconcileError> {
        let mut told = Vec::new();
        for target in self.done.like.objects.get(&row).into_iter().flatten() {
            let name = name_in(self.scanner.input, &self.target(*target)?).unwrap_or_default();
            told.push(format!("`{}` ({name})", self.table.target.key(*target)));
        }
        let key = self.table.source.key(row);
        Ok(told_of(told, |told, several| {
            format!(
                "; it is like {told} of {}, whose row is gone, and more than one could be one with another: if `{key}` is {several}, reject this, then `muster unlink JOB OLD-KEY` and `muster link JOB {key} ID`",
                self.scanner.input.sync.to
            )
        }))
    }

    /// New rows that are like an object whose row is gone, as the end of a reason.
    pub(crate) fn like_rows(&self, target: u32, key: &str) -> String {
        let rows = self.done.like.rows.get(&target).into_iter().flatten();
        let told = rows.map(|row| format!("`{}`", self.table.source.key(*row))).collect();
        let id = self.table.target.key(target);
        told_of(told, |told, several| {
            format!(
                "; new in {} and like it: {told}; more than one could be one with another: if it is {several}, reject this, then `muster unlink JOB {key}` and `muster link JOB NEW-KEY {id}`",
                self.scanner.input.sync.from
            )
        })
    }
}

/// Candidates in a fixed order and in words, where there are any.
fn told_of(mut told: Vec<String>, words: impl Fn(&str, &str) -> String) -> String {
    told.sort();
    match told.len() {
        0 => String::new(),
        1 => words(&some(&told), "the same"),
        _ => words(&some(&told), "one of them"),
    }
}
