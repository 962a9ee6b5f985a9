//! Single objects: by id, and by the value of an attribute.

use std::sync::PoisonError;

use reqwest::Method;
use serde_json::Value as Json;

use super::pager::Pager;
use super::rows::holds_value;
use super::{ScimSystem, id_of};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::object::Object;
use crate::model::value::Value;
use crate::scim::column::ColumnReader;
use crate::scim::filter;
use crate::scim::schema::{Definition, Returned};

pub(super) async fn get(system: &ScimSystem, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
    let definition = system.definition(resource).await?;
    let Some(json) = read(system, definition, id).await? else { return Ok(None) };
    Ok(system.reader(resource, definition, [])?.object(&json))
}

/// The resource with an id as it came, or `None` where there is none.
pub(super) async fn read(system: &ScimSystem, definition: &Definition, id: &str) -> Result<Option<Json>, Failure> {
    if id.is_empty() {
        return Ok(None);
    }
    let mut url = system.http.address(&[definition.resource_type.endpoint.trim_matches('/'), id]);
    if let Some((name, names)) = on_request(definition) {
        url.query_pairs_mut().append_pair(name, &names);
    }
    let request = Request::new(Method::GET, url, Asked::Object);
    let answer = match system.http.read(&request).await {
        Ok(answer) => answer,
        Err(failure) if failure.class == Class::Stale => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let what = || format!("GET {}", request.url);
    let json = answer.json().map_err(|error| system.bad_answer(&what(), error, &answer, Effect::None))?;
    match id_of(&json) {
        Some(found) if found == id => Ok(Some(json)),
        Some(found) => {
            Err(system.bad_answer(&what(), format!("asked for `{id}`, got `{found}`"), &answer, Effect::None))
        }
        None => Err(system.bad_answer(&what(), "the answer has no id", &answer, Effect::None)),
    }
}

/// What to ask for where the members of groups come on request alone (RFC 7643 section 7, `returned`): every attribute, for
/// one that is asked for keeps the others away.
pub(super) fn on_request(definition: &Definition) -> Option<(&'static str, String)> {
    let attributes = &definition.core.attributes;
    attributes.iter().find(|one| one.name == "members" && one.returned == Returned::Request)?;
    let shown = attributes.iter().filter(|one| one.returned != Returned::Never).map(|one| one.name.as_str());
    let extensions = definition.extensions.iter().map(|schema| schema.id.as_str());
    Some(("attributes", shown.chain(extensions).collect::<Vec<_>>().join(",")))
}

pub(super) async fn find(
    system: &ScimSystem,
    resource: &str,
    attribute: &str,
    value: &str,
) -> Result<Vec<Object>, Failure> {
    let definition = system.definition(resource).await?;
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let reader = system.reader(resource, definition, [&attribute.to_owned()])?;
    let Some(column) = reader.column(attribute) else { return Ok(Vec::new()) };
    let search = Search { system, resource, attribute, definition, column };
    let found = match search.by_filter(value).await? {
        Some(found) => found,
        None => search.by_reading(value).await?,
    };
    Ok(found.iter().filter_map(|resource| reader.object(resource)).collect())
}

/// What is known about a provider's filter on one attribute.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Proof {
    /// It has found what was asked for; whether a miss means absence is not known yet.
    Hits,
    /// A miss means that there is none.
    Works,
    /// It regards case where the schema says that there is none: a hit counts, a miss says nothing.
    RegardsCase,
    /// It is refused, ignored, or finds nothing.
    Useless,
}

/// The words of proofs that outlive a run.
const WORDS: &[(&str, Proof)] =
    &[("works", Proof::Works), ("regards case", Proof::RegardsCase), ("useless", Proof::Useless)];

/// A value that nobody has.
const NOBODY: &str = "nobody-has-this-7d1c2f60b9";

/// Proves the filter on an attribute anew, by the objects of the first page; `None` where none of them has a value.
pub(super) async fn prove(system: &ScimSystem, resource: &str, attribute: &str) -> Result<Option<Proof>, Failure> {
    let definition = system.definition(resource).await?;
    let reader = system.reader(resource, definition, [&attribute.to_owned()])?;
    let Some(column) = reader.column(attribute) else { return Ok(None) };
    let search = Search { system, resource, attribute, definition, column };
    match system.dialect.filters_by(resource, attribute) {
        true => search.prove(false).await,
        false => Ok(Some(Proof::Useless)),
    }
}

struct Search<'a> {
    system: &'a ScimSystem,
    resource: &'a str,
    attribute: &'a str,
    definition: &'a Definition,
    column: &'a ColumnReader,
}

impl Search<'_> {
    /// What the provider's filter finds, or `None` where it cannot be trusted for this attribute.
    async fn by_filter(&self, value: &str) -> Result<Option<Vec<Json>>, Failure> {
        let known = match self.known() {
            None => self.kept().await?,
            known => known,
        };
        if known == Some(Proof::Useless) {
            return Ok(None);
        }
        if !self.system.dialect.filters_by(self.resource, self.attribute) {
            let product = &self.system.dialect.product;
            self.remember(Proof::Useless, &format!("{product} does not filter by it"));
            return Ok(None);
        }
        let found = match self.ask(value).await {
            Ok(found) => found,
            Err(failure) if is_refused_filter(&failure) => {
                // A value may be too long or too strange for one server's filters while others pass.
                if known.is_none() && !matches!(failure.status, Some(413 | 414 | 431)) {
                    self.remember(Proof::Useless, &failure.cause);
                } else {
                    self.system.notice_once(format!(
                        "a filter on {} {} is refused for some values: those are looked for by reading everything",
                        self.resource, self.attribute
                    ));
                }
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let (matching, others): (Vec<Json>, Vec<Json>) =
            found.into_iter().partition(|resource| self.fits(resource, value));
        if !others.is_empty() {
            self.remember(Proof::Useless, "the provider sends objects that do not match");
            self.keep(Proof::Useless);
            return Ok(None);
        }
        if !matching.is_empty() {
            if known.is_none() {
                self.remember(Proof::Hits, "");
            }
            return Ok(Some(matching));
        }
        // No rows: to be believed only where the filter has found something that is known to be there.
        let proof = match known {
            Some(Proof::Works | Proof::RegardsCase) => known,
            _ => self.prove(true).await?,
        };
        match proof {
            None | Some(Proof::Works) => Ok(Some(matching)),
            Some(Proof::RegardsCase) => self.by_spellings(value).await.map(Some),
            Some(Proof::Hits | Proof::Useless) => Ok(None),
        }
    }

    /// What the filter finds for the value in every case in which it occurs.
    async fn by_spellings(&self, value: &str) -> Result<Vec<Json>, Failure> {
        let read = async || {
            let mut pager = Pager::new(self.system, &self.definition.resource_type.endpoint, Vec::new()).await?;
            let mut values = Vec::new();
            while let Some(page) = pager.next().await? {
                values.extend(page.iter().flat_map(|resource| self.values(resource)));
            }
            Ok(values)
        };
        let mut found: Vec<Json> = Vec::new();
        for spelling in self.system.spellings.of(self.resource, self.attribute, value, read).await? {
            for resource in self.ask(&spelling).await? {
                let is_new = found.iter().all(|other| id_of(other) != id_of(&resource));
                if is_new && self.fits(&resource, value) {
                    found.push(resource);
                }
            }
        }
        Ok(found)
    }

    fn values(&self, resource: &Json) -> Vec<String> {
        match Value::from_cell(&self.column.cell(resource)) {
            Some(Value::Text(text)) => vec![text],
            Some(Value::Many(values)) => values,
            None => Vec::new(),
        }
    }

    /// Looks for the value of an object that exists, in its own and in the other case, and for one that nobody has;
    /// `None` where nobody has a value, on the first page or on `all` of them.
    async fn prove(&self, all: bool) -> Result<Option<Proof>, Failure> {
        let endpoint = &self.definition.resource_type.endpoint;
        let mut pager = Pager::new(self.system, endpoint, Vec::new()).await?;
        while let Some(page) = pager.next().await? {
            for resource in &page {
                let Some(value) = self.values(resource).into_iter().next() else { continue };
                let other_case =
                    if value.to_lowercase() == value { value.to_uppercase() } else { value.to_lowercase() };
                let proof = if !self.finds(resource, &value).await? || !self.ask(NOBODY).await?.is_empty() {
                    Proof::Useless
                } else if self.fits(resource, &other_case) && !self.finds(resource, &other_case).await? {
                    Proof::RegardsCase
                } else {
                    Proof::Works
                };
                let why = "it does not find an object that is there, or it finds others";
                self.remember(proof, why);
                self.keep(proof);
                return Ok(Some(proof));
            }
            if !all {
                break;
            }
        }
        Ok(None)
    }

    /// Whether the filter finds an object by a value that it has.
    async fn finds(&self, resource: &Json, value: &str) -> Result<bool, Failure> {
        let id = id_of(resource);
        match self.ask(value).await {
            Ok(found) => {
                let fit = found.iter().all(|other| self.fits(other, value));
                Ok(fit && found.iter().any(|other| id_of(other) == id))
            }
            Err(failure) if is_refused_filter(&failure) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn ask(&self, value: &str) -> Result<Vec<Json>, Failure> {
        let parameters = vec![("filter", filter::eq(self.attribute, value))];
        let mut pager =
            Pager::new(self.system, &self.definition.resource_type.endpoint, parameters).await?.without_last_look();
        let mut found = Vec::new();
        while let Some(page) = pager.next().await? {
            found.extend(page);
            // One that does not match says enough: the filter is ignored.
            if found.last().is_some_and(|last| !self.fits(last, value)) {
                break;
            }
        }
        Ok(found)
    }

    async fn by_reading(&self, value: &str) -> Result<Vec<Json>, Failure> {
        let mut pager = Pager::new(self.system, &self.definition.resource_type.endpoint, Vec::new()).await?;
        let mut found = Vec::new();
        while let Some(page) = pager.next().await? {
            found.extend(page.into_iter().filter(|resource| self.fits(resource, value)));
        }
        Ok(found)
    }

    fn fits(&self, resource: &Json, value: &str) -> bool {
        holds_value(self.definition, self.column, resource, value)
    }

    /// What earlier runs proved.
    async fn kept(&self) -> Result<Option<Proof>, Failure> {
        let kept = self.system.proved(&self.what()).await?;
        let proof = kept.and_then(|kept| WORDS.iter().find(|(word, _)| *word == kept.found)).map(|(_, proof)| *proof);
        if let Some(proof) = proof {
            self.remember(proof, "as was proved before");
        }
        Ok(proof)
    }

    /// Keeps what was proved for later runs.
    fn keep(&self, proof: Proof) {
        if let Some((word, _)) = WORDS.iter().find(|(_, known)| *known == proof) {
            self.system.keep(&self.what(), word);
        }
    }

    /// The name of the proof.
    fn what(&self) -> String {
        format!("filter {} by {}", self.resource, self.attribute)
    }

    fn known(&self) -> Option<Proof> {
        let filters = self.system.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.get(&(self.resource.to_owned(), self.attribute.to_owned())).copied()
    }

    fn remember(&self, proof: Proof, why: &str) {
        let key = (self.resource.to_owned(), self.attribute.to_owned());
        self.system.filters.lock().unwrap_or_else(PoisonError::into_inner).insert(key, proof);
        let (resource, attribute) = (self.resource, self.attribute);
        match proof {
            Proof::Hits | Proof::Works => {}
            Proof::RegardsCase => self.system.notice_once(format!(
                "a filter on {resource} {attribute} regards case, the schema does not: what it does not find is looked \
                 for in every spelling that there is"
            )),
            Proof::Useless => self.system.notice_once(format!(
                "a filter on {resource} {attribute} cannot be used ({why}): everything is read and filtered here"
            )),
        }
    }
}

/// Whether a failure is about the filter, so that reading without it may do.
fn is_refused_filter(failure: &Failure) -> bool {
    failure.recourse == Recourse::GiveUp
        && matches!(failure.class, Class::Unsupported | Class::Data | Class::Configuration)
        && failure.status.is_some_and(|status| (400..500).contains(&status) || status == 501)
}
