//! Which applied orders were undone, and what is not raised again because of it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::database::Store;
use super::error::{Fault, StoreError};
use crate::model::order::{Fingerprint, ObjectKey, Order, OrderId};
use crate::model::record::{Reversal, TakenBack};
use crate::model::run::RunId;

/// Records which of some new orders, by row number, undo applied ones.
///
/// What undoes an order of a job's plan keeps the same from being raised again; what undoes that does not, and so on by
/// turns.
pub(super) fn insert_reverts<'o>(tx: &Connection, orders: impl Iterator<Item = (i64, &'o Order)>) -> Result<(), Fault> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO reverts SELECT ?1, u.n, ?3,
           coalesce((SELECT NOT r.withholds FROM reverts r WHERE r.\"order\" = u.n), 1), ?4 FROM orders u WHERE u.id = ?2",
    )?;
    for (n, order) in orders {
        let Some(undone) = &order.undoes else { continue };
        let counter = order.counter().map(|print| print.0).unwrap_or_default();
        let contents: Vec<String> = order.taken_back().into_iter().map(|content| content.0).collect();
        if insert.execute(params![n, undone.0, counter, contents.join(" ")])? != 1 {
            return Err(Fault::Row(format!("order {} undoes {undone}, which is not known", order.id)));
        }
    }
    Ok(())
}

/// Whether an order undoes another, by its row number.
pub(super) fn is_undo(tx: &Connection, n: i64) -> Result<bool, Fault> {
    let mut statement = tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM reverts WHERE \"order\" = ?)")?;
    Ok(statement.query_row([n], |row| row.get(0))?)
}

/// Whether the undoing order `o` was itself undone: then it withholds nothing.
pub(super) const IS_UNDONE: &str = "EXISTS (SELECT 1 FROM reverts y JOIN orders z ON z.n = y.\"order\"
  WHERE y.undone = o.n AND z.state = 'applied')";

impl Store {
    /// What undoing took back at a target for a job, as far as it withholds it, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn taken_back(&self, job: &str, target_identity: &str) -> Result<Vec<TakenBack>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT o.id, o.run, coalesce(a.reviewer, r.starter), o.object, x.contents, v.ground
                 FROM reverts x JOIN orders o ON o.n = x.\"order\" JOIN orders v ON v.n = x.undone JOIN syncs s ON s.n = o.sync
                   JOIN targets t ON t.n = o.target JOIN runs r ON r.id = o.run
                   LEFT JOIN approvals a ON a.run = o.run AND a.number = o.approved_by
                 WHERE x.withholds AND x.contents <> '' AND o.state = 'applied' AND o.lapsed IS NULL AND s.job = ?1
                   AND t.identity = ?2 AND NOT {IS_UNDONE}
                 ORDER BY o.n"
            ))?;
            let found = statement.query_map(params![job, target_identity], |row| {
                let contents: String = row.get(4)?;
                Ok(TakenBack {
                    by: Reversal {
                        order: OrderId(row.get(0)?),
                        run: RunId(row.get(1)?),
                        who: row.get(2)?,
                        ground: row.get(5)?,
                    },
                    object: ObjectKey(row.get(3)?),
                    contents: contents.split(' ').map(|content| Fingerprint(content.to_owned())).collect(),
                })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }
}

/// Finds what undid a content, for one job and target. Most databases hold nothing of the kind: they are asked once.
pub(super) struct Reversals<'a> {
    job: &'a str,
    identity: &'a str,
    are_any: bool,
}

impl<'a> Reversals<'a> {
    pub(super) fn of(db: &Connection, job: &'a str, identity: &'a str) -> Result<Self, Fault> {
        let are_any = db.query_row("SELECT EXISTS (SELECT 1 FROM reverts)", [], |row| row.get(0))?;
        Ok(Self { job, identity, are_any })
    }

    /// The newest applied order that undid what was planned with this content, or that an order of this content would
    /// undo; none where the content was raised again since by a plan that was asked to, or is in effect again.
    pub(super) fn find(&self, db: &Connection, fingerprint: &Fingerprint) -> Result<Option<Reversal>, Fault> {
        if !self.are_any {
            return Ok(None);
        }
        let mut statement = db.prepare_cached(&format!(
            "SELECT o.id, o.run, coalesce(a.reviewer, r.starter), v.ground
             FROM orders o JOIN reverts x ON x.\"order\" = o.n JOIN orders v ON v.n = x.undone JOIN syncs s ON s.n = o.sync
               JOIN targets t ON t.n = o.target JOIN runs r ON r.id = o.run
               LEFT JOIN approvals a ON a.run = o.run AND a.number = o.approved_by
             WHERE o.n IN (SELECT \"order\" FROM reverts WHERE counter = ?1
                 UNION SELECT y.\"order\" FROM reverts y JOIN orders u ON u.n = y.undone WHERE u.fingerprint = ?1)
               AND x.withholds AND o.state = 'applied' AND o.lapsed IS NULL AND s.job = ?2 AND t.identity = ?3
               AND NOT {IS_UNDONE}
               AND NOT EXISTS (SELECT 1 FROM orders f WHERE f.id > 'o-' || ?1 || '-' AND f.id < 'o-' || ?1 || '.' AND f.n > o.n
                 AND (f.state = 'applied' OR f.n NOT IN (SELECT \"order\" FROM reverts)))
             ORDER BY o.n DESC LIMIT 1"
        ))?;
        let found = statement.query_row(params![fingerprint.0, self.job, self.identity], |row| {
            let (order, run) = (OrderId(row.get(0)?), RunId(row.get(1)?));
            Ok(Reversal { order, run, who: row.get(2)?, ground: row.get(3)? })
        });
        Ok(found.optional()?)
    }
}
