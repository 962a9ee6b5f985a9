//! What the server says about itself (RFC 7644 §4).

use serde_json::{Value, json};

use super::privileged_access;
use super::protocol::{Answer, Service};
use crate::scim::error::ScimError;
use crate::scim::list::ListResponse;
use crate::scim::schema::{resource_type_documents, schema_documents};
use crate::scim::urn;

/// The document at one of the three addresses. They cannot be filtered.
pub(super) fn document(service: &Service, path: &str, query: &str) -> Result<Answer, ScimError> {
    if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("filter")) {
        return Err(ScimError::new(403, "these documents cannot be filtered"));
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let documents = match parts.first() {
        Some(&"Schemas") => placed(service, "Schema", "Schemas", schemas(service)),
        Some(&"ResourceTypes") => placed(service, "ResourceType", "ResourceTypes", resource_types(service)),
        _ => return Ok(Answer::json(200, configuration(service))),
    };
    match parts.get(1) {
        None => {
            let total = documents.len() as u64;
            let list = ListResponse {
                total: Some(total),
                items_per_page: Some(total),
                start_index: Some(1),
                resources: documents,
                ..ListResponse::default()
            };
            Ok(Answer::json(200, list.into_json()))
        }
        Some(id) => {
            let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
            let found = documents.into_iter().find(|document| document["id"].as_str() == Some(id.as_ref()));
            let found = found.ok_or_else(|| ScimError::new(404, format!("there is no `{id}` here")))?;
            Ok(Answer::json(200, found))
        }
    }
}

fn schemas(service: &Service) -> Vec<Value> {
    let mut documents = schema_documents();
    if service.privileged_access {
        documents.extend(privileged_access::schema_documents());
    }
    documents
}

fn resource_types(service: &Service) -> Vec<Value> {
    let mut documents = resource_type_documents();
    if service.privileged_access {
        documents = documents.into_iter().map(privileged_access::with_linked_object).collect();
        documents.extend(privileged_access::resource_type_documents());
    }
    documents
}

fn placed(service: &Service, kind: &str, endpoint: &str, documents: Vec<Value>) -> Vec<Value> {
    documents
        .into_iter()
        .map(|mut document| {
            let id = document["id"].as_str().unwrap_or_default();
            let location = format!("{}/{endpoint}/{id}", service.base);
            document["meta"] = json!({"resourceType": kind, "location": location});
            document
        })
        .collect()
}

fn configuration(service: &Service) -> Value {
    json!({
        "schemas": [urn::SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": service.max_results},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "pagination": {
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": service.max_results,
            "maxPageSize": service.max_results,
            "cursorTimeout": service.cursor_timeout.as_secs(),
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token that the sandbox was started with",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{}/ServiceProviderConfig", service.base),
        },
    })
}
