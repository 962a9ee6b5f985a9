//! The tables, and the steps from one format of the database to the next.

/// Marks the file as a database of muster: `mstr`.
pub(super) const APPLICATION_ID: i64 = 0x6d73_7472;

/// Each step brings the database from the format of its position to the next one. Steps that were released never
/// change; a new format is a new step.
pub(super) const STEPS: &[&str] = &[
    FIRST,
    REVIEW_TERMS,
    EXCESSES,
    MOVEMENTS,
    GRACE_AND_RENAMES,
    REVERTS,
    LIVE_BY_EQUALITY,
    LAPSES,
    GROUNDS,
    TAKEN_BACK,
    BEGUN,
    LINKED,
    ERASURES,
];

const FIRST: &str = "
CREATE TABLE runs (
  id TEXT PRIMARY KEY, job TEXT NOT NULL, job_digest TEXT NOT NULL, mode TEXT NOT NULL, started TEXT NOT NULL,
  ended TEXT, state TEXT NOT NULL, plan_digest TEXT, starter TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
  exit INTEGER
) WITHOUT ROWID;
CREATE INDEX runs_of_job ON runs (job, id);

CREATE TABLE jobs (job TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE holds (
  run TEXT NOT NULL REFERENCES runs (id), name TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,
  figure TEXT NOT NULL, first TEXT NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE acceptances (
  n INTEGER PRIMARY KEY, job TEXT NOT NULL, run TEXT NOT NULL REFERENCES runs (id), name TEXT NOT NULL,
  kind TEXT NOT NULL, figure TEXT NOT NULL, reviewer TEXT NOT NULL, comment TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX acceptances_of_job ON acceptances (job, name);
CREATE INDEX acceptances_of_run ON acceptances (run, name);

CREATE TABLE baselines (
  job TEXT NOT NULL, resource TEXT NOT NULL, run TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
  rows INTEGER NOT NULL, columns TEXT NOT NULL, key TEXT NOT NULL, cursor TEXT, mode TEXT NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (job, resource)
) WITHOUT ROWID;
CREATE TABLE exports (
  job TEXT NOT NULL, system TEXT NOT NULL, failed TEXT, why TEXT, succeeded TEXT, complete TEXT,
  PRIMARY KEY (job, system)
) WITHOUT ROWID;

CREATE TABLE syncs (n INTEGER PRIMARY KEY, job TEXT NOT NULL, sync_id TEXT NOT NULL, UNIQUE (job, sync_id));
CREATE TABLE targets (n INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);

CREATE TABLE orders (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, raised INTEGER NOT NULL,
  run TEXT NOT NULL REFERENCES runs (id), sync INTEGER NOT NULL REFERENCES syncs (n), seq INTEGER NOT NULL,
  resource TEXT NOT NULL, target INTEGER NOT NULL REFERENCES targets (n), object TEXT NOT NULL, key TEXT NOT NULL,
  operation TEXT NOT NULL, state TEXT NOT NULL, block_reason TEXT, block_detail TEXT, waits_for INTEGER,
  link_source TEXT, link_target TEXT, approved_by INTEGER, approval_expires TEXT,
  handed_over INTEGER NOT NULL DEFAULT 0, updated TEXT NOT NULL
);
CREATE UNIQUE INDEX one_live_order ON orders (target, object)
  WHERE state IN ('pending-review', 'blocked', 'approved', 'in-flight', 'errored', 'uncertain');
CREATE INDEX orders_by_fingerprint ON orders (fingerprint, raised);
CREATE INDEX orders_of_run ON orders (run, seq);
CREATE INDEX live_orders ON orders (sync, state)
  WHERE state IN ('pending-review', 'blocked', 'approved', 'in-flight', 'errored', 'uncertain');
CREATE TABLE needs (
  needed INTEGER NOT NULL, needing INTEGER NOT NULL, PRIMARY KEY (needed, needing)
) WITHOUT ROWID;
CREATE INDEX needs_of ON needs (needing);

CREATE TABLE approvals (
  run TEXT NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, sha256 TEXT NOT NULL,
  decisions_digest TEXT NOT NULL, reviewer TEXT NOT NULL, at TEXT NOT NULL, expires TEXT NOT NULL,
  comment TEXT NOT NULL, PRIMARY KEY (run, number)
) WITHOUT ROWID;

CREATE TABLE attempts (
  n INTEGER PRIMARY KEY, \"order\" INTEGER NOT NULL REFERENCES orders (n), approval INTEGER, begun TEXT NOT NULL,
  ended TEXT, state TEXT, class TEXT, status INTEGER, message TEXT, remedy TEXT, request_id TEXT, tries INTEGER,
  outcome TEXT
);
CREATE INDEX attempts_of_order ON attempts (\"order\", n);

CREATE TABLE attribute_sets (n INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE links (
  sync INTEGER NOT NULL, source_key TEXT NOT NULL, target_id TEXT NOT NULL, how INTEGER NOT NULL,
  attributes INTEGER, agreed BLOB, PRIMARY KEY (sync, source_key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX links_by_target ON links (sync, target_id);
CREATE TABLE managed_rows (
  sync INTEGER NOT NULL, ends TEXT NOT NULL, PRIMARY KEY (sync, ends)
) WITHOUT ROWID;

CREATE TABLE log (
  seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, run TEXT, orders TEXT NOT NULL, who TEXT NOT NULL,
  error INTEGER NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL
);
CREATE TABLE log_orders (\"order\" INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (\"order\", seq)) WITHOUT ROWID;
CREATE TABLE log_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL);
INSERT INTO log_head VALUES (1, 0, zeroblob(32));
";

/// What the review of a run takes, as JSON; none for runs that are older than such terms.
const REVIEW_TERMS: &str = "ALTER TABLE runs ADD COLUMN review TEXT;";

/// The threshold that tripped, as JSON, with what its rows or orders have in common.
const EXCESSES: &str = "ALTER TABLE holds ADD COLUMN excess TEXT;";

/// The scoped thresholds that count an order, by name, with blanks between them; and how far each snapshot was from the
/// baseline of its time.
const MOVEMENTS: &str = "
ALTER TABLE orders ADD COLUMN thresholds TEXT NOT NULL DEFAULT '';
CREATE TABLE movements (
  job TEXT NOT NULL, resource TEXT NOT NULL, at TEXT NOT NULL, run TEXT NOT NULL, rows INTEGER NOT NULL,
  inserted INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL, accepted TEXT,
  PRIMARY KEY (job, resource, at)
) WITHOUT ROWID;
";

/// How far the grace before a delete has come, in seconds (of time where it is an instant); the keys that a linked row had
/// before, as JSON; and the key from which an order moves a link.
const GRACE_AND_RENAMES: &str = "
ALTER TABLE links ADD COLUMN grace_since INTEGER;
ALTER TABLE links ADD COLUMN grace_counted INTEGER;
ALTER TABLE links ADD COLUMN grace_seen INTEGER;
ALTER TABLE links ADD COLUMN grace_latest INTEGER;
ALTER TABLE links ADD COLUMN former TEXT;
ALTER TABLE orders ADD COLUMN link_from TEXT;
";

/// Orders that undo applied ones: the content that would undo them in turn, and whether, once applied, they keep what
/// they undid from being raised again. One that undoes such an order does not. And what an order's object is called, by
/// which people look for it in the log.
const REVERTS: &str = "
CREATE TABLE reverts (
  \"order\" INTEGER PRIMARY KEY REFERENCES orders (n), undone INTEGER NOT NULL REFERENCES orders (n),
  counter TEXT NOT NULL, withholds INTEGER NOT NULL
);
CREATE INDEX reverts_of ON reverts (undone);
CREATE INDEX reverts_by_counter ON reverts (counter);
ALTER TABLE orders ADD COLUMN name TEXT NOT NULL DEFAULT '';
";

/// The indexes of live orders anew, which repeat the live states of `OrderState::is_live`; a test holds them together.
/// SQLite makes a table of every `IN (…)` whenever a statement may change such an index, which takes longer than all
/// else that it does for an order. Which orders have one fingerprint, their ids tell.
const LIVE_BY_EQUALITY: &str = "
DROP INDEX orders_by_fingerprint;
DROP INDEX one_live_order;
DROP INDEX live_orders;
CREATE UNIQUE INDEX one_live_order ON orders (target, object) WHERE (state = 'pending-review' OR state = 'blocked'
  OR state = 'approved' OR state = 'in-flight' OR state = 'errored' OR state = 'uncertain');
CREATE INDEX live_orders ON orders (sync, state) WHERE (state = 'pending-review' OR state = 'blocked'
  OR state = 'approved' OR state = 'in-flight' OR state = 'errored' OR state = 'uncertain');
";

/// When an order that was rejected, handed over, or undid another ceased to withhold what it was about: a run found that
/// this is not wanted any more. Those that never did are looked up job by job.
const LAPSES: &str = "
ALTER TABLE orders ADD COLUMN lapsed TEXT;
CREATE INDEX rejected_orders ON orders (sync) WHERE state = 'rejected' AND lapsed IS NULL;
CREATE INDEX handed_over_orders ON orders (sync) WHERE handed_over = 1 AND lapsed IS NULL;
";

/// On which ground an order is wanted, as far as its content does not tell; none of orders from before, whose rejections
/// hold whatever the same is wanted for.
const GROUNDS: &str = "ALTER TABLE orders ADD COLUMN ground TEXT;";

/// What an order takes back that undoes another: the contents of the single changes, with blanks between them. Empty for
/// those that are older than this.
const TAKEN_BACK: &str = "ALTER TABLE reverts ADD COLUMN contents TEXT NOT NULL DEFAULT '';";

/// When a run began, by the log: the number of its first entry. No clock that leaps changes which run is the newest.
const BEGUN: &str = "
ALTER TABLE runs ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET begun = opening.seq
  FROM (SELECT run, min(seq) AS seq FROM log WHERE kind = 'run-started' GROUP BY run) AS opening
  WHERE opening.run = runs.id;
DROP INDEX runs_of_job;
CREATE INDEX runs_of_job ON runs (job, begun);
";

/// Whether approving an order linked its pair, or moved its link: a rejection takes that back.
const LINKED: &str = "ALTER TABLE orders ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;";

/// Orders whose personal data was erased; when the history of a run was forgotten, because its time was over; files of plans and approvals that an erasure rewrote, by the SHA-256 that they
/// have since; and erasures that are not finished yet, one a job: whom each is about, as JSON, or nothing where only the
/// database's own leavings are still to be swept.
const ERASURES: &str = "
ALTER TABLE orders ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN forgotten TEXT;
CREATE TABLE erased_files (
  run TEXT NOT NULL REFERENCES runs (id), file TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (run, file)
) WITHOUT ROWID;
CREATE TABLE erasures (job TEXT PRIMARY KEY, name TEXT NOT NULL, erasure TEXT) WITHOUT ROWID;
";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rusqlite::Connection;

    use crate::model::order::OrderState;

    #[test]
    fn the_index_of_live_orders_names_the_live_states() {
        let live: Vec<&str> = OrderState::ALL.iter().filter(|s| s.is_live()).map(|s| s.word()).collect();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let clause = |state: &str| {
            let states: Vec<String> = live.iter().map(|word| format!("{state} = '{word}'")).collect();
            format!("({})", states.join(" OR "))
        };
        assert_eq!(words(super::LIVE_BY_EQUALITY).matches(&format!("WHERE {}", clause("state"))).count(), 2);
        assert_eq!(words(crate::store::orders::LIVE), clause("o.state"));
    }

    #[test]
    fn live_orders_are_looked_up() {
        let db = Connection::open_in_memory().unwrap();
        super::STEPS.iter().for_each(|step| db.execute_batch(step).unwrap());
        let live = crate::store::orders::LIVE;
        for (condition, index) in [
            ("o.target = 1 AND o.object = 'x'", "one_live_order (target=? AND object=?)"),
            ("o.sync = 1", "live_orders (sync=?"),
        ] {
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM orders o WHERE {condition} AND {live}");
            let how: String = db.query_row(&sql, [], |row| row.get("detail")).unwrap();
            assert!(how.contains(index), "{how}");
        }
        use crate::store::lapses::{HANDED_OVER, REJECTED};
        for (condition, index) in [(REJECTED, "rejected_orders (sync=?)"), (HANDED_OVER, "handed_over_orders (sync=?)")]
        {
            let sql = "EXPLAIN QUERY PLAN SELECT * FROM orders o JOIN syncs s ON s.n = o.sync WHERE s.job = ? AND o.lapsed IS NULL";
            let mut statement = db.prepare(&format!("{sql} AND {condition}")).unwrap();
            let how = statement.query_map(["x"], |row| row.get("detail")).unwrap();
            let how: Vec<String> = how.map(Result::unwrap).collect();
            assert!(how.iter().any(|step| step.contains(index)), "{how:?}");
        }
    }
}
