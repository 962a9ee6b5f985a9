//! The products that the server can play: a data file each, `dialects/NAME.toml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::SandboxError;
use super::database::Kind;
use super::protocol::{Answer, Content};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{AttrExp, AttrPath, CompareOp, Filter, ValFilter};

/// What a product does otherwise than the standard has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dialect {
    /// Its name.
    #[serde(skip)]
    pub name: &'static str,
    /// Whether it has containers, privileged data and permissions.
    pub(super) privileged_access: bool,
    /// Most rows in one answer.
    pub(super) max_results: Option<usize>,
    /// By endpoint, the attributes that can be filtered by; left out = all.
    filters: Option<BTreeMap<String, Vec<String>>>,
    /// The comparisons that a filter may make; left out = all.
    comparisons: Option<Vec<String>>,
    /// Whether groups show who is in them.
    pub(super) shows_members: bool,
    /// Most members that a PATCH may change.
    pub(super) members_at_once: Option<usize>,
    /// Whether a PATCH may replace all members, or take all of them away.
    pub(super) replaces_members: bool,
    /// Whether members are removed by a list of values alone.
    pub(super) removes_by_values_only: bool,
    /// By which attribute of users groups call their members, `userName` or `externalId`; left out = by their ids.
    pub(super) members_by: Option<String>,
    /// What of a member is shown, of `value`, `$ref`, `display` and `type`; left out = all.
    pub(super) member_parts: Option<Vec<String>>,
    /// Whether groups may be in groups.
    pub(super) nests_groups: bool,
    /// By endpoint, what an object cannot be without.
    pub(super) required: BTreeMap<String, Vec<String>>,
    /// By endpoint, what is never changed.
    pub(super) immutable: BTreeMap<String, Vec<String>>,
    /// By endpoint, the only attributes that are changed; other changes are answered with success.
    pub(super) changeable: BTreeMap<String, Vec<String>>,
    /// Attributes that are not changed of users who belong to another directory.
    pub(super) federated: Vec<String>,
    /// Endpoints where nothing can be created.
    uncreatable: Vec<String>,
    /// Endpoints where nothing can be changed.
    pub(super) unchangeable: Vec<String>,
    /// Whether DELETE disables a user, and removes nothing.
    pub(super) disables_deleted_users: bool,
    /// Whether a user whose login is taken, and whose e-mail is not, is stored under the e-mail.
    pub(super) falls_back_to_email: bool,
    /// Whether reading a container with an owner needs whoever asks to be that one.
    pub(super) needs_owner: bool,
    /// The rights that permissions may name; left out = any.
    pub(super) rights: Option<Vec<String>>,
    /// Whether a user's roles and organization have to be names of groups here.
    pub(super) gives_groups: bool,
    /// Refusals in a row after which it answers nothing else.
    errors_in_a_row: Option<u64>,
    /// What it says, by what happened.
    messages: BTreeMap<String, Message>,
}

/// What a product says of something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    status: u16,
    #[serde(default)]
    scim_type: Option<String>,
    /// `{0}` stands for what it is about.
    detail: String,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            name: "generic",
            privileged_access: false,
            max_results: None,
            filters: None,
            comparisons: None,
            shows_members: true,
            members_at_once: None,
            replaces_members: true,
            removes_by_values_only: false,
            members_by: None,
            member_parts: None,
            nests_groups: true,
            required: BTreeMap::new(),
            immutable: BTreeMap::new(),
            changeable: BTreeMap::new(),
            federated: Vec::new(),
            uncreatable: Vec::new(),
            unchangeable: Vec::new(),
            disables_deleted_users: false,
            falls_back_to_email: false,
            needs_owner: false,
            rights: None,
            gives_groups: false,
            errors_in_a_row: None,
            messages: BTreeMap::new(),
        }
    }
}

/// The files, by name; sorted.
const FILES: &[(&str, &str)] = &[
    ("aws", include_str!("dialects/aws.toml")),
    ("cato", include_str!("dialects/cato.toml")),
    ("delinea", include_str!("dialects/delinea.toml")),
    ("entra", include_str!("dialects/entra.toml")),
    ("generic", include_str!("dialects/generic.toml")),
    ("incydr", include_str!("dialects/incydr.toml")),
    ("okta", include_str!("dialects/okta.toml")),
    ("secret-server", include_str!("dialects/secret-server.toml")),
];

impl Dialect {
    /// The names of all products, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    /// The product with a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        all().iter().find(|dialect| dialect.name == name)
    }

    /// One that a file has, which is written as those here are; where the name does not end in `.toml`, `None`.
    ///
    /// # Errors
    /// [`SandboxError::Dialect`].
    pub fn of_file(path: &Path) -> Option<Result<&'static Self, SandboxError>> {
        path.extension().filter(|extension| *extension == "toml")?;
        let wrong = |cause: String| SandboxError::Dialect { path: path.to_owned(), cause };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()));
        let read = text.and_then(|text| Self::read("own", &text).map_err(|error| wrong(error.to_string())));
        Some(read.map(|dialect| &*Box::leak(Box::new(dialect))))
    }

    /// A server that keeps to the standard.
    pub fn generic() -> &'static Self {
        static NOTHING: OnceLock<Dialect> = OnceLock::new();
        Self::named("generic").unwrap_or_else(|| NOTHING.get_or_init(Self::default))
    }

    fn read(name: &'static str, text: &str) -> Result<Self, toml::de::Error> {
        Ok(Self { name, ..toml::from_str(text)? })
    }

    /// One of its messages, by name; without words of its own the name itself.
    pub(super) fn saying(&self, message: &str, about: &str) -> ScimError {
        match self.messages.get(message) {
            Some(said) => ScimError {
                status: said.status,
                scim_type: said.scim_type.clone(),
                detail: said.detail.replace("{0}", about),
            },
            None => ScimError::new(400, format!("{} `{about}`", message.replace('-', " ")).replace(" ``", "")),
        }
    }

    /// One of its messages, where it has words of its own for it.
    pub(super) fn own(&self, message: &str, about: &str) -> Option<ScimError> {
        self.messages.contains_key(message).then(|| self.saying(message, about))
    }

    /// A refusal of the standard in the words of the product.
    pub(super) fn reworded(&self, error: ScimError, path: &str, query: &str) -> ScimError {
        if self.messages.values().any(|said| error.status == said.status && is_from(&said.detail, &error.detail)) {
            return error;
        }
        let named = error.detail.split('`').nth(1).unwrap_or_default().to_owned();
        let own = match error.status {
            404 => {
                let id = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                self.own("not-found", &percent_encoding::percent_decode_str(id).decode_utf8_lossy())
            }
            409 => self.own("unique", named_attribute(&error.detail)),
            500 => self.own("internal", ""),
            503 => self.own("unavailable", ""),
            400 if error.is(ScimType::InvalidFilter) => {
                let filter = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "filter");
                let filter = filter.map(|(_, text)| text.into_owned()).unwrap_or_default();
                let message = if error.detail.contains("cannot be read") { "filter-malformed" } else { "filter" };
                self.own(message, &filter)
            }
            400 if error.is(ScimType::InvalidValue) && error.detail.ends_with("is required") => {
                self.own("required", &named)
            }
            400 if error.is(ScimType::InvalidValue) => self.own("invalid", &named),
            400 if error.is(ScimType::Mutability) => self.own("immutable", &named),
            400 if error.is(ScimType::InvalidSyntax) => self.own("incompatible", ""),
            _ => None,
        };
        own.unwrap_or(error)
    }

    /// A scripted error in the words of the product.
    pub(super) fn in_its_words(&self, mut answer: Answer, path: &str) -> Answer {
        if let Content::Json(Value::Object(body)) = &mut answer.content
            && body.contains_key("status")
        {
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
            let told = self.reworded(ScimError::new(answer.status, detail), path, "");
            body.insert("detail".to_owned(), Value::String(told.detail));
        }
        answer
    }

    /// What it says when it has switched itself off.
    pub(super) fn switched_off(&self, refusals: u64) -> Option<ScimError> {
        self.errors_in_a_row.filter(|most| refusals >= *most).map(|_| self.saying("switched-off", ""))
    }

    /// Refuses where nothing can be created.
    pub(super) fn creatable(&self, kind: Kind) -> Result<(), ScimError> {
        match self.uncreatable.iter().any(|name| *name == endpoint(kind)) {
            true => Err(self.saying("not-supported", kind.name())),
            false => Ok(()),
        }
    }

    /// Refuses filters that the product does not have.
    pub(super) fn filtered(&self, filter: &Filter, kinds: &[Kind], text: &str) -> Result<(), ScimError> {
        let mut terms = Vec::new();
        terms_of(filter, &mut terms);
        let is_known = |name: &str| {
            self.filters.as_ref().is_none_or(|filters| {
                let of = |kind: &Kind| filters.get(endpoint(*kind)).into_iter().flatten();
                kinds.iter().flat_map(of).any(|known| known.eq_ignore_ascii_case(name))
            })
        };
        let refused = |message: &str| {
            let plain = || ScimError::bad(ScimType::InvalidFilter, format!("the filter `{text}` is not supported"));
            self.own(message, text).unwrap_or_else(plain)
        };
        if terms.iter().any(|(name, _)| !is_known(name)) {
            return Err(refused("filter"));
        }
        let is_compared = |op: &str| self.comparisons.as_ref().is_none_or(|known| known.iter().any(|one| one == op));
        if terms.iter().any(|(_, op)| !is_compared(op)) {
            return Err(refused("filter-comparison"));
        }
        Ok(())
    }
}

/// The attributes of a filter with their comparisons: `emails.value` and `eq`, `and`, `or`, `not` and `pr` among them.
fn terms_of(filter: &Filter, terms: &mut Vec<(String, String)>) {
    match filter {
        Filter::And(inner) => inner.iter().for_each(|term| terms_of(term, terms)),
        Filter::Or(inner) => {
            let first = terms.len();
            inner.iter().for_each(|term| terms_of(term, terms));
            let name = terms.get(first).map(|(name, _)| name.clone()).unwrap_or_default();
            terms.push((name, "or".to_owned()));
        }
        Filter::Not(inner) => {
            let first = terms.len();
            terms_of(inner, terms);
            let name = terms.get(first).map(|(name, _)| name.clone()).unwrap_or_default();
            terms.push((name, "not".to_owned()));
        }
        Filter::Attr(AttrExp::Present(path)) => terms.push((spelled(path), "pr".to_owned())),
        Filter::Attr(AttrExp::Comparison(path, op, _)) => terms.push((spelled(path), comparison(op))),
        Filter::ValuePath(inner) => {
            let op = match inner.filter.as_ref() {
                ValFilter::Attr(AttrExp::Comparison(_, op, _)) => comparison(op),
                _ => "eq".to_owned(),
            };
            terms.push((spelled(&inner.attr), op));
        }
    }
}

fn comparison(op: &CompareOp) -> String {
    op.to_string().to_lowercase()
}

fn spelled(path: &AttrPath) -> String {
    match &path.sub_attr {
        Some(sub) => format!("{}.{sub}", path.name),
        None => path.name.clone(),
    }
}

/// The name of a kind's endpoint.
pub(super) fn endpoint(kind: Kind) -> &'static str {
    kind.endpoint().trim_start_matches('/')
}

/// Whether a text was made of a message.
fn is_from(message: &str, text: &str) -> bool {
    let mut rest = text;
    message.split("{0}").all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The attribute that a refusal begins with: `userName` of "userName `x` is taken".
fn named_attribute(detail: &str) -> &str {
    detail.split(' ').next().unwrap_or_default()
}

/// A file that cannot be read is left out; a test reads all of them.
fn all() -> &'static [Dialect] {
    static ALL: OnceLock<Vec<Dialect>> = OnceLock::new();
    ALL.get_or_init(|| FILES.iter().filter_map(|(name, text)| Dialect::read(name, text).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read() {
        for (name, text) in FILES {
            assert!(Dialect::read(name, text).map_err(|error| println!("{name}: {error}")).is_ok(), "{name}");
        }
        assert!(Dialect::names().is_sorted());
        assert_eq!(all().len(), FILES.len());
    }
}
