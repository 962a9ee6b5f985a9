//! What a sync finds out about its source rows, as typed: groups, other sources, classes; and value tables.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::NestedWord;

/// Where the groups of the source's rows are told. Each row gets a column with the list of its groups.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupsFile {
    /// The association that says who is in which group: `system.resource`, of the source's system.
    #[schemars(required)]
    pub(super) via: Option<String>,
    /// Its column with the keys of the source's rows. Default user.
    pub(super) member: Option<String>,
    /// Its column with the keys of the groups. Default group.
    pub(super) group: Option<String>,
    /// The groups: `system.resource`. Left out: whatever stands in the association is a group.
    pub(super) of: Option<String>,
    /// The column of `of` whose value a group goes by in this job. Default: its key.
    pub(super) by: Option<String>,
    /// Where groups in groups are rows of their own, with the columns child and parent: `system.resource`.
    pub(super) nestings: Option<String>,
    /// What a group in a group means. Default flatten.
    pub(super) nested: Option<NestedWord>,
    /// What the column is called. Default groups.
    pub(super) column: Option<String>,
}

/// A table of names for one target attribute: roles, organizations, permissions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueTableFile {
    /// What counts where several rows hold: the first of them, or all.
    #[schemars(required)]
    pub(super) precedence: Option<PrecedenceWord>,
    /// The target's own list of what may be given: `system.resource`. Left out: what its schema allows.
    pub(super) among: Option<String>,
    /// The column of `among` with the names. Default: what such objects are called.
    pub(super) by: Option<String>,
    /// The rows, in their order.
    #[schemars(required)]
    pub(super) table: Option<Vec<GrantFile>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PrecedenceWord {
    First,
    All,
}

/// One row of such a table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantFile {
    /// A condition on the source row: `'app-admins' in groups`.
    #[schemars(required)]
    pub(super) when: Option<String>,
    /// The name that the attribute gets, as the target writes it.
    #[schemars(required)]
    pub(super) value: Option<String>,
}

/// One rule that says what kind of account a row is; the first that holds decides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassFile {
    /// A condition on the source row.
    #[schemars(required)]
    pub(super) when: Option<String>,
    /// The class: person, service, shared, privileged, or another word. It becomes the column `class`.
    #[schemars(required)]
    pub(super) class: Option<String>,
    /// How sure it is, in percent; below 100 a person confirms it. Default 100.
    #[schemars(range(min = 1, max = 100))]
    pub(super) confidence: Option<u8>,
}

/// Another source of the same people. Its columns become columns of the sync's rows: `name.column`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinFile {
    /// The other source: `system.resource`.
    #[schemars(required)]
    pub(super) from: Option<String>,
    /// A rule on the sync's own rows.
    #[schemars(required)]
    pub(super) here: Option<String>,
    /// A rule on the other's rows: those belong together for which both yield the same.
    #[schemars(required)]
    pub(super) there: Option<String>,
}

/// One rule, or several: the first that yields something counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RuleFile {
    /// A column's name, a quoted constant, or an expression (CEL).
    One(String),
    /// Several, the surest source first.
    Several(Vec<String>),
}

impl RuleFile {
    /// The rules, in their order.
    pub(super) fn rules(&self) -> &[String] {
        match self {
            Self::One(rule) => std::slice::from_ref(rule),
            Self::Several(rules) => rules,
        }
    }
}
