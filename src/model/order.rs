//! Provisioning orders: what is to be done to one object or one association row.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::resource::ResourceName;
use super::situation::{Cause, Situation, words};
use super::value::Value;

/// What an order does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Makes an object.
    Create,
    /// Changes attributes of an object.
    Update,
    /// Takes an account out of use without removing it.
    Disable,
    /// Puts a disabled account back into use.
    Enable,
    /// Removes an object for good.
    Delete,
    /// Adds an association row.
    Add,
    /// Removes an association row.
    Remove,
}

impl Operation {
    /// What undoes it exactly; `None` for making an object and for removing one: what was made can be removed, but what
    /// was removed is gone.
    pub fn opposite(self) -> Option<Self> {
        match self {
            Self::Update => Some(Self::Update),
            Self::Disable => Some(Self::Enable),
            Self::Enable => Some(Self::Disable),
            Self::Add => Some(Self::Remove),
            Self::Remove => Some(Self::Add),
            Self::Create | Self::Delete => None,
        }
    }
}

words!(Operation {
    Create => "create", Update => "update", Disable => "disable", Enable => "enable", Delete => "delete",
    Add => "add", Remove => "remove",
});

/// Where an order stands. What happens to it after planning lives in the database, not in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderState {
    /// Waits for a person, or for a rule of the job.
    PendingReview,
    /// Cannot be approved as it is; see the block's reason.
    Blocked,
    /// Sealed by an approval, not sent yet.
    Approved,
    /// Refused by a reviewer.
    Rejected,
    /// Its intent is committed; its request may have left.
    InFlight,
    /// In effect at the target.
    Applied,
    /// The target refused it.
    Errored,
    /// The object changed after the plan, or the plan is lost; planned anew by the next run.
    Stale,
    /// Nobody can tell whether its request took effect: a person says.
    Uncertain,
    /// Replaced by another order, or no longer wanted.
    Superseded,
}

words!(OrderState {
    PendingReview => "pending-review", Blocked => "blocked", Approved => "approved", Rejected => "rejected",
    InFlight => "in-flight", Applied => "applied", Errored => "errored", Stale => "stale",
    Uncertain => "uncertain", Superseded => "superseded",
});

impl OrderState {
    /// Whether its request may have left, with an outcome that is not known.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::InFlight | Self::Uncertain)
    }

    /// Whether an order in this state still counts: for thresholds, and as the one live order of its object.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Self::PendingReview | Self::Blocked | Self::Approved | Self::InFlight | Self::Errored | Self::Uncertain
        )
    }
}

/// Why an order is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockReason {
    /// The run was told to block provisioning.
    RunBlocked,
    /// A provisioning threshold is exceeded; lifted by accepting the threshold.
    Threshold,
    /// An earlier order for the same object is still blocked or errored.
    PriorOrder,
    /// Correlated or classified with a confidence below 100 %.
    LowConfidence,
    /// Several candidates; needs `muster link JOB KEY TARGET`.
    Ambiguous,
    /// A required value is missing.
    Incomplete,
    /// What it refers to does not exist, or will not.
    MissingReference,
    /// The target has no room (seats, licences).
    Capacity,
    /// The target cannot do this.
    Unsupported,
    /// A unique value is taken or claimed twice.
    Conflict,
    /// The job does not allow deletes here.
    DeleteDisallowed,
    /// The job protects this object.
    Protected,
}

words!(BlockReason {
    RunBlocked => "run-blocked", Threshold => "threshold", PriorOrder => "prior-order",
    LowConfidence => "low-confidence", Ambiguous => "ambiguous", Incomplete => "incomplete",
    MissingReference => "missing-reference", Capacity => "capacity", Unsupported => "unsupported",
    Conflict => "conflict", DeleteDisallowed => "delete-disallowed", Protected => "protected",
});

/// What it takes to get a blocked order going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A person lifts it by approving the order.
    Approval,
    /// A person lifts it by accepting the threshold.
    Acceptance,
    /// A person has to choose between candidates.
    Choice,
    /// Clears itself when its cause is gone; cannot be approved.
    CauseGone,
}

impl BlockReason {
    /// Who or what lifts this block.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::RunBlocked | Self::PriorOrder | Self::LowConfidence => Remedy::Approval,
            Self::Threshold => Remedy::Acceptance,
            Self::Ambiguous => Remedy::Choice,
            Self::Incomplete
            | Self::MissingReference
            | Self::Capacity
            | Self::Unsupported
            | Self::Conflict
            | Self::DeleteDisallowed
            | Self::Protected => Remedy::CauseGone,
        }
    }
}

/// A block with what an operator needs to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The stable word.
    pub reason: BlockReason,
    /// One sentence: which attribute, which candidate, which order; and what to do next.
    pub detail: String,
}

/// An order's id: `o-`, its fingerprint, `-`, how often it was raised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub String);

impl OrderId {
    /// The id of the `raised`-th order with this fingerprint (counted from 1).
    pub fn new(fingerprint: &Fingerprint, raised: u64) -> Self {
        let mut id = String::with_capacity(fingerprint.0.len() + 8);
        id.push_str("o-");
        id.push_str(&fingerprint.0);
        id.push('-');
        id.push_str(&raised.to_string());
        Self(id)
    }

    /// The content of the order; `None` where this is no order's id.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let (fingerprint, _) = self.0.strip_prefix("o-")?.split_once('-')?;
        Some(Fingerprint(fingerprint.to_owned()))
    }

    /// Whether a text has the shape of an order's id.
    pub fn is_id(text: &str) -> bool {
        let parts = text.strip_prefix("o-").and_then(|rest| rest.split_once('-'));
        parts.is_some_and(|(fingerprint, raised)| {
            fingerprint.len() == 16
                && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit())
                && raised.parse::<u64>().is_ok()
        })
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The content of an order in 16 hex digits: system, type, operation, object and attribute changes before → after;
/// no run, time or reason. Two orders with one fingerprint ask for the same thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// One attribute's change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The target attribute.
    pub attribute: String,
    /// What the target holds; `None` = absent.
    pub before: Option<Value>,
    /// What it should hold; `None` = cleared.
    pub after: Option<Value>,
    /// Why they differ.
    pub cause: Cause,
}

impl Change {
    /// The change back.
    fn swapped(&self) -> Self {
        Self { before: self.after.clone(), after: self.before.clone(), ..self.clone() }
    }
}

/// The object that an order concerns, so that no two live orders ever concern the same one.
///
/// A managed or wanted object is known by its source key, so that the identity does not change when the object is
/// created; an unmanaged one by its target id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(pub String);

impl ObjectKey {
    /// An object known by the source row that it is managed from.
    pub fn by_source(to: &ResourceName, from: &ResourceName, source_key: &str) -> Self {
        let parts = [&to.system, ".", &to.resource, "/", &from.system, ".", &from.resource, "=", source_key];
        Self(parts.concat())
    }

    /// An object known by its target id alone.
    pub fn by_target(to: &ResourceName, target_id: &str) -> Self {
        Self(format!("{to}#{target_id}"))
    }

    /// An association row, known by the objects at its ends, in the order of the end names.
    pub fn association(to: &ResourceName, ends: &[&ObjectKey]) -> Self {
        const BETWEEN: &str = " ; ";
        let bytes: usize = ends.iter().map(|end| end.0.len() + BETWEEN.len()).sum();
        let mut text = String::with_capacity(to.system.len() + to.resource.len() + bytes + 3);
        [&to.system, ".", &to.resource, "("].iter().for_each(|part| text.push_str(part));
        for (i, end) in ends.iter().enumerate() {
            if i > 0 {
                text.push_str(BETWEEN);
            }
            text.push_str(&end.0);
        }
        text.push(')');
        Self(text)
    }

    /// What one attribute of an object refers to, where that is an order of its own. No key of an object begins like it.
    /// `source` is the rest of the object's own key, `idp.users=E1`.
    pub fn reference(to: &ResourceName, attribute: &str, source: &str) -> Self {
        Self(format!("{to}@{attribute}/{source}"))
    }
}

/// Which object an association row's end is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndRef {
    /// An object that exists at the target, by its id.
    Target(String),
    /// An object that another order creates; its id is that order's outcome.
    Order(OrderId),
}

/// One end of an association row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The end's column in the association (`user`, `group`, …).
    pub name: String,
    /// The resource type that the end lives in, at the target.
    pub resource: ResourceName,
    /// The object.
    pub object: EndRef,
    /// What to call it in front of people.
    pub label: String,
}

/// What an attribute's new value refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The attribute.
    pub attribute: String,
    /// The resource type that it refers to, at the target.
    pub resource: ResourceName,
    /// The object. Where another order creates it, the attribute's value is that order's id until it is sent.
    pub object: EndRef,
    /// The object's identity, which is the same before and after it is created.
    pub identity: ObjectKey,
    /// The key of the source row that it is managed from.
    pub key: String,
}

/// One operation on one object or one association row, as planned. Never changes after planning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Unique for ever.
    pub id: OrderId,
    /// Its content.
    pub fingerprint: Fingerprint,
    /// What it does.
    pub operation: Operation,
    /// The resource type or association at the target.
    pub resource: ResourceName,
    /// The sync that wants it, as its zero-based position in the job file.
    pub sync: usize,
    /// The object, for "one live order an object".
    pub object: ObjectKey,
    /// The target's id of the object; `None` for creates and for association rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target_id: Option<String>,
    /// The source row's key, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_key: Option<String>,
    /// The key that the source row had before, where the object is recognised under a new one: the order moves its link.
    /// Of an order that undoes such a one, the key that it takes back; it moves no link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renamed_from: Option<String>,
    /// Digest of all cells of the source row that it was planned from, for the agreed state after the apply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_digest: Option<u64>,
    /// What a person looks for: the source key, else the target id; for association rows `end → end`.
    pub key: String,
    /// What to call the object in front of people (a login, a display name); may be empty.
    pub name: String,
    /// Attribute changes, sorted by attribute; empty for association rows and deletes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<Change>,
    /// Both ends of an association row, sorted by name; empty for objects.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ends: Vec<End>,
    /// What new values refer to, sorted by attribute.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub references: Vec<Reference>,
    /// The order that creates its object, where it closes a circle of references: an update of what is not there yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub closes: Option<OrderId>,
    /// The order that has to be in effect before this delete can be: it takes away what refers to the object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<OrderId>,
    /// The situation that called for it.
    pub situation: Situation,
    /// The strongest cause among its changes.
    pub cause: Cause,
    /// One sentence for the reviewer: why this order exists.
    pub reason: String,
    /// Why it is wanted, as far as that can change while its content stays the same; empty where it cannot. What was
    /// rejected on one ground is asked again on another.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub ground: String,
    /// How sure the correlation is, in percent.
    pub confidence: u8,
    /// What the target removes along with a delete, in words.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub takes_along: Vec<String>,
    /// The scoped thresholds that count it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub thresholds: Vec<String>,
    /// Set where the order was planned as blocked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub block: Option<Block>,
    /// The applied order that this one undoes, where it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undoes: Option<OrderId>,
    /// Why it cannot be undone once it is applied, in half a sentence; `None` where it can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub irreversible: Option<String>,
}

impl Order {
    /// The fingerprint of an order's content.
    pub fn fingerprint_of(
        resource: &ResourceName,
        operation: Operation,
        object: &ObjectKey,
        changes: &[Change],
    ) -> Fingerprint {
        Self::fingerprint_with(resource, operation, object, changes, &[])
    }

    /// The same where new values refer to objects: these count by their identity, so that the content stays the same
    /// when such an object is created and gets its id.
    pub fn fingerprint_with(
        resource: &ResourceName,
        operation: Operation,
        object: &ObjectKey,
        changes: &[Change],
        references: &[Reference],
    ) -> Fingerprint {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum After<'a> {
            Value(&'a Option<Value>),
            Refers { refers: &'a ObjectKey },
        }
        fn after<'a>(change: &'a Change, references: &'a [Reference]) -> After<'a> {
            match references.iter().find(|reference| reference.attribute == change.attribute) {
                Some(reference) => After::Refers { refers: &reference.identity },
                None => After::Value(&change.after),
            }
        }
        let attributes: Vec<_> = changes.iter().map(|c| (&c.attribute, &c.before, after(c, references))).collect();
        let mut content = Vec::with_capacity(256);
        // Writing to memory cannot fail, and nothing of this is what JSON cannot say.
        let _ = serde_json::to_writer(&mut content, &(resource, operation, object, attributes));
        Fingerprint(Digest::of(&content).as_str()[..16].to_owned())
    }

    /// Whether its content is the one that its id names.
    pub fn is_of_its_id(&self) -> bool {
        let Self { resource, operation, object, changes, references, .. } = self;
        let content = Self::fingerprint_with(resource, *operation, object, changes, references);
        content == self.fingerprint && self.id.fingerprint() == Some(content)
    }

    /// The orders that have to be applied before this one can be sent: those that create what it ties, what it refers to,
    /// or its own object; and the one after which it can be deleted.
    pub fn needs(&self) -> impl Iterator<Item = &OrderId> {
        let ends = self.ends.iter().map(|end| &end.object);
        let refers = self.references.iter().map(|reference| &reference.object);
        let created = ends.chain(refers).filter_map(|object| match object {
            EndRef::Order(order) => Some(order),
            EndRef::Target(_) => None,
        });
        created.chain(&self.closes).chain(&self.after)
    }

    /// The content of the order that would undo this one exactly; `None` where there is none.
    pub fn counter(&self) -> Option<Fingerprint> {
        let swapped: Vec<Change> = self.changes.iter().map(Change::swapped).collect();
        Some(Self::fingerprint_of(&self.resource, self.operation.opposite()?, &self.object, &swapped))
    }

    /// The content of one change of this order's object by itself, whatever else is changed along with it.
    pub fn content_of(&self, change: &Change) -> Fingerprint {
        Self::fingerprint_of(&self.resource, Operation::Update, &self.object, std::slice::from_ref(change))
    }

    /// The contents of the single changes that this order takes back.
    pub fn taken_back(&self) -> Vec<Fingerprint> {
        self.changes.iter().map(|change| self.content_of(&change.swapped())).collect()
    }
}
