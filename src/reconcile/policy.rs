//! What a job wants done about each situation, and how much may change: the configuration of one sync.

use std::collections::BTreeSet;

use super::generate::GenerateRule;
use crate::model::resource::ResourceName;
use crate::model::threshold::{Limit, Threshold};
use crate::rules::ObjectRules;
use crate::rules::expression::Expression;
use crate::rules::grants::ValueTable;
use crate::rules::scope::Scope;

use super::derived::Derivation;

/// What happens to a managed object whose source row is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrphanAction {
    /// Taken out of use, kept at the target.
    #[default]
    Disable,
    /// Removed for good; after the job's grace where it has one.
    Delete,
    /// Left as it is.
    Ignore,
}

/// What happens to a managed object whose source row exists but is left out by the scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfScopeAction {
    /// Taken out of use, kept at the target.
    #[default]
    Disable,
    /// Removed for good; after the job's grace where it has one.
    Delete,
    /// Left as it is.
    Ignore,
}

/// What happens to objects at the target that are linked to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmanagedAction {
    /// Left alone. A match rule or a person may still pair one with a source row: then it is correlated, no longer
    /// unmanaged.
    #[default]
    Ignore,
    /// The same, said aloud: the job means to take over what its match rules find. Nothing is ever changed or removed
    /// without a source row that claims it.
    Adopt,
}

/// What happens to a value that somebody changed at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftAction {
    /// Set back to what the rules want.
    #[default]
    Correct,
    /// Left, and told in the plan's warnings.
    Report,
    /// Left without a word.
    Leave,
}

/// What happens to an object that is to be deleted after a grace, where the target cannot take it out of use before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoDisableAction {
    /// Nothing: its delete is planned as blocked, and says so.
    #[default]
    Block,
    /// It waits as it is, from the run that first finds it unwanted, and is deleted then.
    Wait,
}

/// How an object is recognised whose source row goes by another key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RenamePolicy {
    /// It is not: the old one is unwanted, the new one missing.
    Off,
    /// By a match rule or an id that it keeps; or, for a person to confirm, where at least this share of its mapped
    /// attributes is equal, 0 to 1.
    Alike(f64),
}

impl Default for RenamePolicy {
    fn default() -> Self {
        Self::Alike(0.8)
    }
}

/// What a sync does about situations that call for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// The source row is gone.
    pub orphan: OrphanAction,
    /// The scope leaves the source row out.
    pub out_of_scope: OutOfScopeAction,
    /// Linked to nothing.
    pub unmanaged: UnmanagedAction,
    /// Changed at the target.
    pub drift: DriftAction,
    /// To be deleted, and cannot be disabled.
    pub no_disable: NoDisableAction,
}

/// Provisioning thresholds of one sync's target resource: how many orders of each operation may be live at once, or
/// applied over a time. One of each window at most; none at all is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderThresholds {
    /// Objects to make.
    pub create: Vec<Threshold>,
    /// Objects to change; enabling counts here too, renames do not.
    pub update: Vec<Threshold>,
    /// Objects whose source row goes by another key.
    pub rename: Vec<Threshold>,
    /// Objects to take out of use.
    pub disable: Vec<Threshold>,
    /// Objects to remove.
    pub delete: Vec<Threshold>,
    /// Association rows to add.
    pub add: Vec<Threshold>,
    /// Association rows to remove.
    pub remove: Vec<Threshold>,
    /// Disables and deletes together.
    pub removal_sum: Vec<Threshold>,
}

impl OrderThresholds {
    /// No limit on anything.
    pub const OFF: OrderThresholds = OrderThresholds {
        create: Vec::new(),
        update: Vec::new(),
        rename: Vec::new(),
        disable: Vec::new(),
        delete: Vec::new(),
        add: Vec::new(),
        remove: Vec::new(),
        removal_sum: Vec::new(),
    };
}

impl Default for OrderThresholds {
    fn default() -> Self {
        let limit =
            |count, percent| vec![Threshold::of_run(Limit { count, percent: Some(percent), floor: Limit::FLOOR })];
        let (removing, changing) = (|| limit(Some(25), 5.0), || limit(None, 20.0));
        Self {
            create: changing(),
            update: changing(),
            rename: changing(),
            disable: removing(),
            delete: removing(),
            add: changing(),
            remove: removing(),
            removal_sum: removing(),
        }
    }
}

/// Provisioning thresholds of a part of one sync's objects.
#[derive(Clone, Debug)]
pub struct ScopedThresholds {
    /// Stands in the thresholds' names: `vault.users/admins/disable/count`.
    pub name: String,
    /// A condition on source rows; for rows of an association, on what their ends are called.
    pub scope: Scope,
    /// A condition on the target's rows; where there is none, the scope itself is tried on the attributes that are
    /// mapped from a column as it is.
    pub target: Option<Scope>,
    /// The limits; what is left out is not limited here.
    pub thresholds: OrderThresholds,
}

/// A sync of objects: one resource type into another.
#[derive(Clone, Debug)]
pub struct ObjectSync {
    /// Names the sync for ever in links and history: `from → to`, told apart by the job file where two are alike.
    pub id: String,
    /// Its zero-based position in the job file.
    pub index: usize,
    /// Where the rows come from.
    pub from: ResourceName,
    /// Where the objects are provisioned.
    pub to: ResourceName,
    /// Scope, mapping, matching, required and unique attributes.
    pub rules: ObjectRules,
    /// What is done about each situation.
    pub on: Actions,
    /// How an object is recognised whose source row goes by another key.
    pub rename: RenamePolicy,
    /// How many orders may be live at once, or applied over a time.
    pub thresholds: OrderThresholds,
    /// The same for parts of them.
    pub scoped: Vec<ScopedThresholds>,
    /// What the target does not let change for some of its objects.
    pub fixed: Vec<Fixed>,
    /// Mapped attributes whose values are made once for each object, sorted by attribute.
    pub generated: Vec<GenerateRule>,
    /// Mapped attributes whose values refer to other objects, sorted by attribute. Their rule says to which row.
    pub references: Vec<ReferenceRule>,
    /// What is found out about source rows besides their cells.
    pub derivation: Derivation,
    /// Mapped attributes whose rules may give no row a value without a word.
    pub idle: BTreeSet<String>,
    /// Mapped attributes whose rule is a table of names, sorted by attribute.
    pub tables: Vec<ValueTable>,
}

/// What an attribute's value refers to: an object that a sync of these two makes, by its id.
#[derive(Clone, Debug)]
pub struct ReferenceRule {
    /// The target attribute.
    pub attribute: String,
    /// The source resource that the row is one of.
    pub from: ResourceName,
    /// The resource type that its object is of, at the same target.
    pub to: ResourceName,
    /// A rule on the rows of `from`: the one is meant for which it yields the value; `None`: by its key.
    pub by: Option<Expression>,
}

/// Attributes that the target does not let change for some of its objects: those of federated users.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// A condition on the target's rows.
    pub target: Scope,
    /// Its text, for people.
    pub text: String,
    /// The attributes; none = all.
    pub attributes: Vec<String>,
}

/// Rows of an association that are never all taken away.
#[derive(Clone, Debug)]
pub struct KeepOne {
    /// The end whose objects keep one row in use each.
    pub end: String,
    /// A condition on the target's rows, and its text: only rows that it admits count.
    pub scope: Option<(Scope, String)>,
}

/// Which association rows at the target a sync may remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Members {
    /// Only rows that muster added.
    #[default]
    Additive,
    /// Every row of two managed ends that the source does not have.
    Authoritative,
}

/// What happens to a group that is a member of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nested {
    /// Its members count as members of the outer group.
    #[default]
    Flatten,
    /// It is skipped, and counted in a warning.
    Direct,
    /// Nothing of this association is planned while there is one.
    Refuse,
}

/// One end of an association: the resource types that it ties on each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSync {
    /// The end's column (`user`, `group`, …), the same on both sides.
    pub name: String,
    /// The resource type at the source that the column points to.
    pub from: ResourceName,
    /// The resource type at the target that it points to.
    pub to: ResourceName,
}

/// A sync of an association: both ends go through links.
#[derive(Clone, Debug)]
pub struct AssociationSync {
    /// Names the sync for ever in history: `from → to`, told apart by the job file where two are alike.
    pub id: String,
    /// Its zero-based position in the job file.
    pub index: usize,
    /// Where the rows come from.
    pub from: ResourceName,
    /// Where they are provisioned.
    pub to: ResourceName,
    /// Its ends, sorted by name.
    pub ends: Vec<EndSync>,
    /// Which rows may be removed.
    pub members: Members,
    /// What nested groups mean.
    pub nested: Nested,
    /// Where groups in groups are rows of their own at the source: `child` is in `parent`.
    pub nestings: Option<ResourceName>,
    /// How many orders may be live at once, or applied over a time.
    pub thresholds: OrderThresholds,
    /// The same for parts of them.
    pub scoped: Vec<ScopedThresholds>,
    /// Rows that are never all taken away.
    pub keep_one: Option<KeepOne>,
}
