//! What a directory offers, in the words of the rest of the house.

use std::collections::BTreeMap;

use super::layout::{DN, ENABLED, ID, Layout, ResourceType};
use super::{LdapSystem, MEMBERSHIPS, NESTINGS};
use crate::connector::config::Flavour;
use crate::model::capabilities::{AttributeShape, AttributeType, Capabilities, Form, OwnAccount, ResourceCapabilities};
use crate::model::order::Operation;

/// Passwords are taken, and shown to nobody.
const HIDDEN: &[&str] = &["userPassword", "unicodePwd"];
/// What Active Directory keeps unique in a domain.
const AD_UNIQUE: &[&str] = &["sAMAccountName", "userPrincipalName"];

pub(super) fn of(system: &LdapSystem, layout: &Layout, account: Option<OwnAccount>) -> Capabilities {
    let mut resources: BTreeMap<String, ResourceCapabilities> =
        layout.types.iter().map(|(name, of)| (name.clone(), of_type(system, layout, of))).collect();
    if let Some(membership) = layout.types.get("groups").and_then(|groups| groups.member.as_ref()) {
        let groups = || vec!["groups".to_owned()];
        let mut memberships = association([("group", groups()), ("user", vec!["users".to_owned()])]);
        if membership.in_chain {
            // Nobody can say which of the groups on the way somebody is to be taken out of.
            memberships.operations.clear();
        }
        resources.insert(MEMBERSHIPS.to_owned(), memberships);
        resources.insert(NESTINGS.to_owned(), association([("parent", groups()), ("child", groups())]));
    }
    for (name, refused) in &system.config.refuses {
        if let Some(offered) = resources.get_mut(name) {
            offered.operations.retain(|operation| !refused.iter().any(|refused| refused.operation() == *operation));
        }
    }
    Capabilities {
        resources,
        incremental: true,
        reads_back: true,
        free: BTreeMap::new(),
        seats: system.config.seats.clone(),
        account,
        errors_in_a_row: None,
    }
}

fn of_type(system: &LdapSystem, layout: &Layout, of: &ResourceType) -> ResourceCapabilities {
    let columns = of.columns([]);
    let mut operations = vec![Operation::Create, Operation::Update];
    if of.switch.is_some() {
        operations.extend([Operation::Disable, Operation::Enable]);
    }
    operations.push(Operation::Delete);
    let mut read_only = vec![ID.to_owned()];
    let by_server = |name: &&String| layout.schema.attribute(name).is_some_and(|attribute| attribute.read_only);
    read_only.extend(columns.iter().filter(by_server).cloned());
    ResourceCapabilities {
        operations,
        immutable: read_only.clone(),
        read_only,
        hidden: HIDDEN.iter().map(|name| (*name).to_owned()).collect(),
        required: required(layout, of),
        unique: match layout.flavour {
            Flavour::Ad => {
                AD_UNIQUE.iter().map(|name| (*name).to_owned()).filter(|name| columns.contains(name)).collect()
            }
            _ => Vec::new(),
        },
        attributes: columns.iter().map(|name| (name.clone(), compared(layout, name))).collect(),
        shapes: shapes(system, layout, of),
        key: vec![ID.to_owned()],
        ends: BTreeMap::new(),
        enabled: of.switch.as_ref().map(|_| ENABLED.to_owned()),
        ..ResourceCapabilities::default()
    }
}

fn compared(layout: &Layout, column: &str) -> AttributeType {
    match column {
        ID => AttributeType::Text,
        DN => AttributeType::CaselessText,
        ENABLED => AttributeType::Boolean,
        name => layout.syntax(name).compared(),
    }
}

/// What no entry can be made without: as the object classes say, in the spelling of the schema. What muster and the
/// server put in by themselves is left out.
fn required(layout: &Layout, of: &ResourceType) -> Vec<String> {
    let by_itself = |name: &str| {
        name == "objectclass" || of.member.as_ref().is_some_and(|member| member.attribute.eq_ignore_ascii_case(name))
    };
    // Active Directory fills in nearly everything that its classes require.
    let mut required: Vec<String> = match layout.flavour {
        Flavour::Ad => Vec::new(),
        _ => layout.schema.required(&of.classes).into_iter().filter(|name| !by_itself(name)).collect(),
    };
    for name in &mut required {
        if let Some(attribute) = layout.schema.attribute(name) {
            name.clone_from(&attribute.name);
        }
    }
    if !required.iter().any(|name| name.eq_ignore_ascii_case(&of.rdn)) {
        required.push(of.rdn.clone());
    }
    required
}

/// What every attribute of the schema takes, and those with options that the job names.
fn shapes(system: &LdapSystem, layout: &Layout, of: &ResourceType) -> BTreeMap<String, AttributeShape> {
    let mut shapes = BTreeMap::new();
    if !layout.schema.is_known() {
        // Nothing is told: whatever the job maps is sent.
        return shapes;
    }
    let named = system.columns.get(&of.name).into_iter().flatten().chain(&of.attributes);
    let named = named.filter(|name| layout.schema.attribute(name).is_some()).map(String::as_str);
    for name in layout.schema.attributes().map(|attribute| attribute.name.as_str()).chain(named) {
        let syntax = layout.syntax(name);
        let shape = AttributeShape {
            kind: syntax.compared(),
            form: syntax.form(),
            multi_valued: of.is_list(name),
            ..AttributeShape::default()
        };
        shapes.insert(name.to_owned(), shape);
    }
    for (name, kind, form) in [
        (ID, AttributeType::Text, Form::Text),
        (DN, AttributeType::CaselessText, Form::Text),
        (ENABLED, AttributeType::Boolean, Form::Boolean),
    ] {
        if name != ENABLED || of.switch.is_some() {
            shapes.insert(name.to_owned(), AttributeShape { kind, form, ..AttributeShape::default() });
        }
    }
    shapes
}

fn association(ends: [(&str, Vec<String>); 2]) -> ResourceCapabilities {
    ResourceCapabilities {
        operations: vec![Operation::Add, Operation::Remove],
        key: ends.iter().map(|(end, _)| (*end).to_owned()).collect(),
        ends: ends.into_iter().map(|(end, types)| (end.to_owned(), types)).collect(),
        ..ResourceCapabilities::default()
    }
}
