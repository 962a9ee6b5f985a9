//! Every table and key of a job file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fixtures::{self, Fixture};
use crate::job_types::{alternatives, default, description, plain, words};
use crate::markdown::{anchor, code, table};

/// Shapes that stand in several places, by the name that the schema has for them, and their headings.
const SHARED: [(&str, &str); 2] = [("LimitParts", "A limit"), ("TierFile", "A tier of a limit")];

/// docs/reference/job-file.md.
pub(crate) fn page() -> String {
    let root = muster::job::schema();
    let mut page =
        Page { root: &root, fixtures: fixtures::all(), text: String::new(), index: Vec::new(), seen: BTreeMap::new() };
    page.table("The file itself", &[], None, &root, 2);
    let about = "Made of the schema that `muster schema` prints, by `tests/reference.rs`; an editor that knows JSON Schema \
                 completes job files by it. Examples are of fixtures that the program reads.\n\n\
                 A job file is TOML. Paths are relative to its folder. A key that is not here is a mistake, told with the \
                 nearest one that is. Times are written `90s`, `15m`, `72h`, `30d`, `1y`. Secrets never stand in a job file: \
                 `env:NAME` is a variable of the environment, `file:PATH` a file, `credential:NAME` one of systemd's \
                 credentials. What rules and conditions may say is in [jobs.md](../jobs.md#rules).";
    format!("# The job file\n\n{about}\n\n{}\n{}", page.index.join("\n"), page.text)
}

struct Page<'a> {
    root: &'a Value,
    fixtures: Vec<Fixture>,
    text: String,
    index: Vec<String>,
    /// Shapes that have a section, and its heading.
    seen: BTreeMap<String, String>,
}

/// A section that comes later: its heading, the keys that lead there, the kind of its system, and its schema.
type Further<'a> = (String, Vec<&'a str>, Option<&'a str>, &'a Value);

/// A table that the value of a key leads to.
struct Inner<'a> {
    shape: Option<&'a str>,
    schema: &'a Value,
    /// Between the key and the table: `*` where jobs choose a name.
    named: bool,
    listed: bool,
}

impl<'a> Page<'a> {
    /// A section for a table, and for those in it.
    fn table(&mut self, heading: &str, path: &[&'a str], kind: Option<&'a str>, schema: &'a Value, depth: usize) {
        let link = format!("{}- [{heading}](#{})", "  ".repeat(depth - 2), anchor(heading));
        self.index.push(link);
        self.text.push_str(&format!("\n{} {heading}\n", "#".repeat(depth.min(4))));
        let said = description(schema);
        if !said.is_empty() && depth > 2 {
            self.text.push_str(&format!("\n{said}\n"));
        }
        let mut further = Vec::new();
        if let Some(kinds) = schema["oneOf"].as_array() {
            for one in kinds {
                let kind = one["properties"]["kind"]["const"].as_str();
                let name = kind.unwrap_or_default();
                further.push((format!("{heading}, kind {name}"), path.to_vec(), kind, one));
            }
        } else {
            self.keys(path, kind, schema, &mut further);
        }
        let needs = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let needs: Vec<&str> = needs.collect();
        let example = fixtures::example(&self.fixtures, path, kind, &needs);
        if let Some(example) = example.filter(|_| !path.is_empty() && schema.get("oneOf").is_none()) {
            self.text.push_str(&format!("\n```toml\n{example}\n```\n"));
        }
        for (heading, path, kind, schema) in further {
            self.table(&heading, &path, kind, schema, depth + 1);
        }
    }

    /// The rows of a table's keys, and the tables that these lead to.
    fn keys(&mut self, path: &[&'a str], kind: Option<&'a str>, schema: &'a Value, further: &mut Vec<Further<'a>>) {
        let needed = schema["required"].as_array().cloned().unwrap_or_default();
        let mut rows = Vec::new();
        for (key, value) in schema["properties"].as_object().into_iter().flatten().filter(|(key, _)| *key != "kind") {
            let (left_out, mut meaning) = default(value);
            let mut takes = Vec::new();
            let several = alternatives(self.root, value);
            let tables: usize = several.iter().filter(|(name, one)| inner(self.root, *name, one).is_some()).count();
            for (name, one) in several {
                match inner(self.root, name, one) {
                    Some(found) => {
                        let to = self.place(path, kind, key, &found, tables, further);
                        if !takes.contains(&to) {
                            takes.push(to);
                        }
                    }
                    None => {
                        takes.push(plain(self.root, one));
                        let words = words(one).unwrap_or_default();
                        let told: Vec<String> = words
                            .iter()
                            .filter(|(_, said)| !said.is_empty())
                            .map(|(word, said)| format!("{}: {said}", code(word)))
                            .collect();
                        if !told.is_empty() && name != Some("OffWord") {
                            meaning = format!("{meaning} {}", told.join(" "));
                        }
                    }
                }
            }
            let left_out = if needed.iter().any(|one| one == key) { "has to be there".to_owned() } else { left_out };
            rows.push(vec![code(key), takes.join(" or "), left_out, meaning]);
        }
        self.text.push_str(&format!("\n{}", table(&["key", "takes", "left out", "meaning"], &rows)));
    }

    /// A link to a table's section, which comes later where there is none yet.
    fn place(
        &mut self,
        path: &[&'a str],
        kind: Option<&'a str>,
        key: &'a str,
        found: &Inner<'a>,
        tables: usize,
        further: &mut Vec<Further<'a>>,
    ) -> String {
        let mut inner_path = path.to_vec();
        inner_path.push(key);
        if found.named {
            inner_path.push("*");
        }
        let shared = found.shape.and_then(|shape| SHARED.iter().find(|(name, _)| *name == shape));
        let typed: Vec<&str> = inner_path.iter().map(|key| if *key == "*" { "NAME" } else { key }).collect();
        let typed = if found.listed { format!("[[{}]]", typed.join(".")) } else { format!("[{}]", typed.join(".")) };
        let by_kind = kind.filter(|_| path.len() >= 2).map_or_else(String::new, |kind| format!(", kind {kind}"));
        // Of several tables, each is told apart by the keys that it needs.
        let which = match tables {
            0 | 1 => String::new(),
            _ if shared.is_some() => String::new(),
            _ => format!(" with {}", found.schema["required"][0].as_str().unwrap_or_default()),
        };
        let own =
            shared.map_or_else(|| format!("{}{by_kind}{which}", code(&typed)), |(_, heading)| (*heading).to_owned());
        let known = match found.shape {
            Some(shape) if shared.is_some() => self.seen.get(shape).cloned(),
            _ => None,
        };
        let to = known.unwrap_or_else(|| {
            if let Some(shape) = found.shape.filter(|_| which.is_empty()) {
                let before = self.seen.insert(shape.to_owned(), own.clone());
                assert!(before.is_none_or(|before| before == own), "{shape} stands in two places: name it in SHARED");
            }
            further.push((own.clone(), inner_path, kind, found.schema));
            own.clone()
        });
        let (kind_of, end) = match (found.named, found.listed) {
            (true, _) => ("name = ", ""),
            (_, true) => ("list of ", ""),
            _ => ("", ""),
        };
        let label = if shared.is_some() { to.to_lowercase() } else { "table".to_owned() };
        format!("{kind_of}[{label}](#{}){end}", anchor(&to))
    }
}

/// The table that a schema leads to, through a list or through names.
fn inner<'a>(root: &'a Value, name: Option<&'a str>, schema: &'a Value) -> Option<Inner<'a>> {
    let is_table = |schema: &Value| schema.get("properties").is_some() || is_by_kind(schema);
    if is_table(schema) {
        return Some(Inner { shape: name, schema, named: false, listed: false });
    }
    let (items, named) = match (schema.get("items"), schema.get("additionalProperties")) {
        (Some(items), _) => (items, false),
        (_, Some(values)) if values.is_object() => (values, true),
        _ => return None,
    };
    let (shape, schema) = alternatives(root, items).into_iter().find(|(_, one)| is_table(one))?;
    Some(Inner { shape, schema, named, listed: !named })
}

/// Whether it is one of several tables that say their `kind`.
fn is_by_kind(schema: &Value) -> bool {
    schema["oneOf"].as_array().is_some_and(|several| several.iter().all(|one| one.get("properties").is_some()))
}
