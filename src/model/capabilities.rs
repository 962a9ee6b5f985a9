//! What a system can do, as it says itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::order::Operation;

/// What a system offers. A claim, not a proof.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The resource types and associations that it has.
    pub resources: BTreeMap<String, ResourceCapabilities>,
    /// Whether an export can be limited to what changed since a cursor.
    pub incremental: bool,
    /// Whether a changed object can be read back at once; false for work-order files.
    pub reads_back: bool,
    /// Free seats by resource, where the system tells.
    pub free: BTreeMap<String, u64>,
    /// All seats by resource, free and taken, where the job tells.
    #[serde(default)]
    pub seats: BTreeMap<String, u64>,
    /// The account that muster itself uses there, as far as it is known.
    #[serde(default)]
    pub account: Option<OwnAccount>,
    /// Refusals in a row after which the system switches itself off, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_in_a_row: Option<u64>,
}

/// The account that muster itself uses at a system: a user of that system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAccount {
    /// What it goes by there: its id, its login.
    pub names: Vec<String>,
    /// How this is known, in words: `/Me of the server`.
    pub known_by: String,
}

impl OwnAccount {
    /// Whether an object that goes by any of these names is the account.
    pub fn is(&self, names: &[&str]) -> bool {
        let same = |own: &String| names.iter().any(|name| own.eq_ignore_ascii_case(name));
        self.names.iter().any(same)
    }
}

/// What one resource type or association offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceCapabilities {
    /// The operations that can be sent.
    pub operations: Vec<Operation>,
    /// Attributes that exist and their types, where the system tells; empty where it does not.
    pub attributes: BTreeMap<String, AttributeType>,
    /// What each attribute takes, where the system tells; empty where it does not. The parts of what a list's elements
    /// consist of stand as `emails[].value`.
    #[serde(default)]
    pub shapes: BTreeMap<String, AttributeShape>,
    /// Attributes that cannot be changed once set.
    pub immutable: Vec<String>,
    /// Attributes that only the system itself writes; a name covers its parts.
    #[serde(default)]
    pub read_only: Vec<String>,
    /// Attributes that the system takes and never shows, where it tells.
    #[serde(default)]
    pub hidden: Vec<String>,
    /// Attributes without which no object is taken, where the system tells.
    #[serde(default)]
    pub required: Vec<String>,
    /// Attributes of which no two objects may have the same value, where the system tells.
    #[serde(default)]
    pub unique: Vec<String>,
    /// The only attributes whose changes have an effect, where that is known; empty = all. A name covers its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changeable: Vec<String>,
    /// What only another directory changes of objects that belong to it, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federated: Vec<Federated>,
    /// The column that holds the object's id; for associations, the end columns.
    pub key: Vec<String>,
    /// For associations: end column → the resource types that it may point to.
    pub ends: BTreeMap<String, Vec<String>>,
    /// The attribute that says whether an account is in use, where there is one.
    pub enabled: Option<String>,
}

impl ResourceCapabilities {
    /// Whether only the system itself writes an attribute, or what it is a part of.
    pub fn writes_itself(&self, name: &str) -> bool {
        covers(&self.read_only, name)
    }

    /// How an attribute's values are compared: exactly, where nothing is told of it.
    pub fn kind(&self, name: &str) -> AttributeType {
        let told = self.attributes.get(name).copied().or_else(|| self.shape(name).map(|shape| shape.kind));
        told.unwrap_or(match self.enabled.as_deref() == Some(name) {
            true => AttributeType::Boolean,
            false => AttributeType::Text,
        })
    }

    /// What an attribute takes, by the name that a job has for it: `userName`, `emails[type eq "work"].value`,
    /// `emails.value`; letter case does not matter. `None` where there is no such attribute, or nothing is told.
    pub fn shape(&self, name: &str) -> Option<&AttributeShape> {
        let find = |name: &str| {
            let any_case = || self.shapes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            self.shapes.get(name).or_else(|| any_case().map(|(_, shape)| shape))
        };
        if let Some((list, rest)) = name.split_once('[') {
            let (filter, part) = rest.rsplit_once(']')?;
            // What elements are chosen by has to be a part of them, where their parts are told.
            let chosen_by = filter.split(' ').next().unwrap_or(filter);
            let parts = format!("{list}[].");
            let is_told = self
                .shapes
                .keys()
                .any(|known| known.get(..parts.len()).is_some_and(|p| p.eq_ignore_ascii_case(&parts)));
            if is_told {
                find(&format!("{parts}{chosen_by}"))?;
            }
            return find(&format!("{list}[]{part}"));
        }
        find(name).or_else(|| {
            // The dots of a version belong to its URN.
            let begin = name.rfind(':').map_or(0, |colon| colon + 1);
            let dot = begin + name.get(begin..)?.find('.')?;
            let (whole, part) = (name.get(..dot)?, name.get(dot..)?);
            let simple = || find(whole).filter(|shape| shape.form != Form::Object && part == ".value");
            find(&format!("{whole}[]{part}")).or_else(simple)
        })
    }
}

/// What only another directory changes of objects that belong to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federated {
    /// The attribute that has a value where an object belongs to another directory.
    pub marked_by: String,
    /// What only that one changes; a name covers its parts.
    pub attributes: Vec<String>,
}

/// Whether one of some names is that of an attribute, or of what it is a part of: `emails` covers
/// `emails[type eq "work"].value`. Letter case does not matter.
pub fn covers(names: &[String], attribute: &str) -> bool {
    names.iter().any(|name| match attribute.get(..name.len()) {
        Some(begin) if begin.eq_ignore_ascii_case(name) => {
            attribute.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        }
        _ => false,
    })
}

/// What an attribute takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeShape {
    /// How its values are compared.
    pub kind: AttributeType,
    /// How each of its values is written.
    #[serde(default)]
    pub form: Form,
    /// Whether it takes several.
    #[serde(default)]
    pub multi_valued: bool,
    /// Values that the system suggests (RFC 7643 section 7, `canonicalValues`): it may take others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggested: Vec<String>,
    /// The most characters that it takes, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// The objects that its values name, where the system takes other names too, which lead nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among: Option<Among>,
}

/// Objects that are named by values of an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Among {
    /// The resource type that they are of.
    pub resource: String,
    /// Their names: all that there are.
    pub names: BTreeSet<String>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Any text.
    #[default]
    Text,
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number of 64 bits.
    Whole,
    /// A number.
    Decimal,
    /// A date with its time (RFC 3339).
    Time,
    /// A JSON object.
    Object,
}

/// The type of an attribute, as far as comparing and sending values needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeType {
    /// Text, compared exactly.
    #[default]
    Text,
    /// Text that the target compares without regard to case.
    CaselessText,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// An instant.
    Time,
}
