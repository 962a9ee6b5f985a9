//! Which request means what (RFC 7644 §3), and the answers to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;

use super::Clock;
use super::database::{Database, Kind, Record};
use super::dialect::Dialect;
use super::fault_engine::Tweaks;
use super::projection::Projection;
use super::query::Query;
use super::{discovery, listing, member_names, quirks, resources};
use crate::scim::MEDIA_TYPE;
use crate::scim::error::{ScimError, ScimType};

/// What is kept, and the settings that answers depend on.
pub(super) struct Service {
    pub(super) database: Database,
    /// The base address, without a slash at its end.
    pub(super) base: String,
    pub(super) clock: Clock,
    pub(super) max_results: usize,
    pub(super) cursor_timeout: Duration,
    /// How many users may be active.
    pub(super) seats: Option<u64>,
    /// The login of whoever asks.
    pub(super) me: Option<String>,
    /// The product that is played.
    pub(super) dialect: &'static Dialect,
    /// Whether there are containers, privileged data and permissions.
    pub(super) privileged_access: bool,
    /// Refusals since the last success.
    pub(super) refusals: AtomicU64,
}

/// A request, its credential proved.
pub(super) struct Request {
    pub(super) method: String,
    /// Below the base path, as sent; empty or with its leading slash.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) content_type: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) body: Bytes,
    pub(super) tweaks: Tweaks,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) content: Content,
}

/// The body of an answer.
pub(super) enum Content {
    Nothing,
    Json(Value),
    Raw(String),
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: BTreeMap::new(), content: Content::Json(body) }.header("content-type", MEDIA_TYPE)
    }

    pub(super) fn raw(status: u16, content_type: &str, body: String) -> Self {
        Self { status, headers: BTreeMap::new(), content: Content::Raw(body) }.header("content-type", content_type)
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: BTreeMap::new(), content: Content::Nothing }
    }

    pub(super) fn error(error: &ScimError) -> Self {
        Self::json(error.status, error.to_json())
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    /// The body as it goes over the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Nothing => Vec::new(),
            Content::Json(body) => body.to_string().into_bytes(),
            Content::Raw(body) => body.clone().into_bytes(),
        }
    }
}

/// What an address names.
enum Target {
    /// One of the documents about the server itself.
    Discovery,
    /// All resources.
    Root,
    /// The resources of a kind.
    Collection(Kind),
    /// A query sent as a body, among these kinds.
    Search(Vec<Kind>),
    /// One resource.
    Resource(Kind, String),
    /// The user that asks (RFC 7644 §3.11).
    Me,
}

impl Service {
    /// Answers a request.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        if let Some(off) = self.dialect.switched_off(self.refusals.load(Ordering::Relaxed)) {
            return Answer::error(&off);
        }
        let answered = match &request.tweaks.says {
            Some(said) => Err(self.dialect.saying(&said.0, &said.1)),
            None => self.try_answer(request),
        };
        let answer = answered
            .unwrap_or_else(|error| Answer::error(&self.dialect.reworded(error, &request.path, &request.query)));
        self.count(answer.status);
        answer
    }

    /// Counts refusals in a row.
    pub(super) fn count(&self, status: u16) {
        if status < 400 {
            self.refusals.store(0, Ordering::Relaxed);
        } else {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kinds that there are.
    pub(super) fn kinds(&self) -> &'static [Kind] {
        if self.privileged_access { &Kind::ALL } else { &Kind::STANDARD }
    }

    /// Whether the product shows a computed attribute at all.
    pub(super) fn shows(&self, attribute: &str) -> bool {
        self.dialect.shows_members || attribute != "members"
    }

    fn try_answer(&self, request: &Request) -> Result<Answer, ScimError> {
        // HEAD is a GET whose body the connection leaves out.
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        match (locate(&request.path, self.kinds())?, method) {
            (Target::Discovery, "GET") => discovery::document(self, &request.path, &request.query),
            (Target::Root, "GET") => self.list(self.kinds(), Query::from_url(&request.query)?, request),
            (Target::Collection(kind), "GET") => self.list(&[kind], Query::from_url(&request.query)?, request),
            (Target::Search(kinds), "POST") => self.list(&kinds, Query::from_body(&request.json()?)?, request),
            (Target::Collection(kind), "POST") => {
                let body = request.json()?;
                let record = resources::create(self, kind, &body, &request.tweaks)?;
                let answer = self.shown(&record, 201, request)?;
                Ok(answer.header("location", self.location(&record)))
            }
            (Target::Resource(kind, id), "GET") => {
                let record = self.database.read(|data| {
                    let record = data.get(kind, &id)?.ok_or_else(|| not_found(kind, &id))?;
                    quirks::readable(self, data, &record)?;
                    Ok(record)
                })?;
                let unchanged = request.if_none_match.as_deref().is_some_and(|tags| names(tags, &record.etag()));
                if unchanged && !request.tweaks.ignore_preconditions {
                    return Ok(Answer::empty(304).header("etag", record.etag()));
                }
                self.shown(&record, 200, request)
            }
            (Target::Me, "GET") if self.me.is_some() => {
                let login = self.me.as_deref().unwrap_or_default();
                let found = self.database.read(|data| data.by_name(Kind::User, login))?;
                let found = found.ok_or_else(|| ScimError::new(404, "whoever asks is no user here"))?;
                let answer = self.shown(&found, 200, request)?;
                Ok(answer.header("location", self.location(&found)))
            }
            (Target::Me, _) => Err(ScimError::new(501, "this server does not offer it")),
            (Target::Resource(kind, id), "PUT") => {
                let body = request.json()?;
                let record = resources::replace(self, kind, &id, &body, request)?;
                self.shown(&record, 200, request)
            }
            (Target::Resource(kind, id), "PATCH") => {
                let body = request.json()?;
                let record = resources::patch(self, kind, &id, &body, request)?;
                // §3.5.2: who names attributes wants to see them.
                if Query::from_url(&request.query)?.projection.is_default() {
                    return Ok(Answer::empty(204).header("etag", record.etag()));
                }
                self.shown(&record, 200, request)
            }
            (Target::Resource(kind, id), "DELETE") => {
                resources::delete(self, kind, &id, request)?;
                Ok(Answer::empty(204))
            }
            (target, _) => {
                let allowed = match target {
                    Target::Discovery | Target::Root | Target::Me => "GET, HEAD",
                    Target::Collection(_) => "GET, HEAD, POST",
                    Target::Search(_) => "POST",
                    Target::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE",
                };
                let error = ScimError::new(405, format!("{method} is not for this address; it takes {allowed}"));
                Ok(Answer::error(&error).header("allow", allowed))
            }
        }
    }

    fn list(&self, kinds: &[Kind], query: Query, request: &Request) -> Result<Answer, ScimError> {
        Ok(Answer::json(200, listing::list(self, kinds, query, &request.tweaks)?.into_json()))
    }

    /// A resource as an answer.
    fn shown(&self, record: &Record, status: u16, request: &Request) -> Result<Answer, ScimError> {
        let projection = Query::from_url(&request.query)?.projection;
        let body = self.render(record, &projection, &request.tweaks)?;
        Ok(Answer::json(status, body).header("etag", record.etag()))
    }

    fn render(&self, record: &Record, projection: &Projection, tweaks: &Tweaks) -> Result<Value, ScimError> {
        self.database.read(|data| {
            let mut body =
                resources::render(data, record, &self.base, |name| self.shows(name) && projection.shows(name))?;
            member_names::shown(self.dialect, data, &mut body)?;
            clip_members(&mut body, tweaks);
            Ok(projection.apply(body, record.kind.definition()))
        })
    }

    /// The address of a resource.
    pub(super) fn location(&self, record: &Record) -> String {
        format!("{}{}/{}", self.base, record.kind.endpoint(), record.id)
    }
}

impl Request {
    /// The body as JSON.
    fn json(&self) -> Result<Value, ScimError> {
        let media_type =
            self.content_type.as_deref().unwrap_or(MEDIA_TYPE).split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) && !media_type.eq_ignore_ascii_case("application/json") {
            return Err(ScimError::new(415, format!("the body is {media_type}; send {MEDIA_TYPE}")));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ScimError::bad(ScimType::InvalidSyntax, format!("the body is no JSON: {error}")))
    }

    /// The tags of If-Match, where they count.
    pub(super) fn condition(&self) -> Option<&str> {
        self.if_match.as_deref().filter(|_| !self.tweaks.ignore_preconditions)
    }
}

fn locate(path: &str, kinds: &[Kind]) -> Result<Target, ScimError> {
    let nothing = || ScimError::new(404, format!("nothing is at `{path}`"));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let target = match parts.as_slice() {
        [] => Target::Root,
        [".search"] => Target::Search(kinds.to_vec()),
        ["ServiceProviderConfig" | "Schemas" | "ResourceTypes"] | ["Schemas" | "ResourceTypes", _] => Target::Discovery,
        ["Me"] => Target::Me,
        ["Bulk"] => return Err(ScimError::new(501, "this server does not offer it")),
        [endpoint, rest @ ..] => {
            let kind = kinds.iter().copied().find(|kind| kind.endpoint().trim_start_matches('/') == *endpoint);
            match (kind.ok_or_else(nothing)?, rest) {
                (kind, []) => Target::Collection(kind),
                (kind, [".search"]) => Target::Search(vec![kind]),
                (kind, [id]) => {
                    let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
                    Target::Resource(kind, id.into_owned())
                }
                _ => return Err(nothing()),
            }
        }
    };
    Ok(target)
}

/// The 404 of a resource that is not there.
pub(super) fn not_found(kind: Kind, id: &str) -> ScimError {
    ScimError::new(404, format!("there is no {} `{id}`", kind.name()))
}

/// Whether a list of entity tags names this one; weak and strong are the same here (RFC 7644 §3.14).
pub(super) fn names(tags: &str, etag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    tags.split(',').any(|tag| tag.trim() == "*" || plain(tag) == plain(etag))
}

/// Shows no more members than a fault allows.
pub(super) fn clip_members(body: &mut Value, tweaks: &Tweaks) {
    if let (Some(max), Some(Value::Array(members))) = (tweaks.clip_members, body.get_mut("members")) {
        members.truncate(max);
    }
}
