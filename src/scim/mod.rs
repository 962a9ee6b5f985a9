//! The protocol's language: SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) without any network.
//!
//! Both ends speak it: the connector as a client, the sandbox as a server. Resources are [`serde_json::Value`] objects
//! and stay as the other side sent them; names of attributes are compared without regard to case (RFC 7643 §2.1).
//!
//! - [`filter`]: reading, writing and evaluating filters
//! - [`path`]: attribute paths, reading and setting what they name
//! - [`patch`]: PATCH requests, built by a client and applied by a server
//! - [`error`], [`list`]: the two messages that every server answers with, read leniently
//! - [`schema`]: what a resource type consists of; [`column`]: its flat snapshot columns and cells
//! - [`validate`]: a resource as a strict server wants it

mod attribute;
pub mod column;
pub mod error;
pub mod filter;
pub mod list;
mod matching;
pub mod patch;
mod patch_apply;
pub mod path;
pub mod schema;
pub mod validate;

/// The media type of every message (RFC 7644 §8.1).
pub const MEDIA_TYPE: &str = "application/scim+json";

/// URNs of the schemas and messages that both ends name.
pub mod urn {
    /// Core user (RFC 7643 §4.1).
    pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
    /// Core group (RFC 7643 §4.2).
    pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
    /// Enterprise extension of the user (RFC 7643 §4.3).
    pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    /// The service provider's configuration (RFC 7643 §5).
    pub const SERVICE_PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
    /// A resource type (RFC 7643 §6).
    pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
    /// A schema (RFC 7643 §7).
    pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
    /// A list of resources (RFC 7644 §3.4.2).
    pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
    /// A query sent as a body (RFC 7644 §3.4.3).
    pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
    /// A change of some attributes (RFC 7644 §3.5.2).
    pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    /// An error (RFC 7644 §3.12).
    pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
}
