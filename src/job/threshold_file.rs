//! Thresholds as a job file has them; see [`super::file`].

use schemars::JsonSchema;
use serde::Deserialize;

/// Provisioning thresholds. What is left out keeps its default; only "off" removes a limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderThresholdsFile {
    /// Objects to make.
    pub(super) create: Option<LimitsFile>,
    /// Objects to change.
    pub(super) update: Option<LimitsFile>,
    /// Objects whose source row goes by another key.
    pub(super) rename: Option<LimitsFile>,
    /// Objects to take out of use.
    pub(super) disable: Option<LimitsFile>,
    /// Objects to remove.
    pub(super) delete: Option<LimitsFile>,
    /// Association rows to add.
    pub(super) add: Option<LimitsFile>,
    /// Association rows to remove.
    pub(super) remove: Option<LimitsFile>,
}

/// Provisioning thresholds of a part of a sync's objects, besides those of all of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopedThresholdFile {
    /// Stands in the thresholds' names: `vault.users/admins/disable/count`.
    #[schemars(required, extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub(super) name: Option<String>,
    /// A condition on source rows; in an association, on what its ends are called.
    #[schemars(required)]
    pub(super) scope: Option<String>,
    /// The same condition on the target's rows, for objects whose source row is gone. Default the scope itself, on the
    /// attributes that are mapped from a column as it is.
    pub(super) target: Option<String>,
    /// Objects to make.
    pub(super) create: Option<LimitsFile>,
    /// Objects to change.
    pub(super) update: Option<LimitsFile>,
    /// Objects whose source row goes by another key.
    pub(super) rename: Option<LimitsFile>,
    /// Objects to take out of use.
    pub(super) disable: Option<LimitsFile>,
    /// Objects to remove.
    pub(super) delete: Option<LimitsFile>,
    /// Association rows to add.
    pub(super) add: Option<LimitsFile>,
    /// Association rows to remove.
    pub(super) remove: Option<LimitsFile>,
}

/// Synchronization thresholds. What is left out keeps its default; only "off" removes a limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotThresholdsFile {
    /// Rows that the baseline does not have.
    pub(super) inserted: Option<LimitsFile>,
    /// Rows that differ from the baseline's.
    pub(super) updated: Option<LimitsFile>,
    /// Rows of the baseline that are gone.
    pub(super) deleted: Option<LimitsFile>,
}

/// "off", a limit, or limits over several times.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum LimitsFile {
    Off(OffWord),
    One(LimitParts),
    Many(Vec<LimitParts>),
}

impl LimitsFile {
    /// The limits; none where it is off.
    pub(super) fn parts(&self) -> &[LimitParts] {
        match self {
            Self::Off(_) => &[],
            Self::One(parts) => std::slice::from_ref(parts),
            Self::Many(parts) => parts,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OffWord {
    Off,
}

/// Exceeded means strictly more than the count or than the percent, whichever comes first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitParts {
    /// The largest number.
    pub(super) count: Option<u64>,
    /// The largest share of the size before, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub(super) percent: Option<f64>,
    /// The percent applies where the size before is at least this. Default 50.
    pub(super) floor: Option<u64>,
    /// Counted over this time: `24h`, `7d`. Default `run`: what one run finds live. A limit over a time stands besides
    /// that of a run, and has no default.
    pub(super) window: Option<String>,
    /// Other limits for small sizes, the smallest first. What a tier leaves out is as in the limit.
    pub(super) tiers: Option<Vec<TierFile>>,
}

/// A limit for small sizes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TierFile {
    /// It holds up to this size.
    #[schemars(required)]
    pub(super) up_to: Option<u64>,
    /// The largest number.
    pub(super) count: Option<u64>,
    /// The largest share of the size before, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub(super) percent: Option<f64>,
}

/// Each limit with its key.
pub(super) type Named<'a> = Vec<(&'static str, &'a LimitsFile)>;

fn present<'a, const N: usize>(all: [(&'static str, &'a Option<LimitsFile>); N]) -> Named<'a> {
    all.into_iter().filter_map(|(key, limits)| Some((key, limits.as_ref()?))).collect()
}

impl OrderThresholdsFile {
    pub(super) fn present(&self) -> Named<'_> {
        let Self { create, update, rename, disable, delete, add, remove } = self;
        present([
            ("create", create),
            ("update", update),
            ("rename", rename),
            ("disable", disable),
            ("delete", delete),
            ("add", add),
            ("remove", remove),
        ])
    }
}

impl ScopedThresholdFile {
    pub(super) fn present(&self) -> Named<'_> {
        let Self { create, update, rename, disable, delete, add, remove, name: _, scope: _, target: _ } = self;
        present([
            ("create", create),
            ("update", update),
            ("rename", rename),
            ("disable", disable),
            ("delete", delete),
            ("add", add),
            ("remove", remove),
        ])
    }
}

impl SnapshotThresholdsFile {
    pub(super) fn present(&self) -> Named<'_> {
        let Self { inserted, updated, deleted } = self;
        present([("inserted", inserted), ("updated", updated), ("deleted", deleted)])
    }
}

/// The limits of one key.
pub(super) fn of<'a>(named: &Named<'a>, key: &str) -> Option<&'a LimitsFile> {
    named.iter().find(|(known, _)| *known == key).map(|(_, limits)| *limits)
}
