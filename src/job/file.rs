//! A job file as typed. Its JSON Schema is made of these types, and the reader checks a file against that schema, so
//! that what an editor completes and what the reader accepts cannot drift apart.
//!
//! Keys that must be there are optional here and `required` in the schema: a file with a mistake is still read as far
//! as it goes, so that every other mistake shows at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::derived_file::{ClassFile, GroupsFile, JoinFile, RuleFile, ValueTableFile};
use super::operation_file::{ReportFile, RetentionFile, ScheduleFile};
use super::threshold_file::{OffWord, OrderThresholdsFile, ScopedThresholdFile, SnapshotThresholdsFile};
use crate::connector::config::SystemConfig;

/// A muster job: systems, and what flows between them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "muster job file", inline)]
pub(super) struct JobFile {
    /// The job's name: lower-case letters, digits, `-` and `_`. It names the job's folders and its history.
    #[schemars(required, extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub(super) name: Option<String>,
    /// The systems by name.
    #[schemars(required, with = "BTreeMap<String, SystemConfig>")]
    pub(super) systems: Option<BTreeMap<String, Value>>,
    /// What flows, in order.
    #[schemars(required)]
    pub(super) sync: Option<Vec<SyncFile>>,
    /// What is left out on purpose, so that nobody is told of it: resource types of a source that no sync maps
    /// (`hr.badges`), mapped attributes that give no row a value (`vault.users/title`).
    #[serde(default)]
    pub(super) ignore: Vec<String>,
    /// Settings of snapshots, by `system.resource`.
    #[serde(default)]
    pub(super) snapshot: BTreeMap<String, SnapshotFile>,
    /// How snapshots are compared.
    #[serde(default)]
    pub(super) export: ExportFile,
    /// Who decides, and for how long a decision holds.
    #[serde(default)]
    pub(super) review: ReviewFile,
    /// How orders are sent.
    #[serde(default)]
    pub(super) apply: ApplyFile,
    /// When it runs.
    #[serde(default)]
    pub(super) schedule: ScheduleFile,
    /// How long things are kept.
    #[serde(default)]
    pub(super) retention: RetentionFile,
    /// Who is told.
    #[serde(default)]
    pub(super) report: ReportFile,
}

/// One sync: of objects, or, with `ends`, of an association.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SyncFile {
    /// Where the rows come from: `system.resource`.
    #[schemars(required)]
    pub(super) from: Option<String>,
    /// Where they are provisioned: `system.resource`.
    #[schemars(required)]
    pub(super) to: Option<String>,
    /// Conditions on source rows; a row takes part where any of them holds. None at all admits every row.
    #[serde(default)]
    pub(super) scope: Vec<String>,
    /// How a source row finds its target object, the surest rule first.
    #[serde(default, rename = "match")]
    pub(super) matching: Vec<MatchFile>,
    /// What is done about situations that call for a decision.
    #[serde(default)]
    pub(super) on: OnFile,
    /// How an object is recognised whose source row goes by another key. Default { similarity = 0.8 }.
    pub(super) rename: Option<RenameFile>,
    /// Target attributes without which an object is not sent.
    #[serde(default)]
    pub(super) required: Vec<String>,
    /// Target attributes whose value no two objects may share.
    #[serde(default)]
    pub(super) unique: Vec<String>,
    /// Target attributes that a rule without a result clears; the others stay as they are.
    #[serde(default)]
    pub(super) clear: Vec<String>,
    /// Target attribute = rule: a column's name, a quoted constant, or an expression (CEL); or several, of which the
    /// first counts that yields something.
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, RuleFile>,
    /// Target attribute = table of names: roles, organizations, permissions, by conditions on the source row.
    #[serde(default)]
    pub(super) grants: BTreeMap<String, ValueTableFile>,
    /// Where the groups of the source's rows are told.
    pub(super) groups: Option<GroupsFile>,
    /// Groups, of which `groups` tells the members: only these take part. None at all: everybody does.
    #[serde(default)]
    pub(super) assigned: Vec<String>,
    /// What kind of account a source row is, the first rule that holds decides.
    #[serde(default)]
    pub(super) classify: Vec<ClassFile>,
    /// Other sources of the same people, by the name that their columns get. Who there is, `from` says alone.
    #[serde(default)]
    pub(super) join: BTreeMap<String, JoinFile>,
    /// Target attribute = whom its value refers to; it becomes the id of that object.
    #[serde(default)]
    pub(super) references: BTreeMap<String, ReferenceFile>,
    /// Target attribute = how its value is made once for each object, and kept.
    #[serde(default)]
    pub(super) generate: BTreeMap<String, GenerateFile>,
    /// How many orders may be live at once, or applied over a time, by operation.
    #[serde(default)]
    pub(super) thresholds: OrderThresholdsFile,
    /// The same for parts of the objects.
    #[serde(default)]
    pub(super) threshold: Vec<ScopedThresholdFile>,
    /// Makes this an association: end column = [source resource, target resource].
    #[serde(default)]
    pub(super) ends: BTreeMap<String, [String; 2]>,
    /// Attributes that the target does not let change for some of its objects.
    #[serde(default)]
    pub(super) fixed: Vec<FixedFile>,
    /// Association rows that are never all taken away.
    pub(super) keep_one: Option<KeepOneFile>,
    /// Which association rows may be removed.
    pub(super) members: Option<MembersWord>,
    /// What a group in a group means.
    pub(super) nested: Option<NestedWord>,
    /// Where groups in groups are rows of their own at the source: `idp.nestings`, with the columns `parent` and `child`.
    pub(super) nestings: Option<String>,
}

impl SyncFile {
    /// Whether it is of an association, as far as its ends can be read.
    pub(super) fn is_association(&self) -> bool {
        !self.ends.is_empty()
    }

    /// The target attributes that it sets, in whatever way.
    pub(super) fn mapped(&self) -> impl Iterator<Item = &String> {
        self.attributes.keys().chain(self.references.keys()).chain(self.generate.keys()).chain(self.grants.keys())
    }

    /// Whether a target attribute is one of them.
    pub(super) fn maps(&self, attribute: &str) -> bool {
        self.mapped().any(|name| name == attribute)
    }
}

/// How a value is made once for each object: a login.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GenerateFile {
    /// A rule on the source row: it yields the value that is tried first.
    #[schemars(required)]
    pub(super) rule: Option<String>,
    /// What is tried where that is taken, with a number: text with {n}, and {value}, or {local} and {domain} of a value
    /// with an @. Default "{value}{n}".
    #[schemars(extend("examples" = ["{local}{n}@{domain}"]))]
    pub(super) on_collision: Option<String>,
    /// The first number. Default 2.
    #[schemars(range(min = 0, max = 99_999))]
    pub(super) from: Option<u32>,
    /// An object whose value is none that the rule makes any more gets another one. Default false: it keeps its value.
    #[serde(default)]
    pub(super) follow: bool,
}

/// Whom an attribute's value refers to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceFile {
    /// A rule on the source row: it yields the key of the row that is meant.
    #[schemars(required)]
    pub(super) source: Option<String>,
    /// The source resource of that row: `system.resource`. Default: the sync's own `from`.
    pub(super) from: Option<String>,
    /// The resource type of its object, at the sync's target: `system.resource`. Default: the sync's own `to`.
    pub(super) to: Option<String>,
    /// A rule on the rows of `from`: the one is meant for which it yields what `source` yields. Default: its key.
    pub(super) by: Option<String>,
}

/// One match rule.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchFile {
    /// A rule on the source row.
    #[schemars(required)]
    pub(super) source: Option<String>,
    /// The target's column that holds the same value.
    #[schemars(required)]
    pub(super) target: Option<String>,
    /// How sure a match is, in percent; below 100 a person confirms it. Default 100.
    #[schemars(range(min = 1, max = 100))]
    pub(super) confidence: Option<u8>,
    /// Rules with the same tier, one after the other, are tried at once: the weights of those that agree add up to the
    /// confidence.
    pub(super) tier: Option<String>,
    /// What the rule weighs in its tier, in percent. A pair is a candidate from 50 on.
    #[schemars(range(min = 1, max = 100))]
    pub(super) weight: Option<u8>,
}

/// What the target does not let change for some of its objects: orders that would are blocked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FixedFile {
    /// A condition on the target's rows: `userType == 'Federated'`.
    #[schemars(required)]
    pub(super) target: Option<String>,
    /// The attributes; left out = all.
    #[serde(default)]
    pub(super) attributes: Vec<String>,
}

/// Association rows that are never all taken away.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepOneFile {
    /// The end whose objects keep one row each, with an account in use at the other end.
    #[schemars(required)]
    pub(super) end: Option<String>,
    /// A condition on the target's rows; only those that it admits count: `right == 'Owner'`.
    pub(super) scope: Option<String>,
}

/// What is done about situations.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnFile {
    /// A managed object whose source row is gone. Default disable.
    pub(super) orphan: Option<RemovalWord>,
    /// A managed object whose source row the scope leaves out. Default disable.
    pub(super) out_of_scope: Option<RemovalWord>,
    /// Objects at the target that are linked to nothing. Default ignore.
    pub(super) unmanaged: Option<UnmanagedWord>,
    /// A value that somebody changed at the target. Default correct.
    pub(super) drift: Option<DriftWord>,
    /// An object that is to be deleted after `apply.delete_after`, and that the target cannot disable before. Default
    /// block: nothing happens, and the plan says so; wait: it waits as it is.
    pub(super) no_disable: Option<NoDisableWord>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NoDisableWord {
    Block,
    Wait,
}

/// "off", or how alike two rows have to be.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RenameFile {
    Off(OffWord),
    Alike(AlikeFile),
}

/// What is alike enough to be taken for one, once a person confirms it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AlikeFile {
    /// The share of mapped attributes that are equal, 0.5 to 1. Default 0.8.
    #[schemars(range(min = 0.5, max = 1.0), extend("examples" = [0.9]))]
    pub(super) similarity: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RemovalWord {
    Disable,
    Delete,
    Ignore,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum UnmanagedWord {
    Ignore,
    Adopt,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DriftWord {
    Correct,
    Report,
    Leave,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MembersWord {
    Additive,
    Authoritative,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NestedWord {
    Flatten,
    Direct,
    Refuse,
}

/// Settings of one snapshot.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotFile {
    /// Synchronization thresholds: against the baseline.
    #[serde(default)]
    pub(super) thresholds: SnapshotThresholdsFile,
    /// Keys of objects that every whole export holds.
    #[serde(default)]
    pub(super) sentinels: Vec<String>,
    /// Every limit of a run is also one over this time: `7d`.
    pub(super) window: Option<String>,
    /// An export without any row is legitimate. Default false: it is held.
    #[serde(default)]
    pub(super) allow_empty: bool,
    /// Checks of the finished snapshot that are switched off. All are on unless said.
    #[serde(default)]
    pub(super) checks: ChecksFile,
}

/// Checks of completeness, by the names that their suspicions have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ChecksFile {
    /// No rows.
    pub(super) empty: Option<OffWord>,
    /// Rows and the server's own total differ.
    pub(super) total: Option<OffWord>,
    /// The server's own total changed during the export.
    pub(super) total_moved: Option<OffWord>,
    /// A page that was asked for did not come.
    pub(super) pages: Option<OffWord>,
    /// A key comes twice.
    pub(super) duplicate_keys: Option<OffWord>,
    /// A key is empty.
    pub(super) empty_keys: Option<OffWord>,
    /// A column is missing.
    pub(super) header: Option<OffWord>,
    /// A sentinel is missing.
    pub(super) sentinel: Option<OffWord>,
    /// The last line of a file lost its line break.
    pub(super) last_line: Option<OffWord>,
    /// A column lost most of its values.
    pub(super) empty_column: Option<OffWord>,
    /// Lists of members stop at exactly 100, 200 or 1,000.
    pub(super) round_members: Option<OffWord>,
    /// A column is written another way.
    pub(super) format: Option<OffWord>,
    /// Two columns exchanged their values.
    pub(super) swapped_columns: Option<OffWord>,
    /// Many fewer rows than in one of the last 10 accepted snapshots.
    pub(super) fewer_rows: Option<OffWord>,
    /// Many fewer owners of association rows than in one of them.
    pub(super) fewer_owners: Option<OffWord>,
}

/// How snapshots are compared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportFile {
    /// Memory for the comparison of a snapshot with its baseline: `256M`, `2G`; what does not fit goes to the export
    /// folder. Default a quarter of what the machine or its control group has.
    pub(super) memory: Option<String>,
}

/// Who decides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewFile {
    /// What needs a person. Default always.
    pub(super) require: Option<RequireFile>,
    /// An OpenSSH allowed_signers file; then every approval is signed by one of those in it.
    pub(super) approvers: Option<PathBuf>,
    /// How many different people have to approve an order, or to accept a hold. Default 1; more need `approvers`.
    #[schemars(range(min = 1, max = 100))]
    pub(super) reviewers: Option<u32>,
    /// Whoever started a run approves nothing of it. Needs `approvers`.
    #[serde(default)]
    pub(super) four_eyes: bool,
    /// How long an approval holds. Default 72h.
    pub(super) expires: Option<String>,
}

/// A word, or the operations that need a person.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RequireFile {
    Word(RequireWord),
    Operations(Vec<OperationWord>),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RequireWord {
    Always,
    BlockedOrHeld,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OperationWord {
    Create,
    Update,
    Disable,
    Enable,
    Delete,
    Add,
    Remove,
}

/// How orders are sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApplyFile {
    /// Requests in flight at once. Default 8.
    #[schemars(range(min = 1, max = 256))]
    pub(super) concurrency: Option<u64>,
    /// Requests at most to each system, those that read it too: `25/s`, `600/m`. Default no limit.
    pub(super) rate: Option<String>,
    /// Sizes of the first waves of each kind; then the rest. Default [1, 10, 100].
    pub(super) waves: Option<Vec<u64>>,
    /// Failures that stop the apply.
    #[serde(default)]
    pub(super) stop_after: StopFile,
    /// How long retries of one request may take altogether. Default 60s.
    pub(super) retry_budget: Option<String>,
    /// Wait between disable and delete, where deletes are allowed: `30d`.
    pub(super) delete_after: Option<String>,
    /// Objects never to be touched: `vault.users/svc-muster`. Members of a protected group come and go, but the last one
    /// in use stays.
    #[serde(default)]
    pub(super) protect: Vec<String>,
}

/// Failures that stop the apply.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StopFile {
    /// Failures of one cause. Default 5.
    #[schemars(range(min = 1))]
    pub(super) same_cause: Option<u64>,
    /// Failures altogether. Default 50.
    #[schemars(range(min = 1))]
    pub(super) errors: Option<u64>,
    /// Failures at one target one after another, with no order in effect between them. Default 10: some systems lock out
    /// a client after 20.
    #[schemars(range(min = 1))]
    pub(super) in_a_row: Option<u64>,
}
