//! Which attributes an answer shows (RFC 7644 §3.9).

use serde_json::{Map, Value};

use crate::scim::error::{ScimError, ScimType};
use crate::scim::path::{Path, member};
use crate::scim::schema::{Definition, Returned};

/// `attributes` or `excludedAttributes`.
#[derive(Clone, Debug, Default)]
pub(super) struct Projection {
    only: Vec<Path>,
    without: Vec<Path>,
}

impl Projection {
    /// Reads both parameters; with both, `attributes` counts.
    pub(super) fn read<'a>(
        only: impl Iterator<Item = &'a str>,
        without: impl Iterator<Item = &'a str>,
    ) -> Result<Self, ScimError> {
        let read =
            |name: &str| Path::parse(name).map_err(|error| ScimError::bad(ScimType::InvalidValue, error.to_string()));
        let named = |name: &&str| !name.trim().is_empty();
        let only: Vec<Path> = only.filter(named).map(read).collect::<Result<_, _>>()?;
        let without = without.filter(named).map(read).collect::<Result<_, _>>()?;
        Ok(Self { without: if only.is_empty() { without } else { Vec::new() }, only })
    }

    /// Whether nothing in particular was asked for.
    pub(super) fn is_default(&self) -> bool {
        self.only.is_empty() && self.without.is_empty()
    }

    /// Whether a core attribute is shown at all, so that what is computed is computed only then.
    pub(super) fn shows(&self, attribute: &str) -> bool {
        let is_it = |path: &Path| path.attribute.eq_ignore_ascii_case(attribute);
        if self.only.is_empty() {
            !self.without.iter().any(|path| is_it(path) && path.sub.is_none())
        } else {
            self.only.iter().any(is_it)
        }
    }

    /// What is shown of a resource.
    pub(super) fn apply(&self, resource: Value, definition: &Definition) -> Value {
        if self.is_default() {
            return resource;
        }
        let Value::Object(members) = resource else { return resource };
        let mut out = Map::new();
        for (name, value) in members {
            let kept = match definition.extension(&name) {
                Some(extension) => self.extension(&extension.id, value),
                None => self.attribute(None, &definition.core.id, &name, value, definition),
            };
            if let Some(kept) = kept {
                out.insert(name, kept);
            }
        }
        Value::Object(out)
    }

    fn extension(&self, urn: &str, value: Value) -> Option<Value> {
        let whole = |paths: &[Path]| paths.iter().any(|path| path.is_extension() && is(path.urn.as_deref(), urn));
        if whole(&self.only) {
            return Some(value);
        }
        if whole(&self.without) {
            return None;
        }
        let Value::Object(members) = value else { return Some(value) };
        let mut out = Map::new();
        for (name, value) in members {
            if let Some(kept) = self.part(&name, value, |path| is(path.urn.as_deref(), urn)) {
                out.insert(name, kept);
            }
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }

    fn attribute(
        &self,
        urn: Option<&str>,
        core: &str,
        name: &str,
        value: Value,
        definition: &Definition,
    ) -> Option<Value> {
        let always = definition.attribute(urn, name, None).is_some_and(|a| a.returned == Returned::Always);
        if always {
            return Some(value);
        }
        self.part(name, value, |path| path.urn.is_none() || is(path.urn.as_deref(), core))
    }

    /// What is shown of one attribute: all, nothing, or some sub-attributes.
    fn part(&self, name: &str, value: Value, of_schema: impl Fn(&Path) -> bool) -> Option<Value> {
        let about = |paths: &[Path]| -> Vec<Option<String>> {
            let named = |path: &&Path| path.attribute.eq_ignore_ascii_case(name) && of_schema(path);
            paths.iter().filter(named).map(|path| path.sub.clone()).collect()
        };
        if self.only.is_empty() {
            let without = about(&self.without);
            if without.contains(&None) {
                return None;
            }
            let without: Vec<String> = without.into_iter().flatten().collect();
            return Some(with_subs(value, &|sub| !without.iter().any(|one| one.eq_ignore_ascii_case(sub))));
        }
        let only = about(&self.only);
        if only.is_empty() {
            return None;
        }
        if only.contains(&None) {
            return Some(value);
        }
        let only: Vec<String> = only.into_iter().flatten().collect();
        Some(with_subs(value, &|sub| only.iter().any(|one| one.eq_ignore_ascii_case(sub))))
    }
}

fn with_subs(value: Value, keep: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(name, _)| keep(name)).collect()),
        Value::Array(elements) => Value::Array(elements.into_iter().map(|element| with_subs(element, keep)).collect()),
        simple => simple,
    }
}

fn is(urn: Option<&str>, wanted: &str) -> bool {
    urn.is_some_and(|urn| urn.eq_ignore_ascii_case(wanted))
}

/// Reads a list of names from a body: an array, or a text with commas.
pub(super) fn names_in(body: &Value, name: &str) -> Vec<String> {
    match member(body, name) {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(names)) => names.split(',').map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
