//! Orders that need another one first: association rows whose end is yet to be created, objects that refer to such ones.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain::{Chain, Entry};
use super::error::Fault;
use super::orders::{LIVE, orders_where, step};
use crate::model::order::{Block, BlockReason, OrderId, OrderState};

/// The states in which a needed order will not come, as things stand.
const DEAD: &str = "('rejected', 'blocked', 'errored', 'superseded', 'stale')";

/// The row numbers of the orders that need these.
pub(super) fn needing(tx: &Connection, needed: &[i64]) -> Result<Vec<i64>, Fault> {
    let mut statement = tx.prepare_cached("SELECT needing FROM needs WHERE needed = ? ORDER BY needing")?;
    let mut found = Vec::new();
    for n in needed {
        for row in statement.query_map([n], |row| row.get(0))? {
            found.push(row?);
        }
    }
    Ok(found)
}

/// Blocks those of the candidates that wait or are approved and need an order that will not come, and then what
/// needs them. What was blocked, with a sentence why.
pub(super) fn block_needing(
    tx: &Connection,
    log: &mut Chain,
    mut candidates: Vec<i64>,
    at: DateTime<Utc>,
) -> Result<Vec<(OrderId, String)>, Fault> {
    let sql = format!(
        "SELECT c.n, c.id, c.state, c.key, c.operation FROM needs d JOIN orders c ON c.n = d.needed
         WHERE d.needing = ? AND c.state IN {DEAD} ORDER BY c.n LIMIT 1"
    );
    let mut blocked = Vec::new();
    while let Some(n) = candidates.pop() {
        let dead = tx.prepare_cached(&sql)?.query_row([n], |row| {
            let (n, id, state, key): (i64, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let detail = match row.get::<_, String>(4)?.as_str() {
                "create" => format!("it needs {key}, and the order that creates it ({id}) is {state}"),
                "delete" => format!("{key} refers to it, and the order that deletes {key} ({id}) is {state}"),
                _ => format!("{key} refers to it, and the order that clears that ({id}) is {state}"),
            };
            Ok((n, detail))
        });
        let Some((needed, detail)) = dead.optional()? else { continue };
        let Some((_, order)) = orders_where(tx, "o.n = ?", &[&n])?.pop() else { continue };
        if !matches!(order.state, OrderState::PendingReview | OrderState::Approved) {
            continue;
        }
        let block = Block { reason: BlockReason::MissingReference, detail: detail.clone() };
        step(tx, n, &order, OrderState::Blocked, Some(&block), at)?;
        tx.prepare_cached("UPDATE orders SET waits_for = ? WHERE n = ?")?.execute([needed, n])?;
        let entry = Entry::new(at, "order-blocked", Some(&order.run), serde_json::json!({ "block": block }));
        log.append_orders(tx, &entry, &[(n, order.id.clone())])?;
        blocked.push((order.id, detail));
        candidates.extend(needing(tx, &[n])?);
    }
    blocked.sort();
    Ok(blocked)
}

/// Lets go those of the candidates that [`block_needing`] blocked and whose needed orders may all come now, and then
/// what needs them: back to approved where the approval still holds, else to review.
pub(super) fn free_needing(
    tx: &Connection,
    log: &mut Chain,
    mut candidates: Vec<i64>,
    at: DateTime<Utc>,
) -> Result<Vec<OrderId>, Fault> {
    let condition = format!(
        "o.n = ? AND o.state = 'blocked' AND o.waits_for IS NOT NULL AND NOT EXISTS (
         SELECT 1 FROM needs d JOIN orders c ON c.n = d.needed WHERE d.needing = o.n AND c.state IN {DEAD})"
    );
    let mut freed = Vec::new();
    while let Some(n) = candidates.pop() {
        let Some((_, order)) = orders_where(tx, &condition, &[&n])?.pop() else { continue };
        let lasts = order.approved_by.is_some() && order.approval_expires.is_some_and(|expires| expires > at);
        let to = if lasts { OrderState::Approved } else { OrderState::PendingReview };
        step(tx, n, &order, to, None, at)?;
        let entry = Entry::new(at, "order-unblocked", Some(&order.run), serde_json::json!({ "to": to }));
        log.append_orders(tx, &entry, &[(n, order.id.clone())])?;
        freed.push(order.id);
        candidates.extend(needing(tx, &[n])?);
    }
    freed.sort();
    Ok(freed)
}

/// Where an order was replaced by another one for the same object, what needed the first needs the second.
pub(super) fn inherit_needs(tx: &Connection, superseded: i64) -> Result<(), Fault> {
    let heir = tx
        .prepare_cached(&format!(
            "SELECT o.n FROM orders s JOIN orders o ON o.target = s.target AND o.object = s.object
                 WHERE s.n = ? AND {LIVE}
                   AND (o.operation = 'create' OR o.operation = 'delete' AND s.operation = 'delete')"
        ))?
        .query_row([superseded], |row| row.get::<_, i64>(0))
        .optional()?;
    if let Some(heir) = heir {
        tx.prepare_cached("UPDATE OR IGNORE needs SET needed = ? WHERE needed = ?")?
            .execute(params![heir, superseded])?;
    }
    Ok(())
}
