//! What a provider offers, in the words of the rest of the house.

use std::collections::{BTreeMap, BTreeSet};

use super::dialect::Dialect;
use super::discovery::Discovery;
use super::rows::offered;
use super::ways::Ways;
use super::{MEMBERSHIPS, NESTINGS};
use crate::connector::config::ScimConfig;
use crate::model::capabilities::{
    AttributeShape, AttributeType, Capabilities, Federated, Form, OwnAccount, ResourceCapabilities,
};
use crate::model::order::Operation;
use crate::scim::column::Column;
use crate::scim::schema::{Attribute, Definition, Kind, Mutability, Returned, Uniqueness, common_attributes};
use crate::scim::urn;

pub(super) fn of(
    discovery: &Discovery,
    config: &ScimConfig,
    ways: &Ways,
    dialect: &Dialect,
    account: Option<OwnAccount>,
) -> Capabilities {
    let mut resources: BTreeMap<String, ResourceCapabilities> =
        discovery.types.iter().map(|(name, definition)| (name.clone(), of_type(definition))).collect();
    if discovery.types.contains_key("groups") {
        let users = if discovery.types.contains_key("users") { vec!["users".to_owned()] } else { Vec::new() };
        let groups = || vec!["groups".to_owned()];
        resources.insert(MEMBERSHIPS.to_owned(), association([("group", groups()), ("user", users)]));
        resources.insert(NESTINGS.to_owned(), association([("parent", groups()), ("child", groups())]));
    }
    for (name, offered) in &mut resources {
        narrow(offered, name, dialect);
    }
    for (name, refused) in &ways.refuses {
        if let Some(offered) = resources.get_mut(name) {
            offered.operations.retain(|operation| !refused.iter().any(|refused| refused.operation() == *operation));
        }
    }
    Capabilities {
        resources,
        incremental: discovery.provider.filter.is_some() && dialect.incremental != Some(false),
        reads_back: true,
        free: BTreeMap::new(),
        seats: config.seats.clone(),
        account,
        errors_in_a_row: dialect.errors_in_a_row,
    }
}

/// What the product does not do of what its schema says.
fn narrow(offered: &mut ResourceCapabilities, name: &str, dialect: &Dialect) {
    let known = |of: &BTreeMap<String, Vec<String>>| of.get(name).cloned().unwrap_or_default();
    let mut required = known(&dialect.required);
    required.retain(|name| !offered.required.contains(name));
    offered.required.append(&mut required);
    offered.immutable.append(&mut known(&dialect.immutable));
    offered.changeable = known(&dialect.changeable);
    let federated = dialect.federated.iter().filter(|one| one.resource == name);
    offered.federated = federated
        .map(|one| Federated { marked_by: one.marked_by.clone(), attributes: one.attributes.clone() })
        .collect();
}

fn of_type(definition: &Definition) -> ResourceCapabilities {
    let columns = offered(definition);
    let enabled = definition.attribute(None, "active", None).map(|attribute| attribute.name.clone());
    let mut operations = vec![Operation::Create, Operation::Update];
    if enabled.is_some() {
        operations.extend([Operation::Disable, Operation::Enable]);
    }
    operations.push(Operation::Delete);
    ResourceCapabilities {
        operations,
        immutable: columns
            .iter()
            .filter(|column| matches!(column.mutability, Mutability::Immutable | Mutability::ReadOnly))
            .map(|column| column.name.clone())
            .collect(),
        read_only: read_only(definition, &columns),
        hidden: hidden(definition),
        required: required(definition),
        unique: columns.iter().filter(|column| is_unique(column)).map(|column| column.name.clone()).collect(),
        attributes: columns
            .iter()
            .map(|column| (column.name.clone(), type_of(column.kind, column.case_exact)))
            .collect(),
        shapes: shapes(definition),
        key: vec!["id".to_owned()],
        enabled,
        ..ResourceCapabilities::default()
    }
}

/// Attributes that are taken and never returned, such as a password (RFC 7643, section 7).
/// What the schema says that only the server writes, and `meta` (RFC 7643 section 3.1), which stands in no schema.
fn read_only(definition: &Definition, columns: &[Column]) -> Vec<String> {
    let whole = definition.core.attributes.iter().filter(|attribute| attribute.mutability == Mutability::ReadOnly);
    let parts = columns.iter().filter(|column| column.mutability == Mutability::ReadOnly);
    let names: BTreeSet<String> =
        whole.map(|attribute| attribute.name.clone()).chain(parts.map(|column| column.name.clone())).collect();
    names.into_iter().chain(["meta".to_owned()]).collect()
}

fn hidden(definition: &Definition) -> Vec<String> {
    let attributes = definition.core.attributes.iter();
    let is_hidden = |a: &&Attribute| a.returned == Returned::Never || a.mutability == Mutability::WriteOnly;
    attributes.filter(is_hidden).map(|attribute| attribute.name.clone()).collect()
}

/// Attributes of the core schema that every resource needs: as the server's own schema says, and `userName` and
/// `displayName` where it does not, which RFC 7643 requires of users (section 4.1.1) and groups (section 4.2). Parts of
/// an attribute, and attributes of extensions, are needed only beside others.
fn required(definition: &Definition) -> Vec<String> {
    let by_standard = match definition.core.id.as_str() {
        urn::USER => "userName",
        urn::GROUP => "displayName",
        _ => "",
    };
    let needed = definition.core.attributes.iter().filter(|attribute| {
        let is_sent = attribute.mutability != Mutability::ReadOnly;
        is_sent && (attribute.required || attribute.name.eq_ignore_ascii_case(by_standard))
    });
    needed.map(|attribute| attribute.name.clone()).collect()
}

/// Whether no two resources may have one value of a column (RFC 7643, section 7). Of a list nobody compares the elements
/// here, and what the server writes itself is its own concern.
fn is_unique(column: &Column) -> bool {
    column.uniqueness != Uniqueness::None && !column.multi_valued && column.mutability != Mutability::ReadOnly
}

fn association(ends: [(&str, Vec<String>); 2]) -> ResourceCapabilities {
    ResourceCapabilities {
        operations: vec![Operation::Add, Operation::Remove],
        key: ends.iter().map(|(end, _)| (*end).to_owned()).collect(),
        ends: ends.into_iter().map(|(end, types)| (end.to_owned(), types)).collect(),
        ..ResourceCapabilities::default()
    }
}

/// What every attribute takes, and every part of one; those of the core schema also under its URN.
fn shapes(definition: &Definition) -> BTreeMap<String, AttributeShape> {
    let mut shapes = BTreeMap::new();
    let core = &definition.core;
    if core.attributes.is_empty() {
        // Nothing is told of this resource type: whatever the job maps is sent.
        return shapes;
    }
    let known = common_attributes().iter().chain(&core.attributes);
    let extensions = definition.extensions.iter();
    let qualified = std::iter::once(core).chain(extensions);
    let qualified = qualified.flat_map(|schema| schema.attributes.iter().map(|one| (format!("{}:", schema.id), one)));
    for (prefix, attribute) in known.map(|one| (String::new(), one)).chain(qualified) {
        let name = format!("{prefix}{}", attribute.name);
        for part in &attribute.sub_attributes {
            let elements = if attribute.multi_valued { "[]" } else { "" };
            shapes.insert(format!("{name}{elements}.{}", part.name), shape(part, part.multi_valued));
        }
        if attribute.multi_valued {
            shapes.insert(format!("{name}[]"), shape(attribute.leaf(), false));
        }
        shapes.insert(name, shape(attribute.leaf(), attribute.multi_valued));
    }
    shapes
}

fn shape(attribute: &Attribute, multi_valued: bool) -> AttributeShape {
    AttributeShape {
        kind: type_of(attribute.kind, attribute.case_exact),
        form: match attribute.kind {
            Kind::Boolean => Form::Boolean,
            Kind::Integer => Form::Whole,
            Kind::Decimal => Form::Decimal,
            Kind::DateTime => Form::Time,
            Kind::Complex => Form::Object,
            Kind::String | Kind::Binary | Kind::Reference => Form::Text,
        },
        multi_valued,
        suggested: attribute.suggested.clone(),
        max_length: attribute.max_length,
        among: None,
    }
}

fn type_of(kind: Kind, case_exact: bool) -> AttributeType {
    match kind {
        Kind::Boolean => AttributeType::Boolean,
        Kind::Decimal | Kind::Integer => AttributeType::Number,
        Kind::DateTime => AttributeType::Time,
        Kind::String if !case_exact => AttributeType::CaselessText,
        Kind::String | Kind::Binary | Kind::Reference | Kind::Complex => AttributeType::Text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::{ResourceType, Schema};

    #[test]
    fn what_must_be_unique_and_how_it_is_compared_is_what_the_schema_says() {
        let document = json!({"id": "urn:x:Thing", "attributes": [
            {"name": "code", "caseExact": true, "uniqueness": "global"}, {"name": "title", "uniqueness": "server"},
            {"name": "serial", "uniqueness": "server", "mutability": "readOnly"}, {"name": "note"},
            {"name": "level", "canonicalValues": ["low", "high"]},
            {"name": "roles", "multiValued": true, "type": "complex",
                "subAttributes": [{"name": "value", "canonicalValues": ["Admin"]}]},
            {"name": "aliases", "uniqueness": "server", "multiValued": true}]});
        let core = Schema::parse(&document).unwrap_or_default();
        let resource_type = ResourceType { schema: core.id.clone(), ..ResourceType::default() };
        let offered = of_type(&Definition { resource_type, core, extensions: Vec::new() });
        assert_eq!(offered.unique, ["code", "title"]);
        let untold =
            Definition { resource_type: ResourceType::default(), core: Schema::default(), extensions: Vec::new() };
        assert!(of_type(&untold).shapes.is_empty());
        let suggested = |name: &str| offered.shape(name).map(|shape| shape.suggested.clone()).unwrap_or_default();
        assert_eq!(
            (suggested("level"), suggested("roles")),
            (vec!["low".to_owned(), "high".to_owned()], vec!["Admin".to_owned()])
        );
        assert_eq!(offered.attributes["code"], AttributeType::Text);
        assert_eq!(offered.attributes["title"], AttributeType::CaselessText);
    }

    #[test]
    fn attributes_and_their_parts_are_known_by_every_name_that_a_job_has_for_them() {
        let offered = of_type(&Definition::user());
        let form = |name: &str| offered.shape(name).map(|shape| (shape.form, shape.multi_valued));
        for (name, wanted) in [
            ("active", Some((Form::Boolean, false))),
            ("USERNAME", Some((Form::Text, false))),
            ("userName.value", Some((Form::Text, false))),
            ("password", Some((Form::Text, false))),
            ("name.givenName", Some((Form::Text, false))),
            ("name", Some((Form::Object, false))),
            ("emails", Some((Form::Text, true))),
            ("emails.value", Some((Form::Text, false))),
            ("emails[type eq \"work\"].value", Some((Form::Text, false))),
            ("emails[type eq \"work\"].primary", Some((Form::Boolean, false))),
            ("emails[type eq \"work\"]", Some((Form::Text, false))),
            ("addresses", Some((Form::Object, true))),
            ("addresses[type eq \"a]b\"].locality", Some((Form::Text, false))),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", Some((Form::Text, false))),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", Some((Form::Text, false))),
            ("usrName", None),
            ("name.middle", None),
            ("emails[type eq \"work\"].domain", None),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:boss", None),
        ] {
            assert_eq!(form(name), wanted, "{name}");
        }
    }
}
