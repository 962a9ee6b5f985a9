//! What a resource type consists of (RFC 7643 §6 and §7): the built-in definitions of user, group and enterprise user,
//! and the lenient reading of what a server publishes under `/Schemas` and `/ResourceTypes`.

use std::sync::OnceLock;

use serde_json::Value;

use super::attribute::{attributes_of, named};
use super::path::{Path, member};

pub use super::attribute::{Attribute, Kind, Mutability, Returned, Uniqueness};

/// One schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Its URN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its attributes, in the order of the document.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// Reads one schema document; `None` without an id.
    pub fn parse(document: &Value) -> Option<Self> {
        let id = member(document, "id")?.as_str()?.to_owned();
        let name = member(document, "name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { id, name, attributes: attributes_of(document, "attributes") })
    }

    /// An attribute, by its name without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        named(&self.attributes, name)
    }
}

/// What a server calls a kind of resource and where it keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name, such as `User`.
    pub name: String,
    /// Path below the base address, with its leading slash.
    pub endpoint: String,
    /// URN of the core schema.
    pub schema: String,
    /// URNs of the extensions.
    pub extensions: Vec<String>,
}

impl ResourceType {
    /// Reads one resource type document; `None` without schema or endpoint.
    pub fn parse(document: &Value) -> Option<Self> {
        let text = |name: &str| member(document, name).and_then(Value::as_str).map(str::to_owned);
        let endpoint = text("endpoint")?;
        // Some publish the whole address, some leave the slash out.
        let endpoint = match endpoint.trim_end_matches('/').rsplit_once('/') {
            Some((_, last)) => format!("/{last}"),
            None => format!("/{endpoint}"),
        };
        let extensions = member(document, "schemaExtensions").and_then(Value::as_array);
        Some(Self {
            name: text("name").or_else(|| text("id")).unwrap_or_default(),
            endpoint,
            schema: text("schema")?,
            extensions: extensions
                .into_iter()
                .flatten()
                .filter_map(|extension| member(extension, "schema").unwrap_or(extension).as_str().map(str::to_owned))
                .collect(),
        })
    }
}

/// A resource type with its schemas: everything that is needed to read, compare and write its resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Name, endpoint and URNs.
    pub resource_type: ResourceType,
    /// The core schema.
    pub core: Schema,
    /// The extensions' schemas.
    pub extensions: Vec<Schema>,
}

impl Definition {
    /// The built-in user with the enterprise extension (RFC 7643 §8.7.1).
    pub fn user() -> Self {
        Self::built_in(0)
    }

    /// The built-in group (RFC 7643 §8.7.1).
    pub fn group() -> Self {
        Self::built_in(1)
    }

    fn built_in(position: usize) -> Self {
        let types = resource_type_documents();
        let schemas: Vec<Schema> = schema_documents().iter().filter_map(Schema::parse).collect();
        types.get(position).and_then(ResourceType::parse).map(|found| Self::join(found, &schemas)).unwrap_or_default()
    }

    /// Joins a resource type with those of the schemas that it names. A core schema that is not among them is empty,
    /// an extension that is not is left out.
    pub fn join(resource_type: ResourceType, schemas: &[Schema]) -> Self {
        let find = |urn: &str| schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).cloned();
        Self {
            core: find(&resource_type.schema)
                .unwrap_or_else(|| Schema { id: resource_type.schema.clone(), ..Schema::default() }),
            extensions: resource_type.extensions.iter().filter_map(|urn| find(urn)).collect(),
            resource_type,
        }
    }

    /// Reads what a server answers to `/ResourceTypes` and `/Schemas`: list messages, bare arrays or single documents.
    pub fn parse_all(resource_types: &Value, schemas: &Value) -> Vec<Self> {
        let schemas: Vec<Schema> = documents(schemas).iter().filter_map(Schema::parse).collect();
        documents(resource_types)
            .iter()
            .filter_map(ResourceType::parse)
            .map(|resource_type| Self::join(resource_type, &schemas))
            .collect()
    }

    /// The schema of an extension.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// The attribute (or sub-attribute) that a path names; `None` if there is none, and for a whole extension.
    pub fn find(&self, path: &Path) -> Option<&Attribute> {
        self.attribute(path.urn.as_deref(), &path.attribute, path.sub.as_deref())
    }

    /// An attribute or sub-attribute by its names, without regard to case. `value` of a simple attribute is itself.
    pub fn attribute(&self, urn: Option<&str>, name: &str, sub: Option<&str>) -> Option<&Attribute> {
        let attribute = match urn {
            Some(urn) if !urn.eq_ignore_ascii_case(&self.core.id) => self.extension(urn)?.attribute(name)?,
            _ => self.core.attribute(name).or_else(|| named(common_attributes(), name))?,
        };
        match sub {
            None => Some(attribute),
            Some(sub) if attribute.kind != Kind::Complex => sub.eq_ignore_ascii_case("value").then_some(attribute),
            Some(sub) => attribute.sub(sub),
        }
    }
}

/// The attributes of every resource, which no schema document lists: `schemas`, `id`, `externalId`, `meta`
/// (RFC 7643 §3.1).
pub fn common_attributes() -> &'static [Attribute] {
    static COMMON: OnceLock<Vec<Attribute>> = OnceLock::new();
    COMMON.get_or_init(|| attributes_of(&document(include_str!("documents/common.json")), "attributes"))
}

/// The built-in schema documents, in the order user, group, enterprise user.
pub fn schema_documents() -> Vec<Value> {
    [
        include_str!("documents/user.json"),
        include_str!("documents/group.json"),
        include_str!("documents/enterprise_user.json"),
    ]
    .into_iter()
    .map(document)
    .collect()
}

/// The built-in resource type documents, in the order user, group.
pub fn resource_type_documents() -> Vec<Value> {
    documents(&document(include_str!("documents/resource_types.json")))
}

/// What a server says that it can do (RFC 7643 §5, RFC 9865 §4). A claim is no proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceProviderConfig {
    /// PATCH.
    pub patch: bool,
    /// Bulk, and the most operations in one request.
    pub bulk: Option<u64>,
    /// Filters, and the most rows in one answer (0 = not said).
    pub filter: Option<u64>,
    /// Sorting.
    pub sort: bool,
    /// Entity tags.
    pub etag: bool,
    /// Pages by cursor.
    pub cursor: bool,
    /// Pages by index; where nothing is said they are the rule.
    pub index: bool,
    /// The largest page.
    pub max_page_size: Option<u64>,
}

impl ServiceProviderConfig {
    /// Reads the document; what is missing is not supported, but paging by index.
    pub fn parse(document: &Value) -> Self {
        let supported = |name: &str| flag_in(member(document, name), "supported").unwrap_or(false);
        let number =
            |name: &str, key: &str| member(document, name).and_then(|n| member(n, key)).and_then(Value::as_u64);
        let pagination = member(document, "pagination");
        Self {
            patch: supported("patch"),
            bulk: supported("bulk").then(|| number("bulk", "maxOperations").unwrap_or(0)),
            filter: supported("filter").then(|| number("filter", "maxResults").unwrap_or(0)),
            sort: supported("sort"),
            etag: supported("etag"),
            cursor: flag_in(pagination, "cursor").unwrap_or(false),
            index: flag_in(pagination, "index").unwrap_or(true),
            max_page_size: number("pagination", "maxPageSize"),
        }
    }
}

fn flag_in(object: Option<&Value>, name: &str) -> Option<bool> {
    match member(object?, name)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => Some(text.eq_ignore_ascii_case("true")),
        _ => None,
    }
}

/// The built-in documents are part of the program and proved by a test.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn documents(answer: &Value) -> Vec<Value> {
    match member(answer, "Resources").unwrap_or(answer) {
        Value::Array(documents) => documents.clone(),
        single @ Value::Object(_) => vec![single.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::scim::urn;
    use serde_json::json;

    #[test]
    fn the_built_in_definitions_are_whole() {
        let user = Definition::user();
        assert_eq!((user.core.id.as_str(), user.core.attributes.len()), (urn::USER, 21));
        assert_eq!(user.extensions[0].id, urn::ENTERPRISE_USER);
        assert!(user.find(&Path::parse("EMAILS.primary").unwrap()).unwrap().kind == Kind::Boolean);
        assert!(user.find(&Path::parse("meta.lastModified").unwrap()).unwrap().kind == Kind::DateTime);
        let manager = format!("{}:manager.value", urn::ENTERPRISE_USER);
        assert!(user.find(&Path::parse(&manager).unwrap()).unwrap().case_exact);
        assert!(user.find(&Path::parse("employeeNumber").unwrap()).is_none());
        assert_eq!(Definition::group().resource_type.endpoint, "/Groups");
        assert_eq!(common_attributes().len(), 4);
    }

    #[test]
    fn a_server_s_own_words_are_read() {
        let types = json!({"totalResults": 1, "Resources": [{
            "id": "Container", "endpoint": "https://vault.example.com/scim/v2/Containers",
            "schema": "urn:x:Container", "schemaExtensions": [{"schema": "urn:x:Missing"}]}]});
        let schemas = json!([{"ID": "urn:x:container", "Attributes": [
            {"name": "name", "mutability": "Immutable", "caseExact": "true"},
            {"name": "owner", "subAttributes": [{"name": "value"}]}, {"type": "string"}]}]);
        let found = Definition::parse_all(&types, &schemas);
        assert_eq!(found[0].resource_type.endpoint, "/Containers");
        let name = found[0].attribute(Some("urn:x:Container"), "NAME", None).unwrap();
        assert!(name.case_exact && name.mutability == Mutability::Immutable);
        assert_eq!(found[0].core.attributes[1].kind, Kind::Complex);
        assert!(found[0].extensions.is_empty());
    }
}
