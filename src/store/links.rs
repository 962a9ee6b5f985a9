//! Links: remembered source–target pairs, what was last agreed on them, and the association rows that muster added.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::chain::{Chain, Entry};
use super::database::{Store, as_json, json};
use super::error::{Fault, StoreError};
use super::orders::sync_number;
use crate::model::grace::Grace;
use crate::model::link::{Agreed, How, Link, Links};
use crate::model::order::ObjectKey;

pub(super) const COLUMNS: &str =
    "source_key, target_id, how, attributes, agreed, grace_since, grace_counted, grace_seen,
  grace_latest, former";

/// A change to what is remembered, made together with an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// Remember this pair, or its new agreed state.
    Put(Link),
    /// Forget the pair of this source key.
    Drop(String),
    /// The row of this pair goes by another key now; what was agreed stays, and that it had the old one.
    Move {
        /// The key that it had.
        from: String,
        /// The key that it has.
        to: String,
        /// The target's id of the object.
        target: String,
        /// How that was found out.
        how: How,
    },
    /// How far the grace of this source key's object has come; `None` = it is wanted again, or no longer out of use.
    Grace(String, Option<Grace>),
    /// muster added this association row (its ends' target ids, by end name, as [`row_key`] writes them).
    AddedRow(String),
    /// This association row is gone.
    RemovedRow(String),
}

/// The key of an association row: its end ids in the order of the end names, as a JSON array.
pub fn row_key(ends: &BTreeMap<String, String>) -> String {
    serde_json::Value::from_iter(ends.values().map(String::as_str)).to_string()
}

impl Store {
    /// All links of a sync, by source key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links(&self, job: &str, sync_id: &str) -> Result<Links, StoreError> {
        self.read(|db| links_of(db, job, sync_id))
    }

    /// Whether anything was ever linked by a sync: its first run is over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_links(&self, job: &str, sync_id: &str) -> Result<bool, StoreError> {
        self.read(|db| {
            let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(false) };
            let sql = "SELECT EXISTS (SELECT 1 FROM links WHERE sync = ?1)
                       OR EXISTS (SELECT 1 FROM managed_rows WHERE sync = ?1)";
            Ok(db.query_row(sql, [sync], |row| row.get(0))?)
        })
    }

    /// How many objects a sync has linked, or how many rows it added.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn managed_count(&self, job: &str, sync_id: &str) -> Result<u64, StoreError> {
        self.read(|db| {
            let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(0) };
            let sql = "SELECT (SELECT count(*) FROM links WHERE sync = ?1)
                       + (SELECT count(*) FROM managed_rows WHERE sync = ?1)";
            Ok(db.query_row(sql, [sync], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// Remembers links, or their new agreed states, in one transaction; `who` is a person, or empty.
    ///
    /// # Errors
    /// [`StoreError::LinkTaken`] where a target object is linked to another source key that is not among `links`.
    pub fn put_links(
        &mut self,
        job: &str,
        sync_id: &str,
        links: &[Link],
        who: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let changes: Vec<LinkChange> = links.iter().cloned().map(LinkChange::Put).collect();
            change_links(tx, log, job, sync_id, &changes, who, at)
        })
    }

    /// Forgets the links of source keys; `who` is a person, or empty.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn drop_links(
        &mut self,
        job: &str,
        sync_id: &str,
        source_keys: &[String],
        who: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let changes: Vec<LinkChange> = source_keys.iter().cloned().map(LinkChange::Drop).collect();
            change_links(tx, log, job, sync_id, &changes, who, at)
        })
    }

    /// Whether muster added these association rows for a sync, one answer each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn are_managed(&self, job: &str, sync_id: &str, rows: &[ObjectKey]) -> Result<Vec<bool>, StoreError> {
        self.read(|db| {
            let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(vec![false; rows.len()]) };
            let sql = "SELECT EXISTS (SELECT 1 FROM managed_rows WHERE sync = ? AND ends = ?)";
            let mut statement = db.prepare_cached(sql)?;
            let known = rows.iter().map(|row| statement.query_row(params![sync, row.0], |found| found.get(0)));
            Ok(known.collect::<Result<_, _>>()?)
        })
    }

    /// Remembers (`added`) and forgets (`removed`) association rows of a sync.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn change_managed_rows(
        &mut self,
        job: &str,
        sync_id: &str,
        added: &[String],
        removed: &[String],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let removed = removed.iter().cloned().map(LinkChange::RemovedRow);
            let changes: Vec<LinkChange> = removed.chain(added.iter().cloned().map(LinkChange::AddedRow)).collect();
            change_links(tx, log, job, sync_id, &changes, "", at)
        })
    }
}

/// Carries out changes to a sync's links and rows and logs their number, and each pair that a person decided on.
pub(super) fn change_links(
    tx: &Connection,
    log: &mut Chain,
    job: &str,
    sync_id: &str,
    changes: &[LinkChange],
    who: &str,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let sync = sync_number(tx, job, sync_id)?;
    write_changes(tx, sync, changes)?;
    let count = |kind: fn(&LinkChange) -> bool| changes.iter().filter(|change| kind(change)).count();
    let mut detail = serde_json::json!({
        "job": job, "sync": sync_id,
        "put": count(|c| matches!(c, LinkChange::Put(_))), "dropped": count(|c| matches!(c, LinkChange::Drop(_))),
        "rows_added": count(|c| matches!(c, LinkChange::AddedRow(_))),
        "rows_removed": count(|c| matches!(c, LinkChange::RemovedRow(_))),
    });
    for (word, number) in [
        ("moved", count(|c| matches!(c, LinkChange::Move { .. }))),
        ("in_grace", count(|c| matches!(c, LinkChange::Grace(_, Some(_))))),
        ("grace_over", count(|c| matches!(c, LinkChange::Grace(_, None)))),
    ] {
        if number > 0 {
            detail[word] = number.into();
        }
    }
    if !who.is_empty() {
        detail["pairs"] = changes
            .iter()
            .filter_map(|change| match change {
                LinkChange::Put(link) => Some(serde_json::json!([link.source_key, link.target_id])),
                LinkChange::Drop(source_key) => Some(serde_json::json!([source_key, null])),
                LinkChange::Move { from, to, target, .. } => Some(serde_json::json!([to, target, from])),
                LinkChange::AddedRow(_) | LinkChange::RemovedRow(_) | LinkChange::Grace(..) => None,
            })
            .collect();
    }
    log.append(tx, &Entry::new(at, "links", None, detail).by(who))
}

const PUT: &str = "INSERT INTO links (sync, source_key, target_id, how, attributes, agreed) VALUES (?1,?2,?3,?4,?5,?6)
  ON CONFLICT (sync, source_key) DO UPDATE SET target_id = ?3, how = ?4, attributes = ?5, agreed = ?6,
    grace_since = NULL, grace_counted = NULL, grace_seen = NULL, grace_latest = NULL";

/// Writes changes to links and rows. Pairs that move make room first, so that two may exchange their targets.
pub(super) fn write_changes(tx: &Connection, sync: i64, changes: &[LinkChange]) -> Result<(), Fault> {
    let (mut drop_link, mut make_room, mut put, mut add, mut remove) = Default::default();
    for change in changes {
        match change {
            LinkChange::Drop(source_key) => {
                prepared(&mut drop_link, tx, "DELETE FROM links WHERE sync = ? AND source_key = ?")?
                    .execute(params![sync, source_key])?
            }
            LinkChange::Put(Link { source_key: to, target_id: target, .. }) | LinkChange::Move { to, target, .. } => {
                prepared(&mut make_room, tx, "DELETE FROM links WHERE sync = ? AND source_key = ? AND target_id <> ?")?
                    .execute(params![sync, to, target])?
            }
            LinkChange::AddedRow(_) | LinkChange::RemovedRow(_) | LinkChange::Grace(..) => 0,
        };
    }
    for change in changes {
        if let LinkChange::Move { from, to, target, how } = change {
            tx.prepare_cached(
                "UPDATE links SET source_key = ?3, how = ?5, former = json_insert(coalesce(former, '[]'), '$[#]', ?2),
                   grace_since = NULL, grace_counted = NULL, grace_seen = NULL, grace_latest = NULL
                 WHERE sync = ?1 AND source_key = ?2 AND target_id = ?4",
            )?
            .execute(params![sync, from, to, target, *how as u8])?;
        }
    }
    let mut sets: HashMap<Arc<[String]>, i64> = HashMap::new();
    for change in changes {
        match change {
            LinkChange::Put(link) => {
                let set = match &link.agreed {
                    Some(agreed) => Some(match sets.get(agreed.names()) {
                        Some(set) => *set,
                        None => *sets.entry(Arc::clone(agreed.names())).or_insert(attribute_set(tx, agreed.names())?),
                    }),
                    None => None,
                };
                let blob = link.agreed.as_ref().map(blob);
                prepared(&mut put, tx, PUT)?
                    .execute(params![sync, link.source_key, link.target_id, link.how as u8, set, blob])
                    .map_err(|error| link_taken(tx, sync, link, error))?;
            }
            LinkChange::AddedRow(ends) => {
                prepared(&mut add, tx, "INSERT OR IGNORE INTO managed_rows VALUES (?, ?)")?
                    .execute(params![sync, ends])?;
            }
            LinkChange::RemovedRow(ends) => {
                prepared(&mut remove, tx, "DELETE FROM managed_rows WHERE sync = ? AND ends = ?")?
                    .execute(params![sync, ends])?;
            }
            LinkChange::Grace(key, grace) => set_grace(tx, sync, key, grace.as_ref())?,
            LinkChange::Drop(_) | LinkChange::Move { .. } => {}
        }
    }
    Ok(())
}

/// A statement that is prepared when it is first needed: most changes come one by one, with their outcomes, and need two
/// of all statements.
fn prepared<'a, 'c>(
    statement: &'a mut Option<CachedStatement<'c>>,
    tx: &'c Connection,
    sql: &str,
) -> Result<&'a mut CachedStatement<'c>, Fault> {
    let ready = match statement.take() {
        Some(ready) => ready,
        None => tx.prepare_cached(sql)?,
    };
    Ok(statement.insert(ready))
}

fn set_grace(tx: &Connection, sync: i64, key: &str, grace: Option<&Grace>) -> Result<(), Fault> {
    let seconds = |instant: fn(&Grace) -> DateTime<Utc>| grace.map(|grace| instant(grace).timestamp());
    tx.prepare_cached(
        "UPDATE links SET grace_since = ?3, grace_counted = ?4, grace_seen = ?5, grace_latest = ?6
         WHERE sync = ?1 AND source_key = ?2",
    )?
    .execute(params![
        sync,
        key,
        seconds(|grace| grace.since),
        grace.map(|grace| grace.counted.num_seconds()),
        seconds(|grace| grace.seen),
        seconds(|grace| grace.latest)
    ])?;
    Ok(())
}

fn link_taken(tx: &Connection, sync: i64, link: &Link, error: rusqlite::Error) -> Fault {
    let holder = tx
        .query_row(
            "SELECT source_key FROM links WHERE sync = ? AND target_id = ?",
            params![sync, link.target_id],
            |row| row.get(0),
        )
        .optional();
    match holder {
        Ok(Some(holder)) => {
            StoreError::LinkTaken { target: link.target_id.clone(), holder, source_key: link.source_key.clone() }.into()
        }
        _ => error.into(),
    }
}

/// All links of a sync.
pub(super) fn links_of(db: &Connection, job: &str, sync_id: &str) -> Result<Links, Fault> {
    let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(Links::default()) };
    let sets = attribute_sets(db)?;
    let count = db.query_row("SELECT count(*) FROM links WHERE sync = ?", [sync], |row| row.get::<_, i64>(0))?;
    let sql = format!("SELECT {COLUMNS} FROM links WHERE sync = ? ORDER BY source_key");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([sync])?;
    let mut links = Links::with_capacity(count as usize);
    while let Some(row) = rows.next()? {
        read(row, &sets, &mut links)?;
    }
    Ok(links)
}

pub(super) fn sync_known(db: &Connection, job: &str, sync_id: &str) -> Result<Option<i64>, Fault> {
    let mut statement = db.prepare_cached("SELECT n FROM syncs WHERE job = ? AND sync_id = ?")?;
    Ok(statement.query_row([job, sync_id], |row| row.get(0)).optional()?)
}

fn attribute_set(tx: &Connection, names: &[String]) -> Result<i64, Fault> {
    let names = as_json(&names)?;
    let mut known = tx.prepare_cached("SELECT n FROM attribute_sets WHERE names = ?")?;
    if let Some(set) = known.query_row([&names], |row| row.get(0)).optional()? {
        return Ok(set);
    }
    tx.execute("INSERT INTO attribute_sets (names) VALUES (?)", [&names])?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn attribute_sets(db: &Connection) -> Result<HashMap<i64, Arc<[String]>>, Fault> {
    let mut statement = db.prepare_cached("SELECT n, names FROM attribute_sets")?;
    let mut rows = statement.query([])?;
    let mut sets = HashMap::new();
    while let Some(row) = rows.next()? {
        sets.insert(row.get(0)?, json::<Vec<String>>(row, 1)?.into());
    }
    Ok(sets)
}

/// Adds the row's link to the others.
pub(super) fn read(
    row: &rusqlite::Row<'_>,
    sets: &HashMap<i64, Arc<[String]>>,
    links: &mut Links,
) -> Result<(), Fault> {
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(|e| Fault::Row(e.to_string()));
    let number = usize::from(row.get::<_, u8>(2)?);
    let unknown = || Fault::Row(format!("{number} says not how a link came to be"));
    let how = How::ALL.get(number).copied().ok_or_else(unknown)?;
    let (source_key, target_id) = (text(0)?, text(1)?);
    match (row.get::<_, Option<i64>>(3)?, row.get_ref(4)?) {
        (Some(set), ValueRef::Blob(blob)) => {
            let names = sets.get(&set).ok_or_else(|| Fault::Row(format!("no attribute set {set}")))?;
            let (words, rest) = blob.as_chunks::<8>();
            let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
            match words.next() {
                Some(source_digest) if rest.is_empty() && words.len() == names.len() => {
                    links.push(source_key, target_id, how, Some((source_digest, names, &mut words)));
                }
                _ => {
                    let bytes = blob.len();
                    return Err(Fault::Row(format!("an agreed state of {bytes} bytes for {} attributes", names.len())));
                }
            }
        }
        _ => links.push(source_key, target_id, how, None),
    }
    if let Some(grace) = super::graces::grace(row)? {
        links.set_grace(grace);
    }
    if row.get_ref(9)? != ValueRef::Null {
        links.set_former(json(row, 9)?);
    }
    Ok(())
}

/// The digest of the source row, then those of the attributes.
fn blob(agreed: &Agreed) -> Vec<u8> {
    let words = std::iter::once(agreed.source_digest()).chain(agreed.digests().iter().copied());
    words.flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::link::LinkView;
    use crate::store::layout::Layout;

    fn link(source: &str, target: &str, agreed: Option<Agreed>) -> Link {
        Link { source_key: source.into(), target_id: target.into(), how: How::Matched, agreed }
    }

    #[test]
    fn links_come_back_as_they_were_and_may_exchange_targets() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&Layout::new(dir.path()), DateTime::UNIX_EPOCH).unwrap();
        let at = DateTime::UNIX_EPOCH;
        let two = Agreed::new(7, &BTreeMap::from([("userName".into(), 1), ("active".into(), u64::MAX)]));
        let one = Agreed::new(8, &BTreeMap::from([("userName".into(), 2)]));
        let links = [link("a", "1", Some(two.clone())), link("b", "2", Some(one)), link("c", "3", None)];
        store.put_links("job", "s", &links, "", at).unwrap();
        let found: Vec<Link> = store.links("job", "s").unwrap().iter().map(LinkView::to_link).collect();
        assert_eq!(found, links);
        assert!(store.links("job", "other").unwrap().is_empty());
        assert_eq!((two.view().digest("active"), two.view().digest("title")), (Some(u64::MAX), None));

        store.put_links("job", "s", &[link("a", "2", None), link("b", "1", None)], "", at).unwrap();
        assert_eq!(store.link_to("job", "s", "1").unwrap().unwrap().source_key, "b");
        let taken = store.put_links("job", "s", &[link("d", "3", None)], "jane", at).unwrap_err();
        assert!(matches!(taken, StoreError::LinkTaken { ref holder, .. } if holder == "c"), "{taken}");
        store.drop_links("job", "s", &["c".into()], "jane", at).unwrap();
        store.put_links("job", "s", &[link("d", "3", None)], "jane", at).unwrap();
        assert_eq!(store.link_of("job", "s", "d").unwrap().unwrap().target_id, "3");
        assert!(store.verify_log().unwrap().is_ok());
    }

    #[test]
    fn a_link_moves_with_what_was_agreed_and_a_grace_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&Layout::new(dir.path()), DateTime::UNIX_EPOCH).unwrap();
        let at = DateTime::UNIX_EPOCH;
        let agreed = Agreed::new(7, &BTreeMap::from([("userName".into(), 1)]));
        store.put_links("job", "s", &[link("old", "1", Some(agreed.clone()))], "", at).unwrap();
        let grace = Grace { counted: TimeDelta::days(3), ..Grace::begun(at + TimeDelta::days(9)) };
        store.set_graces("job", "s", &[("old".into(), Some(grace))], at).unwrap();
        assert_eq!(store.graces("job", "s").unwrap(), [("old".into(), grace)]);
        assert_eq!(store.links("job", "s").unwrap().get(0).grace, Some(grace));
        let moved = LinkChange::Move { from: "old".into(), to: "new".into(), target: "1".into(), how: How::Person };
        store.write(|tx, log| change_links(tx, log, "job", "s", &[moved], "jane", at)).unwrap();
        let links = store.links("job", "s").unwrap();
        assert_eq!(
            links.iter().map(LinkView::to_link).collect::<Vec<_>>(),
            [Link { how: How::Person, ..link("new", "1", Some(agreed)) }]
        );
        assert_eq!(links.former().collect::<Vec<_>>(), [("new", &["old".to_owned()][..])]);
        assert!(store.graces("job", "s").unwrap().is_empty());
        assert!(store.verify_log().unwrap().is_ok());
    }

    #[test]
    fn rows_that_were_added_are_known_apart_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&Layout::new(dir.path()), DateTime::UNIX_EPOCH).unwrap();
        let row = |group: &str, user: &str| {
            row_key(&BTreeMap::from([("user".to_owned(), user.to_owned()), ("group".to_owned(), group.to_owned())]))
        };
        let at = DateTime::UNIX_EPOCH;
        store.change_managed_rows("job", "m", &[row("g", "1"), row("g", "2")], &[], at).unwrap();
        store.change_managed_rows("job", "m", &[], &[row("g", "1")], at).unwrap();
        let asked = [row("g", "1"), row("g", "2")].map(ObjectKey);
        assert_eq!(store.are_managed("job", "m", &asked).unwrap(), [false, true]);
        assert_ne!(row("a", "b,c"), row("a\",\"b", "c"));
        assert!(store.has_links("job", "m").unwrap());
    }
}
