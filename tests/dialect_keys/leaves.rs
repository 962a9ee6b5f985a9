//! The keys of a dialect's file, one by one, and the file without one of them.

use toml::Value;

/// A step into a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Key(String),
    At(usize),
}

/// One key, or one element of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf(pub(crate) Vec<Step>);

/// Keys without which a file cannot be read: they are changed, not taken out.
const NEEDED: [&str; 9] =
    ["class", "says", "remedy", "product", "resource", "marked_by", "attributes", "status", "detail"];

impl Leaf {
    /// The first key of the path.
    pub(crate) fn top(&self) -> &str {
        self.key_at(0)
    }

    /// The key at a place of the path, empty where there is none.
    pub(crate) fn key_at(&self, place: usize) -> &str {
        match self.0.get(place) {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    /// The position at a place of the path.
    pub(crate) fn position_at(&self, place: usize) -> Option<usize> {
        match self.0.get(place) {
            Some(Step::At(position)) => Some(*position),
            _ => None,
        }
    }

    /// `filters.users[1]`.
    pub(crate) fn spoken(&self) -> String {
        self.0.iter().fold(String::new(), |text, step| match step {
            Step::Key(key) if text.is_empty() => key.clone(),
            Step::Key(key) => format!("{text}.{key}"),
            Step::At(position) => format!("{text}[{position}]"),
        })
    }
}

/// All keys of a file but the names of its rows, which nobody sees.
pub(crate) fn leaves(file: &Value) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(file, &mut Vec::new(), &mut found);
    found.retain(|leaf| !(leaf.top() == "failures" && leaf.key_at(2) == "name"));
    found
}

fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Leaf>) {
    let mut below = |step: Step, value: &Value| {
        path.push(step);
        walk(value, path, found);
        path.pop();
    };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| below(Step::Key(key.clone()), value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| below(Step::At(at), value)),
        _ => found.push(Leaf(path.clone())),
    }
}

/// The file without a key; where it cannot be without, with another value.
pub(crate) fn without(file: &Value, leaf: &Leaf) -> String {
    let mut file = file.clone();
    let (last, before) = leaf.0.split_last().unwrap();
    let holder = before.iter().fold(&mut file, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()).unwrap(),
        Step::At(position) => value.get_mut(*position).unwrap(),
    });
    match (holder, last) {
        // An empty list of what a row is about means anything.
        (Value::Array(list), Step::At(position)) if leaf.top() == "failures" => {
            list[*position] = match leaf.key_at(2) {
                "messages" => Value::from("nobody says this"),
                "statuses" => Value::from(599),
                _ => Value::from("delete"),
            };
        }
        (Value::Array(list), Step::At(position)) => {
            list.remove(*position);
        }
        (Value::Table(table), Step::Key(key)) => match table.get_mut(key).unwrap() {
            Value::Integer(number) if key == "status" => *number += 1,
            // Nobody has an own number that is 1.
            Value::Integer(number) => *number = 1,
            Value::String(class) if key == "class" => {
                *class = if class == "stale" { "data" } else { "stale" }.to_owned();
            }
            Value::String(text) if NEEDED.contains(&key.as_str()) => text.push_str(" otherwise"),
            _ => {
                table.remove(key);
            }
        },
        found => panic!("{found:?} is no place of {}", leaf.spoken()),
    }
    toml::to_string(&file).unwrap()
}
