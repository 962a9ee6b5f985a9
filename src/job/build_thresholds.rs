//! Thresholds of a checked file.

use std::collections::BTreeSet;
use std::time::Duration;

use super::file::SyncFile;
use super::threshold_file::{LimitParts, LimitsFile, Named, ScopedThresholdFile, SnapshotThresholdsFile, of};
use super::timer;
use crate::model::threshold::{Limit, Threshold, Tier, Window};
use crate::reconcile::policy::{OrderThresholds, ScopedThresholds};
use crate::reconcile::threshold::SnapshotThresholds;
use crate::rules::scope::Scope;

/// What nothing is limited by, where a limit has no default.
const NONE: Limit = Limit { count: None, percent: None, floor: Limit::FLOOR };

/// The thresholds of a sync's orders: of rows in an association, else of objects.
pub(super) fn of_orders(sync: &SyncFile) -> Result<OrderThresholds, String> {
    let all = OrderThresholds::default();
    let default = match sync.is_association() {
        true => OrderThresholds { add: all.add, remove: all.remove, ..OrderThresholds::OFF },
        false => OrderThresholds { add: Vec::new(), remove: Vec::new(), ..all },
    };
    orders(&sync.thresholds.present(), default, Alone::Counts)
}

/// Those of parts of them.
pub(super) fn scoped(typed: &[ScopedThresholdFile]) -> Result<Vec<ScopedThresholds>, String> {
    typed.iter().map(one_scoped).collect()
}

fn one_scoped(typed: &ScopedThresholdFile) -> Result<ScopedThresholds, String> {
    let compile = |text: &str| {
        Scope::compile(&[text.to_owned()])
            .map_err(|problems| problems.first().map_or_else(String::new, ToString::to_string))
    };
    Ok(ScopedThresholds {
        name: typed.name.clone().unwrap_or_default(),
        scope: compile(typed.scope.as_deref().unwrap_or_default())?,
        target: typed.target.as_deref().map(compile).transpose()?,
        thresholds: orders(&typed.present(), OrderThresholds::OFF, Alone::Nothing)?,
    })
}

/// Whether disables and deletes together are limited where only one of them is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alone {
    Counts,
    Nothing,
}

fn orders(typed: &Named<'_>, default: OrderThresholds, alone: Alone) -> Result<OrderThresholds, String> {
    let disable = thresholds(of(typed, "disable"), &default.disable)?;
    let delete = thresholds(of(typed, "delete"), &default.delete)?;
    let update = thresholds(of(typed, "update"), &default.update)?;
    Ok(OrderThresholds {
        create: thresholds(of(typed, "create"), &default.create)?,
        // A rename is an update: counted by itself, and limited as updates are unless it has limits of its own.
        rename: thresholds(of(typed, "rename"), &update)?,
        update,
        add: thresholds(of(typed, "add"), &default.add)?,
        remove: thresholds(of(typed, "remove"), &default.remove)?,
        removal_sum: sums(&disable, &delete, alone),
        disable,
        delete,
    })
}

/// The thresholds of a snapshot. `over` is the time over which each of them counts besides.
pub(super) fn of_snapshot(typed: &SnapshotThresholdsFile, over: Option<&str>) -> Result<SnapshotThresholds, String> {
    let typed = typed.present();
    let default = SnapshotThresholds::default();
    let over = over.map(window).transpose()?.flatten();
    let build = |key, default: &[Threshold]| -> Result<Vec<Threshold>, String> {
        let mut found = thresholds(of(&typed, key), default)?;
        let of_run = found.iter().find(|threshold| threshold.window.is_none()).cloned();
        if let (Some(of_run), Some(over)) = (of_run, over)
            && found.iter().all(|threshold| threshold.window != Some(over))
        {
            found.push(Threshold { window: Some(over), ..of_run });
            found.sort_by_key(|threshold| threshold.window);
        }
        Ok(found)
    };
    Ok(SnapshotThresholds {
        inserted: build("inserted", &default.inserted)?,
        updated: build("updated", &default.updated)?,
        deleted: build("deleted", &default.deleted)?,
    })
}

/// The longest time that anything is counted over: a leap year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The time of a `window`; `None` for `run`.
pub(super) fn window(text: &str) -> Result<Option<Window>, String> {
    if text == "run" {
        return Ok(None);
    }
    match timer::duration(text)? {
        time if time > LONGEST => Err(format!("`{text}` is longer than a year; the longest window is 366d")),
        time => Ok(Some(Window(time))),
    }
}

/// What a limit of a run leaves out keeps its default; only `off` removes one. A limit over a time has no default.
fn thresholds(typed: Option<&LimitsFile>, default: &[Threshold]) -> Result<Vec<Threshold>, String> {
    let Some(typed) = typed else { return Ok(default.to_vec()) };
    if let LimitsFile::Off(_) = typed {
        return Ok(Vec::new());
    }
    let of_run = default.iter().find(|threshold| threshold.window.is_none());
    let mut found: Vec<Threshold> = Vec::new();
    for parts in typed.parts() {
        let window = parts.window.as_deref().map(window).transpose()?.flatten();
        let inherited = of_run.filter(|_| window.is_none()).map_or(NONE, |threshold| threshold.limit);
        found.push(threshold(parts, window, inherited));
    }
    if found.iter().all(|threshold| threshold.window.is_some()) {
        found.extend(of_run.cloned());
    }
    found.sort_by_key(|threshold| threshold.window);
    Ok(found)
}

fn threshold(parts: &LimitParts, window: Option<Window>, inherited: Limit) -> Threshold {
    let limit = Limit {
        count: parts.count.or(inherited.count),
        percent: parts.percent.or(inherited.percent),
        floor: parts.floor.unwrap_or(inherited.floor),
    };
    let tier = |tier: &super::threshold_file::TierFile| Tier {
        up_to: tier.up_to.unwrap_or_default(),
        limit: Limit { count: tier.count.or(limit.count), percent: tier.percent.or(limit.percent), ..limit },
    };
    Threshold { window, limit, tiers: parts.tiers.iter().flatten().map(tier).collect() }
}

/// The limits of disables and deletes together. Over a time, and in a part, only where both are limited; else one that
/// is off does not count, unless both are.
fn sums(disable: &[Threshold], delete: &[Threshold], alone: Alone) -> Vec<Threshold> {
    let find = |of: &[Threshold], window| of.iter().find(|threshold| threshold.window == window).cloned();
    let windows: BTreeSet<Option<Window>> = disable.iter().chain(delete).map(|threshold| threshold.window).collect();
    let sum = |window: Option<Window>| match (find(disable, window), find(delete, window)) {
        (Some(disable), Some(delete)) => Some(sum(&disable, &delete)),
        (one, other) => one.or(other).filter(|_| window.is_none() && alone == Alone::Counts),
    };
    windows.into_iter().filter_map(sum).collect()
}

fn sum(left: &Threshold, right: &Threshold) -> Threshold {
    let sizes: BTreeSet<u64> = left.tiers.iter().chain(&right.tiers).map(|tier| tier.up_to).collect();
    Threshold {
        window: left.window,
        limit: looser(left.limit, right.limit),
        tiers: sizes.into_iter().map(|up_to| Tier { up_to, limit: looser(left.at(up_to), right.at(up_to)) }).collect(),
    }
}

/// The looser of two limits, part by part, so that the sum never trips where one operation alone stays inside a limit
/// that the job set.
fn looser(left: Limit, right: Limit) -> Limit {
    let percent = match (left.percent, right.percent) {
        (Some(left), Some(right)) => Some(left.max(right)),
        (one, other) => one.or(other),
    };
    Limit { count: left.count.max(right.count), percent, floor: left.floor.min(right.floor) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Named<'static> {
        let table: toml::Table = text.parse().unwrap();
        let typed = table.into_iter().map(|(key, value)| {
            let limits: LimitsFile = value.try_into().unwrap();
            (&*key.leak(), &*Box::leak(Box::new(limits)))
        });
        typed.collect()
    }

    #[test]
    fn a_limit_over_a_time_stands_besides_the_default_of_a_run() {
        let built =
            orders(&limits("disable = { count = 60, window = '7d' }"), OrderThresholds::default(), Alone::Counts)
                .unwrap();
        let told: Vec<_> = built.disable.iter().map(|t| (t.suffix(), t.limit.count, t.limit.percent)).collect();
        assert_eq!(told, [(String::new(), Some(25), Some(5.0)), ("/7d".to_owned(), Some(60), None)]);
        assert_eq!(built.removal_sum.len(), 1, "no sum over a time that limits one of them alone");
        let both = "disable = [{ count = 10 }, { count = 60, window = '7d' }]\ndelete = [{ count = 7, window = '7d' }]";
        let built = orders(&limits(both), OrderThresholds::default(), Alone::Counts).unwrap();
        let told: Vec<_> = built.removal_sum.iter().map(|t| (t.suffix(), t.limit.count)).collect();
        assert_eq!(told, [(String::new(), Some(25)), ("/7d".to_owned(), Some(60))]);
    }

    #[test]
    fn the_sum_has_the_tiers_of_both() {
        let text = "disable = { percent = 1, tiers = [{ up_to = 100, percent = 10 }] }
            delete = { percent = 2, tiers = [{ up_to = 500, percent = 4 }] }";
        let sum = &orders(&limits(text), OrderThresholds::default(), Alone::Counts).unwrap().removal_sum[0];
        let at = [50, 100, 101, 500, 501].map(|size| sum.at(size).percent);
        assert_eq!(at, [Some(10.0), Some(10.0), Some(4.0), Some(4.0), Some(2.0)]);
    }

    #[test]
    fn the_window_of_a_snapshot_is_that_of_each_of_its_limits() {
        let typed = SnapshotThresholdsFile {
            updated: Some(LimitsFile::Off(super::super::threshold_file::OffWord::Off)),
            ..SnapshotThresholdsFile::default()
        };
        let built = of_snapshot(&typed, Some("7d")).unwrap();
        assert!(built.updated.is_empty());
        let told: Vec<_> = built.deleted.iter().map(|t| (t.suffix(), t.limit.count)).collect();
        assert_eq!(told, [(String::new(), Some(100)), ("/7d".to_owned(), Some(100))]);
    }
}
