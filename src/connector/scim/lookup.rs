//! Single objects: by id, and by the value of an attribute.

use std::sync::PoisonError;

use reqwest::Method;
use serde_json::Value as Json;

use super::pager::Pager;
use super::rows::{RowReader, holds_value};
use super::{ScimSystem, id_of};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::object::Object;
use crate::scim::column::ColumnReader;
use crate::scim::filter;
use crate::scim::schema::Definition;

pub(super) async fn get(system: &ScimSystem, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
    let definition = system.definition(resource).await?;
    let Some(json) = read(system, definition, id).await? else { return Ok(None) };
    let reader = RowReader::new(system, definition, &system.extra_columns(resource))?;
    Ok(reader.object(&json))
}

/// The resource with an id as it came, or `None` where there is none.
pub(super) async fn read(system: &ScimSystem, definition: &Definition, id: &str) -> Result<Option<Json>, Failure> {
    if id.is_empty() {
        return Ok(None);
    }
    let url = system.http.address(&[definition.resource_type.endpoint.trim_matches('/'), id]);
    let what = format!("GET {url}");
    let answer = match system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
        Ok(answer) => answer,
        Err(failure) if failure.class == Class::Stale => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let json = answer.json().map_err(|error| system.bad_answer(&what, error, &answer, Effect::None))?;
    match id_of(&json) {
        Some(found) if found == id => Ok(Some(json)),
        Some(found) => Err(system.bad_answer(&what, format!("asked for `{id}`, got `{found}`"), &answer, Effect::None)),
        None => Err(system.bad_answer(&what, "the answer has no id", &answer, Effect::None)),
    }
}

pub(super) async fn find(
    system: &ScimSystem,
    resource: &str,
    attribute: &str,
    value: &str,
) -> Result<Vec<Object>, Failure> {
    let definition = system.definition(resource).await?;
    let column = ColumnReader::of(attribute, definition).map_err(|error| {
        system.failure(Class::Configuration, error.to_string(), "correct the attribute in the job file")
    })?;
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let mut extra = system.extra_columns(resource);
    extra.push(attribute.to_owned());
    let reader = RowReader::new(system, definition, &extra)?;
    let search = Search { system, resource, attribute, definition, column };
    let found = match search.by_filter(value).await? {
        Some(found) => found,
        None => search.by_reading(value).await?,
    };
    Ok(found.iter().filter_map(|resource| reader.object(resource)).collect())
}

struct Search<'a> {
    system: &'a ScimSystem,
    resource: &'a str,
    attribute: &'a str,
    definition: &'a Definition,
    column: ColumnReader,
}

impl Search<'_> {
    /// What the provider's filter finds, or `None` where it cannot be trusted for this attribute.
    async fn by_filter(&self, value: &str) -> Result<Option<Vec<Json>>, Failure> {
        let known = self.proved();
        if known == Some(false) {
            return Ok(None);
        }
        let found = match self.ask(value).await {
            Ok(found) => found,
            Err(failure) if is_refused_filter(&failure) => {
                // A value may be too long or too strange for one server's filters while others pass.
                if known.is_none() && !matches!(failure.status, Some(413 | 414 | 431)) {
                    self.remember(false, &failure.cause);
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
            self.remember(false, "the provider sends objects that do not match");
            return Ok(None);
        }
        if !matching.is_empty() {
            self.remember(true, "");
            return Ok(Some(matching));
        }
        // No rows: to be believed only where the filter has found something that is known to be there.
        match known {
            Some(_) => Ok(Some(matching)),
            None => Ok(self.prove().await?.then_some(matching)),
        }
    }

    /// Looks for the value of an object that exists.
    async fn prove(&self) -> Result<bool, Failure> {
        let endpoint = &self.definition.resource_type.endpoint;
        let mut pager = Pager::new(self.system, endpoint, Vec::new()).await?;
        while let Some(page) = pager.next().await? {
            for resource in &page {
                let cell = self.column.cell(resource);
                let value = match crate::model::value::Value::from_cell(&cell) {
                    Some(crate::model::value::Value::Text(text)) => text,
                    Some(crate::model::value::Value::Many(values)) => values.into_iter().next().unwrap_or_default(),
                    None => continue,
                };
                let found = match self.ask(&value).await {
                    Ok(found) => found,
                    Err(failure) if is_refused_filter(&failure) => Vec::new(),
                    Err(failure) => return Err(failure),
                };
                let id = id_of(resource);
                let works = found.iter().any(|other| id_of(other) == id);
                self.remember(works, "it does not find an object that is there");
                return Ok(works);
            }
        }
        // Nobody has the attribute, so nobody has this value.
        Ok(true)
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
        holds_value(self.definition, &self.column, resource, value)
    }

    fn proved(&self) -> Option<bool> {
        let filters = self.system.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.get(&(self.resource.to_owned(), self.attribute.to_owned())).copied()
    }

    fn remember(&self, works: bool, why: &str) {
        let key = (self.resource.to_owned(), self.attribute.to_owned());
        self.system.filters.lock().unwrap_or_else(PoisonError::into_inner).insert(key, works);
        if !works {
            self.system.notice_once(format!(
                "a filter on {} {} cannot be used ({why}): everything is read and filtered here",
                self.resource, self.attribute
            ));
        }
    }
}

/// Whether a failure is about the filter, so that reading without it may do.
fn is_refused_filter(failure: &Failure) -> bool {
    failure.recourse == Recourse::GiveUp
        && matches!(failure.class, Class::Unsupported | Class::Data | Class::Configuration)
        && failure.status.is_some_and(|status| (400..500).contains(&status) || status == 501)
}
