//! Rows counted by what they say. Alike ones mostly stand next to each other; a database sorts them all to find out.

use std::collections::BTreeMap;

use rusqlite::{Error, Rows};

use super::error::Fault;

/// How many rows say the same in their first `N` columns, texts or nothing, by what they say.
pub(super) fn counted_alike<const N: usize>(mut rows: Rows<'_>) -> Result<BTreeMap<[Option<String>; N], u64>, Fault> {
    let mut counts = BTreeMap::new();
    let mut last: Option<([Option<String>; N], u64)> = None;
    while let Some(row) = rows.next()? {
        if let Some((said, alike)) = &mut last {
            let mut is_same = true;
            for (column, said) in said.iter().enumerate() {
                is_same &= row.get_ref(column)?.as_str_or_null().map_err(Error::from)? == said.as_deref();
            }
            if is_same {
                *alike += 1;
                continue;
            }
        }
        let mut said = [const { None }; N];
        for (column, said) in said.iter_mut().enumerate() {
            *said = row.get(column)?;
        }
        if let Some((said, alike)) = last.replace((said, 1)) {
            *counts.entry(said).or_default() += alike;
        }
    }
    if let Some((said, alike)) = last {
        *counts.entry(said).or_default() += alike;
    }
    Ok(counts)
}
