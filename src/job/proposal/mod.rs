//! What a new job could say, from what its two systems offer: what flows, how rows find their objects, which column goes
//! where. It is a proposal, for a person to read and to change; what its names leave open stays open.

mod groups;
mod look;
mod meaning;
mod people;
mod rule;
mod text;
mod toml_text;
mod usual;

use std::collections::BTreeMap;

pub use self::look::Look;
pub use self::text::{SystemText, job_text};
pub use self::toml_text::quoted;
pub use self::usual::usual;
use super::check_names::is_resource;
use crate::model::capabilities::{Capabilities, Form, ResourceCapabilities};
use crate::model::order::Operation;
use crate::model::resource::ResourceName;

/// One side of the job.
#[derive(Clone, Debug)]
pub struct Side {
    /// The system's name in the job file.
    pub system: String,
    /// Its kind, as job files spell it.
    pub kind: String,
    /// What it offers.
    pub offered: Capabilities,
    /// What the first rows show, by resource, where anybody looked.
    pub looks: BTreeMap<String, Look>,
}

/// What a new job could say.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// Objects, in the order in which they are synced: people, then groups.
    pub objects: Vec<ObjectFlow>,
    /// Who is in which group.
    pub memberships: Option<MembershipFlow>,
    /// Columns that identify rows, by resource of the source, where it would not find them itself.
    pub keys: BTreeMap<String, String>,
    /// Ends of the source's memberships, where it would not find them itself: resource, and end → resource.
    pub ends: Option<(String, BTreeMap<String, String>)>,
    /// What the source has and nothing is taken of.
    pub ignored: Vec<ResourceName>,
}

/// Objects that flow.
#[derive(Clone, Debug)]
pub struct ObjectFlow {
    /// Where they come from.
    pub from: ResourceName,
    /// Where they go.
    pub to: ResourceName,
    /// A condition on source rows, where there should be one.
    pub scope: Option<String>,
    /// Source rule, target attribute and confidence, the surest first.
    pub matching: Vec<(String, String, u8)>,
    /// Target attribute and rule.
    pub attributes: Vec<(String, String)>,
    /// Attributes without which the target takes nothing, or nobody can log in.
    pub required: Vec<String>,
    /// Attributes that tell objects apart.
    pub unique: Vec<String>,
    /// Attributes that the target needs and nothing at the source looks like.
    pub open: Vec<String>,
    /// Target attribute, source column, and why it is not mapped.
    pub doubtful: Vec<(String, String, &'static str)>,
    /// Source columns that nothing is taken of.
    pub unused: Vec<String>,
    /// Whether the target can switch such objects off.
    pub disables: bool,
}

/// Who is in which group.
#[derive(Clone, Debug)]
pub struct MembershipFlow {
    /// Where the rows come from.
    pub from: ResourceName,
    /// Where they go.
    pub to: ResourceName,
    /// End → resources of both sides.
    pub ends: BTreeMap<String, [ResourceName; 2]>,
    /// Groups in groups at the source.
    pub nestings: Option<ResourceName>,
}

/// Proposes what flows from one side to the other. `said` are rules by target attribute of people that a person stated.
///
/// # Errors
/// What is missing for a job, in a sentence, with what to do.
pub fn propose(from: &Side, to: &Side, said: &BTreeMap<String, String>) -> Result<Proposal, String> {
    let mut proposal = Proposal::default();
    let people = people::flow(from, to, said, &mut proposal.keys)?;
    if let Some(groups) = groups::flow(from, to) {
        proposal.memberships = groups::memberships(from, to, &people, &groups, &mut proposal.ends);
        proposal.objects = vec![people, groups];
    } else {
        proposal.objects = vec![people];
    }
    let memberships = proposal.memberships.iter();
    let used: Vec<&ResourceName> = (proposal.objects.iter().map(|flow| &flow.from))
        .chain(memberships.flat_map(|flow| flow.nestings.iter().chain([&flow.from])))
        .collect();
    let all = from.offered.resources.keys().filter(|name| is_resource(name));
    let all = all.map(|name| ResourceName::new(&from.system, name));
    proposal.ignored = all.filter(|name| !used.contains(&name)).collect();
    Ok(proposal)
}

/// The resource of a side that holds people, and the rules by target attribute that it could have.
pub fn people_of(side: &Side) -> Option<&str> {
    people::resource(side)
}

/// A name as the resource of a file; `None` where a job could not write it.
pub fn resource_name(name: &str) -> Option<&str> {
    is_resource(name).then_some(name)
}

/// The rule that yields a column of people as it is, where the source has such a column.
pub fn rule_of_column(side: &Side, column: &str) -> Option<String> {
    let offered = side.offered.resources.get(people_of(side)?)?;
    offered.attributes.contains_key(column).then(|| rule::column(column))?
}

impl ObjectFlow {
    /// What flows from one resource to another, before anything is known of it.
    fn between(from: (&Side, &str), to: (&Side, &str), offered: &ResourceCapabilities) -> Self {
        Self {
            from: ResourceName::new(&from.0.system, from.1),
            to: ResourceName::new(&to.0.system, to.1),
            scope: None,
            matching: Vec::new(),
            attributes: Vec::new(),
            required: Vec::new(),
            unique: Vec::new(),
            open: Vec::new(),
            doubtful: Vec::new(),
            unused: Vec::new(),
            disables: disables(offered),
        }
    }

    fn maps(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|(mapped, _)| {
            let is_part = |whole: &str, part: &str| {
                part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            is_part(mapped, attribute) || is_part(attribute, mapped)
        })
    }

    fn map(&mut self, attribute: impl Into<String>, rule: impl Into<String>) {
        let attribute = attribute.into();
        if !self.maps(&attribute) {
            self.attributes.push((attribute, rule.into()));
        }
    }
}

/// Whether a target takes values for an attribute, as far as it tells.
fn takes(kind: &str, offered: &ResourceCapabilities, attribute: &str) -> bool {
    let is_own = offered.writes_itself(attribute) || offered.immutable.iter().any(|name| name == attribute);
    let is_hidden = offered.hidden.iter().any(|name| name.eq_ignore_ascii_case(attribute));
    let is_free = kind == "openbao" && attribute.strip_prefix("metadata.").is_some_and(|name| !name.is_empty());
    let is_told = match offered.shape(attribute) {
        Some(shape) => shape.form != Form::Object,
        None => offered.shapes.is_empty() && offered.attributes.contains_key(attribute),
    };
    !is_own && !is_hidden && (is_free || is_told)
}

/// Whether a side holds lists there.
fn is_list(offered: &ResourceCapabilities, attribute: &str) -> bool {
    offered.shape(attribute).is_some_and(|shape| shape.multi_valued)
}

/// Whether accounts of a resource can be switched off.
fn disables(offered: &ResourceCapabilities) -> bool {
    offered.enabled.is_some() && offered.operations.contains(&Operation::Disable)
}
