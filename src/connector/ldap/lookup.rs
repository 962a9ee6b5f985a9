//! Single entries: by id, by name, and by the value of an attribute.

use std::sync::PoisonError;

use super::entry::Entry;
use super::filter;
use super::layout::{DN, ENABLED, ID, Layout, ResourceType};
use super::search::{self, Pager, Search};
use super::syntax::Syntax;
use super::{LdapSystem, dn, nearest};
use crate::connector::config::is_description;
use crate::connector::failure_table::Asked;
use crate::model::failure::{Class, Failure};
use crate::model::object::Object;
use crate::model::value::Value;

pub(super) async fn get(system: &LdapSystem, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
    let (layout, of) = system.resource(resource).await?;
    let columns = system.columns_of(of, []);
    let Some(entry) = read(system, layout, of, id, &columns).await? else { return Ok(None) };
    system.remember_name(id, &entry.dn);
    Ok(layout.object(of, &columns, &entry))
}

/// The entry with an id, with what some columns need; `None` where the resource has none.
pub(super) async fn read(
    system: &LdapSystem,
    layout: &Layout,
    of: &ResourceType,
    id: &str,
    columns: &[String],
) -> Result<Option<Entry>, Failure> {
    let found = by_ids(system, of, &[id], layout.asked(of, columns)).await?;
    match found.as_slice() {
        [] => Ok(None),
        [_] => Ok(found.into_iter().next()),
        [one, other, ..] => Err(system.failure(
            Class::Conflict,
            format!("two entries have the id `{id}`: {} and {}", one.dn, other.dn),
            "set the `key` of this resource to an attribute that no two entries share",
        )),
    }
}

/// The entries of a resource that have one of some ids, asked for in one search; each is checked to be one of them.
pub(super) async fn by_ids(
    system: &LdapSystem,
    of: &ResourceType,
    ids: &[&str],
    attributes: Vec<String>,
) -> Result<Vec<Entry>, Failure> {
    let Some(key) = &of.key else { return by_names(system, of, ids, attributes).await };
    // What cannot be an id is nobody's.
    let possible = |id: &&&str| !id.is_empty() && (!key.is_uuid || uuid::Uuid::try_parse(id).is_ok());
    let keys: Vec<String> = ids
        .iter()
        .filter(possible)
        .filter_map(|id| Some(filter::equals(&key.attribute, &key.syntax.write(id).ok()?)))
        .collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let asked = if keys.len() == 1 { keys.concat() } else { filter::any(keys) };
    let search = Search { filter: filter::all(&[&asked, &of.filter]), ..of.search(attributes) };
    let found = search::all(&system.link, &search, Asked::Object).await?;
    for entry in &found {
        let id = of.id(entry).unwrap_or_default();
        if !ids.iter().any(|asked| key.syntax.same(asked, &id) || asked.eq_ignore_ascii_case(&id)) {
            return Err(system.failure(
                Class::Server,
                format!(
                    "asked for the entry with {} `{}`, got {}, which has `{id}`",
                    key.attribute,
                    ids.join("`, `"),
                    entry.dn
                ),
                "see whether the server's index of this attribute is whole (OpenLDAP: slapindex)",
            ));
        }
    }
    Ok(found)
}

/// The same where an entry's id is its name.
async fn by_names(
    system: &LdapSystem,
    of: &ResourceType,
    names: &[&str],
    attributes: Vec<String>,
) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    for name in names {
        found.extend(by_name(system, of, name, attributes.clone()).await?);
    }
    Ok(found)
}

/// The entry of a resource with a name; `None` where there is none.
pub(super) async fn by_name(
    system: &LdapSystem,
    of: &ResourceType,
    name: &str,
    attributes: Vec<String>,
) -> Result<Option<Entry>, Failure> {
    if dn::parse(name).is_none_or(|parts| parts.is_empty()) || !dn::is_at_or_below(name, &of.base) {
        return Ok(None);
    }
    let search = Search { filter: of.filter.clone(), attributes, ..Search::entry(name, &[]) };
    Ok(search::all(&system.link, &search, Asked::Object).await?.into_iter().next())
}

pub(super) async fn find(
    system: &LdapSystem,
    resource: &str,
    attribute: &str,
    value: &str,
) -> Result<Vec<Object>, Failure> {
    let (layout, of) = system.resource(resource).await?;
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let attribute_name = attribute.to_owned();
    let columns = system.columns_of(of, [&attribute_name]);
    if attribute == ID {
        let found = read(system, layout, of, value, &columns).await?;
        return Ok(found.iter().filter_map(|entry| layout.object(of, &columns, entry)).collect());
    }
    let look = Look { system, layout, of, attribute, columns: &columns };
    let found = match look.by_filter(value).await? {
        Some(found) => found,
        None => look.by_reading(value).await?,
    };
    Ok(found.iter().filter_map(|entry| layout.object(of, &columns, entry)).collect())
}

/// Whether the server has an attribute; where it does not tell, it has every one.
pub(super) fn known(system: &LdapSystem, layout: &Layout, resource: &str, name: &str) -> Result<(), Failure> {
    let is_known = !layout.schema.is_known() || layout.schema.attribute(name).is_some();
    if is_description(name) && is_known {
        return Ok(());
    }
    let names = layout.schema.attributes().map(|attribute| attribute.name.as_str());
    let nearest = nearest(names, name).unwrap_or_default();
    let mut failure = system.failure(
        Class::Configuration,
        format!("{resource} has no attribute `{name}`: the server's schema does not know it"),
        format!("write `{nearest}`, if that is meant, or load the schema that has it"),
    );
    failure.recourse = crate::model::failure::Recourse::GiveUp;
    Err(failure)
}

struct Look<'a> {
    system: &'a LdapSystem,
    layout: &'a Layout,
    of: &'a ResourceType,
    attribute: &'a str,
    columns: &'a [String],
}

impl Look<'_> {
    fn search(&self, filter: &str) -> Search {
        let search = self.of.search(self.layout.asked(self.of, self.columns));
        Search { filter: filter::all(&[filter, &self.of.filter]), ..search }
    }

    fn syntax(&self) -> Syntax {
        self.layout.syntax(self.attribute)
    }

    /// What the server finds, or `None` where it cannot search by this attribute.
    async fn by_filter(&self, value: &str) -> Result<Option<Vec<Entry>>, Failure> {
        if matches!(self.attribute, DN | ENABLED) {
            return Ok(None);
        }
        known(self.system, self.layout, &self.of.name, self.attribute)?;
        // A value that the attribute cannot hold is nobody's.
        let Ok(written) = self.syntax().write(value) else { return Ok(Some(Vec::new())) };
        if self.proof() == Some(false) {
            return Ok(None);
        }
        let search = self.search(&filter::equals(self.attribute, &written));
        let found = search::all(&self.system.link, &search, Asked::Object).await?;
        let (fitting, others): (Vec<Entry>, Vec<Entry>) = found.into_iter().partition(|entry| self.fits(entry, value));
        // Some matching rules leave out more than blanks and letter case; what they find besides is not what was asked,
        // and shows that the server searches.
        if !fitting.is_empty() || !others.is_empty() {
            return Ok(Some(fitting));
        }
        match self.proof() {
            Some(proof) => Ok(proof.then_some(fitting)),
            None => Ok(self.prove().await?.then_some(fitting)),
        }
    }

    /// Looks for somebody who is there by the value that they have. An attribute without a matching rule finds nobody,
    /// and the server does not say why (RFC 4511 section 4.5.1.7).
    async fn prove(&self) -> Result<bool, Failure> {
        let search = self.search(&filter::present(self.attribute));
        let Some(somebody) = search::some(&self.system.link, &search, Asked::Object).await? else { return Ok(true) };
        let Some(value) = somebody.values(self.attribute).first() else { return Ok(true) };
        let found =
            search::all(&self.system.link, &self.search(&filter::equals(self.attribute, value)), Asked::Object).await?;
        let proved = found.iter().any(|entry| entry.dn == somebody.dn);
        if !proved {
            self.system.notice_once(format!(
                "{} cannot be searched by {}: everything is read and filtered here",
                self.of.name, self.attribute
            ));
        }
        let key = (self.of.name.clone(), self.attribute.to_owned());
        self.system.searches.lock().unwrap_or_else(PoisonError::into_inner).insert(key, proved);
        Ok(proved)
    }

    fn proof(&self) -> Option<bool> {
        let searches = self.system.searches.lock().unwrap_or_else(PoisonError::into_inner);
        searches.get(&(self.of.name.clone(), self.attribute.to_owned())).copied()
    }

    async fn by_reading(&self, value: &str) -> Result<Vec<Entry>, Failure> {
        let search = self.of.search(self.layout.asked(self.of, self.columns));
        let mut pager = Pager::new(&self.system.link, search, self.system.page_size(self.layout));
        let mut found = Vec::new();
        while let Some(entries) = pager.next().await? {
            found.extend(entries.into_iter().filter(|entry| self.fits(entry, value)));
        }
        Ok(found)
    }

    fn fits(&self, entry: &Entry, value: &str) -> bool {
        if self.attribute == DN {
            return dn::is_same(&entry.dn, value);
        }
        let column = [self.attribute.to_owned()];
        let cell = self.layout.cells(self.of, &column, entry).concat();
        let same = |found: &str| self.syntax().same(found, value);
        match Value::from_cell(&cell) {
            Some(Value::Text(found)) => same(&found),
            Some(Value::Many(found)) => found.iter().any(|found| same(found)),
            None => false,
        }
    }
}
