//! Checks the shape of a job file against its JSON Schema: unknown keys, missing keys, wrong types, words and ranges.
//!
//! What is right is handed on as JSON, without what is wrong, so that the later checks still see the rest of the file.
//! Only the parts of JSON Schema (2020-12) that the job file's types produce are known here.

use std::str::FromStr as _;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Places, entry_path, key_path};
use super::problem::Problem;
use crate::connector::secret::SecretRef;
use crate::rules::problem::nearest;

pub(super) struct Shape<'a> {
    pub(super) schema: &'a Value,
    pub(super) places: &'a Places<'a>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Shape<'a> {
    /// The part of a table that fits the schema.
    pub(super) fn table(&mut self, table: &DeTable<'_>, schema: &'a Value, path: &str) -> Value {
        let schema = self.resolved(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let mut fitting = Map::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let value_path = key_path(path, name);
            let expected = properties.and_then(|known| known.get(name)).or(others.filter(|other| other.is_object()));
            match expected {
                Some(expected) => {
                    if let Some(value) = self.value(value, expected, &value_path) {
                        fitting.insert(name.to_owned(), value);
                    }
                }
                None => {
                    let known: Vec<&str> = properties.into_iter().flatten().map(|(known, _)| known.as_str()).collect();
                    let free = known.iter().copied().filter(|known| !has_key(table, known));
                    let message = format!("unknown key `{name}` {}", location(path));
                    let mut problem = self.places.at_key(&value_path, message);
                    problem.hint = match nearest(name, free) {
                        Some(near) => Some(format!("did you mean `{near}`?")),
                        None if known.is_empty() => None,
                        None => Some(format!("known are {}", known.join(", "))),
                    };
                    self.problems.push(problem);
                }
            }
        }
        for missing in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            // `kind` has a check of its own, because it decides what else is known.
            if !has_key(table, missing) && missing != "kind" {
                let message = format!("the key `{missing}` is missing {}", location(path));
                self.problems.push(self.places.at_key(path, message));
            }
        }
        Value::Object(fitting)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'a Value, path: &str) -> Option<Value> {
        let schema = self.resolved(schema);
        let found = value.get_ref();
        if let Some(words) = self.words(schema) {
            return self.word(found, &words, path);
        }
        if let Some(variants) = variants(schema) {
            return self.variant(value, schema, variants, path);
        }
        let types = types(schema);
        if !types.iter().any(|expected| is_of_type(found, expected)) {
            self.wrong_type(found, schema, path);
            return None;
        }
        match found {
            DeValue::Table(table) => Some(self.table(table, schema, path)),
            DeValue::Array(entries) => {
                let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
                let count = entries.len() as u64;
                if let Some(wanted) =
                    bound("minItems").filter(|least| count < *least).or(bound("maxItems").filter(|most| count > *most))
                {
                    let message = format!("`{}` needs {wanted} entries, not {count}", last(path));
                    self.problems.push(self.places.at(path, message));
                    return None;
                }
                let expected = schema.get("items")?;
                // A list with a wrong entry is left out as a whole: entries that move would get wrong places.
                let entries = entries.iter().enumerate();
                let fitting: Vec<Option<Value>> =
                    entries.map(|(number, entry)| self.value(entry, expected, &entry_path(path, number))).collect();
                fitting.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
            }
            DeValue::String(text) => self.text(text, schema, path),
            DeValue::Boolean(truth) => Some(Value::Bool(*truth)),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => self.number(number.into(), schema, path),
                Err(_) => {
                    self.problems.push(self.places.at(path, format!("{} is out of every range", number.as_str())));
                    None
                }
            },
            DeValue::Float(number) => match number.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
                Some(number) => self.number(number, schema, path),
                None => {
                    self.problems.push(self.places.at(path, format!("`{}` needs a finite number", last(path))));
                    None
                }
            },
            DeValue::Datetime(_) => None,
        }
    }

    fn text(&mut self, text: &str, schema: &Value, path: &str) -> Option<Value> {
        let is_secret = schema.get("pattern").and_then(Value::as_str).is_some_and(|p| p.starts_with("^(env|file"));
        if is_secret && let Err(problem) = SecretRef::from_str(text) {
            self.problems.push(self.places.at(path, problem.to_string()));
            return None;
        }
        Some(Value::String(text.to_owned()))
    }

    fn number(&mut self, number: serde_json::Number, schema: &Value, path: &str) -> Option<Value> {
        let figure = number.as_f64().unwrap_or_default();
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let problem = match (bound("minimum"), bound("maximum")) {
            (Some(least), _) if figure < least => {
                Some(format!("{number} is too small for `{}`; the least is {least}", last(path)))
            }
            (_, Some(most)) if figure > most => {
                Some(format!("{number} is too large for `{}`; the most is {most}", last(path)))
            }
            _ => None,
        };
        match problem {
            Some(problem) => {
                let example = schema.get("examples").and_then(|examples| examples.get(0));
                let hint = example.map(|example| format!("write it like `{} = {example}`", last(path)));
                self.problems.push(Problem { hint, ..self.places.at(path, problem) });
                None
            }
            None => Some(Value::Number(number)),
        }
    }

    fn word(&mut self, found: &DeValue<'_>, words: &[&str], path: &str) -> Option<Value> {
        let DeValue::String(text) = found else {
            let message = format!("`{}` needs one of {}, not {}", last(path), listed(words), name_of(found));
            self.problems.push(self.places.at(path, message));
            return None;
        };
        if words.contains(&&**text) {
            return Some(Value::String(text.clone().into_owned()));
        }
        let mut problem =
            self.places.at(path, format!("`{}` cannot be `{text}`; known are {}", last(path), listed(words)));
        problem.hint = nearest(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.problems.push(problem);
        None
    }

    /// One of several forms: told apart by `kind`, by type, or by which keys are there.
    fn variant(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        schema: &'a Value,
        variants: &'a [Value],
        path: &str,
    ) -> Option<Value> {
        let found = value.get_ref();
        let variants: Vec<&'a Value> = variants.iter().map(|variant| self.resolved(variant)).collect();
        let kinds: Vec<(&str, &'a Value)> =
            variants.iter().filter_map(|variant| Some((kind_of(variant)?, *variant))).collect();
        if !kinds.is_empty() {
            let DeValue::Table(table) = found else {
                self.wrong_type(found, schema, path);
                return None;
            };
            let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
            let Some((_, kind)) = table.iter().find(|(key, _)| key.get_ref() == "kind") else {
                let mut problem = self.places.at_key(path, format!("the key `kind` is missing {}", location(path)));
                problem.hint = Some(format!("known are {}", listed(&names)));
                self.problems.push(problem);
                return None;
            };
            let word = self.word(kind.get_ref(), &names, &key_path(path, "kind"))?;
            let (_, schema) = kinds.iter().find(|(name, _)| word == *name)?;
            return Some(self.table(table, schema, path));
        }
        let fitting: Vec<&'a Value> = variants
            .iter()
            .copied()
            .filter(|variant| self.types_of(variant).iter().any(|t| is_of_type(found, t)))
            .collect();
        if let DeValue::Table(table) = found
            && fitting.len() > 1
            && fitting.iter().all(|form| known_keys(table, form) == 0)
        {
            let forms: Vec<String> =
                fitting.iter().map(|form| format!("{{ {} }}", required(form).join(", "))).collect();
            let message = format!("`{}` needs one of {}", last(path), forms.join(", "));
            self.problems.push(self.places.at(path, message));
            return None;
        }
        let best = match found {
            DeValue::Table(table) => fitting.into_iter().max_by_key(|variant| similarity(table, variant)),
            _ => fitting.into_iter().next(),
        };
        match best {
            Some(schema) => self.value(value, schema, path),
            None => {
                self.wrong_type(found, schema, path);
                None
            }
        }
    }

    fn wrong_type(&mut self, found: &DeValue<'_>, schema: &'a Value, path: &str) {
        let message = format!("`{}` needs {}, not {}", last(path), self.spoken(schema).join(" or "), name_of(found));
        self.problems.push(self.places.at(path, message));
    }

    /// The words of a schema that allows nothing else.
    fn words(&self, schema: &'a Value) -> Option<Vec<&'a str>> {
        let schema = self.resolved(schema);
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return Some(vec![word]);
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            return Some(words.iter().filter_map(Value::as_str).collect());
        }
        let variants = variants(schema)?;
        let words: Option<Vec<Vec<&str>>> =
            variants.iter().filter(|variant| !is_null(variant)).map(|variant| self.words(variant)).collect();
        words.map(|words| words.concat())
    }

    /// The types that a schema accepts.
    fn types_of(&self, schema: &'a Value) -> Vec<&'a str> {
        let schema = self.resolved(schema);
        if self.words(schema).is_some() {
            return vec!["string"];
        }
        match variants(schema) {
            Some(variants) => variants.iter().flat_map(|variant| self.types_of(variant)).collect(),
            None => types(schema),
        }
    }

    /// What a schema accepts, in words.
    fn spoken(&self, schema: &'a Value) -> Vec<String> {
        let schema = self.resolved(schema);
        if let Some(words) = self.words(schema) {
            return words.iter().map(|word| format!("\"{word}\"")).collect();
        }
        let mut spoken: Vec<String> = match variants(schema) {
            Some(variants) => variants.iter().flat_map(|variant| self.spoken(variant)).collect(),
            None => {
                types(schema).into_iter().filter(|name| *name != "null").map(|name| spoken(name).to_owned()).collect()
            }
        };
        spoken.dedup();
        spoken
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
            match self.schema.get("$defs").and_then(|definitions| definitions.get(name)) {
                Some(definition) if schema.get("properties").is_none() => schema = definition,
                _ => break,
            }
        }
        schema
    }
}

fn variants(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array)
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

fn kind_of(schema: &Value) -> Option<&str> {
    schema.get("properties")?.get("kind")?.get("const")?.as_str()
}

/// How well a table's keys fit a form: keys that it knows, less those that it misses.
fn similarity(table: &DeTable<'_>, form: &Value) -> usize {
    let present = required(form).iter().filter(|name| has_key(table, name)).count();
    known_keys(table, form) + present
}

fn known_keys(table: &DeTable<'_>, form: &Value) -> usize {
    let properties = form.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().filter(|(name, _)| has_key(table, name)).count()
}

fn has_key(table: &DeTable<'_>, name: &str) -> bool {
    table.iter().any(|(key, _)| key.get_ref() == name)
}

fn required(schema: &Value) -> Vec<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_of_type(found: &DeValue<'_>, expected: &str) -> bool {
    matches!(
        (found, expected),
        (DeValue::Table(_), "object")
            | (DeValue::Array(_), "array")
            | (DeValue::String(_), "string")
            | (DeValue::Integer(_), "integer" | "number")
            | (DeValue::Float(_), "number")
            | (DeValue::Boolean(_), "boolean")
    )
}

fn spoken(name: &str) -> &'static str {
    match name {
        "object" => "a table",
        "array" => "a list",
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "true or false",
    }
}

fn name_of(found: &DeValue<'_>) -> &'static str {
    match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn listed(words: &[&str]) -> String {
    words.join(", ")
}

fn last(path: &str) -> &str {
    let end = path.rsplit('.').next().unwrap_or(path);
    end.split('[').next().unwrap_or(end)
}

/// Where a table stands, as the file writes it: `in [[sync]]`, `in [systems.vault.auth]`.
fn location(path: &str) -> String {
    if path.is_empty() {
        return "at the top of the file".to_owned();
    }
    let mut plain = String::new();
    let mut in_index = false;
    for character in path.chars() {
        match character {
            '[' => in_index = true,
            ']' => in_index = false,
            _ if !in_index => plain.push(character),
            _ => {}
        }
    }
    if path.ends_with(']') { format!("in [[{plain}]]") } else { format!("in [{plain}]") }
}
