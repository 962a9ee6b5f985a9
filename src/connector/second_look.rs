//! Whether one look at a list is enough. A list that moves while it is read page by page is normal: rows slip from one
//! page to the next, or between two of them. Before anybody is told, it is read a second time.

use crate::model::evidence::{Evidence, FirstLook};
use crate::model::numbers::{count, counted};

/// Why the evidence of a walk does not say that it saw everything, in a clause; `None` where it does.
pub(super) fn doubt(seen: &Evidence) -> Option<String> {
    if let (Some(start), Some(end)) = (seen.total_start, seen.total_end)
        && start != end
    {
        return Some(format!("the server's own total moved from {} to {}", count(start), count(end)));
    }
    if let Some(why) = moved(seen) {
        return Some(why);
    }
    let total = seen.total_end.or(seen.total_start).filter(|total| *total != seen.rows_received)?;
    Some(format!("{} of the server's own total of {} came", counted(seen.rows_received, "row"), count(total)))
}

/// Why its pages do not fit together, in a clause.
pub(super) fn moved(seen: &Evidence) -> Option<String> {
    if seen.shifted_rows > 0 {
        return Some(format!("{} came on two pages", counted(seen.shifted_rows, "row")));
    }
    (!seen.anomalies.is_empty()).then(|| "a page came again in another's place".to_owned())
}

/// What is kept of a look that was not enough.
pub(super) fn first_look(why: String, seen: Evidence) -> FirstLook {
    FirstLook {
        why,
        pages_asked: seen.pages_asked,
        pages_received: seen.pages_received,
        rows_received: seen.rows_received,
        total_start: seen.total_start,
        total_end: seen.total_end,
        statuses: seen.statuses,
        shifted_rows: seen.shifted_rows,
        anomalies: seen.anomalies,
    }
}
