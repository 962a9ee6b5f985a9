//! What a provider says about itself (RFC 7644 section 4), read leniently.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{MEMBERSHIPS, NESTINGS, ScimSystem};
use crate::connector::failure_table::Asked;
use crate::connector::http::{Answer, Request};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::scim::path::member;
use crate::scim::schema::{Definition, Schema, ServiceProviderConfig, Uniqueness, schema_documents};
use crate::scim::urn;

/// What a provider is like.
pub(super) struct Discovery {
    pub(super) provider: ServiceProviderConfig,
    /// What tells one version of the service from another: what proofs hold for.
    pub(super) version: String,
    /// Resource name → definition.
    pub(super) types: BTreeMap<String, Definition>,
    /// What had to be assumed, in sentences.
    pub(super) notes: Vec<String>,
}

impl Discovery {
    /// Resource types and associations, sorted.
    pub(super) fn resource_names(&self) -> impl Iterator<Item = &str> {
        let associations = self.types.contains_key("groups").then_some([MEMBERSHIPS, NESTINGS]);
        let mut names: Vec<&str> =
            self.types.keys().map(String::as_str).chain(associations.into_iter().flatten()).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

/// The resource's name in job files: the endpoint without its slash, the first letter in lower case.
fn resource_name(definition: &Definition) -> String {
    let endpoint = definition.resource_type.endpoint.trim_matches('/');
    let mut letters = endpoint.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

pub(super) async fn discover(system: &ScimSystem) -> Result<Discovery, Failure> {
    let answer = asked(system, "ServiceProviderConfig").await?;
    let provider = answer.1;
    if !["schemas", "patch", "filter", "authenticationSchemes"].iter().any(|name| member(&provider, name).is_some()) {
        return Err(system.failure(
            Class::Configuration,
            format!(
                "{}ServiceProviderConfig answers, but not as a SCIM 2.0 service does: the API is disabled or the address \
                 is wrong",
                system.http.base()
            ),
            "switch the API (web services) on at this system, or correct the url",
        ));
    }
    let mut notes = Vec::new();
    let types = optional(system, "ResourceTypes", &mut notes).await?;
    let schemas = optional(system, "Schemas", &mut notes).await?;

    let mut definitions = Definition::parse_all(&types, &schemas);
    if definitions.is_empty() {
        notes.push("no resource types are published: users and groups are assumed".to_owned());
        definitions = vec![Definition::user(), Definition::group()];
        definitions.iter_mut().for_each(|definition| definition.core = assumed(definition.core.clone()));
    }
    let built_in: Vec<Schema> = schema_documents().iter().filter_map(Schema::parse).collect();
    for definition in &mut definitions {
        complete(definition, &built_in, &mut notes);
    }
    let types = definitions
        .into_iter()
        .map(|definition| (resource_name(&definition), definition))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    for note in &notes {
        system.notice_once(note.clone());
    }
    let version = version(system, &answer.0, &provider);
    Ok(Discovery { provider: ServiceProviderConfig::parse(&provider), version, types, notes })
}

/// The host and path, the server as it calls itself, and a digest of its ServiceProviderConfig; not its `meta`, which
/// moves with every start of some. The port is left out: the built-in server has another one in every run.
fn version(system: &ScimSystem, answer: &Answer, provider: &Json) -> String {
    let mut provider = provider.clone();
    if let Json::Object(members) = &mut provider {
        members.retain(|name, _| !name.eq_ignore_ascii_case("meta"));
    }
    let digest: String =
        Sha256::digest(provider.to_string()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let server = answer.header("server").unwrap_or("a server that does not name itself");
    let base = system.http.base();
    format!("{server} at {}{}, ServiceProviderConfig {digest}", base.host_str().unwrap_or(""), base.path())
}

/// Fills in the protocol's own schemas where a provider names them without publishing them.
fn complete(definition: &mut Definition, built_in: &[Schema], notes: &mut Vec<String>) {
    let standard = |urn: &str| built_in.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).cloned();
    if definition.core.attributes.is_empty()
        && let Some(schema) = standard(&definition.core.id)
    {
        notes.push(format!("the schema {} is not published: the one of RFC 7643 is assumed", schema.id));
        definition.core = assumed(schema);
    }
    for urn in definition.resource_type.extensions.clone() {
        if definition.extension(&urn).is_none()
            && let Some(schema) = standard(&urn)
        {
            notes.push(format!("the schema {} is not published: the one of RFC 7643 is assumed", schema.id));
            definition.extensions.push(schema);
        }
    }
    let is_user = definition.core.id.eq_ignore_ascii_case(urn::USER);
    if is_user
        && definition.resource_type.extensions.is_empty()
        && let Some(schema) = standard(urn::ENTERPRISE_USER)
        && !notes.is_empty()
    {
        // Nothing certain is published, so the usual extension is offered too; an unused column does no harm.
        definition.extensions.push(schema);
    }
}

/// A schema that nobody published. Of what it says is unique only `userName` is so at every provider (RFC 7643,
/// section 4.1.1).
fn assumed(mut schema: Schema) -> Schema {
    for attribute in schema.attributes.iter_mut().filter(|attribute| attribute.name != "userName") {
        attribute.uniqueness = Uniqueness::None;
    }
    schema
}

async fn document(system: &ScimSystem, name: &str) -> Result<Json, Failure> {
    asked(system, name).await.map(|(_, json)| json)
}

async fn asked(system: &ScimSystem, name: &str) -> Result<(Answer, Json), Failure> {
    let request = Request::new(Method::GET, system.http.address(&[name]), Asked::Discovery);
    let answer = system.http.read(&request).await?;
    let json = answer.json().map_err(|error| {
        let mut failure = system.bad_answer(
            &format!("GET {}", request.url),
            format!("the answer is no JSON ({error}): the API is disabled or the address is wrong"),
            &answer,
            Effect::None,
        );
        failure.class = Class::Configuration;
        failure
    })?;
    Ok((answer, json))
}

/// A document that a provider may do without; what keeps it from answering anything is a failure all the same.
async fn optional(system: &ScimSystem, name: &str, notes: &mut Vec<String>) -> Result<Json, Failure> {
    match document(system, name).await {
        Ok(json) => Ok(json),
        Err(failure)
            if failure.recourse == Recourse::GiveUp
                || matches!(failure.class, Class::Configuration | Class::Permission) =>
        {
            notes
                .push(format!("/{name} is not available ({}): the definitions of RFC 7643 are assumed", failure.cause));
            Ok(Json::Null)
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::ResourceType;

    #[test]
    fn resources_are_named_after_their_endpoints() {
        for (endpoint, name) in [
            ("/Users", "users"),
            ("/ContainerPermissions", "containerPermissions"),
            ("/PrivilegedData", "privilegedData"),
        ] {
            let resource_type = ResourceType { endpoint: endpoint.to_owned(), ..ResourceType::default() };
            assert_eq!(resource_name(&Definition { resource_type, ..Definition::default() }), name);
        }
    }
}
