//! How the job file's reference says what a key takes, and what holds where it is left out.

use serde_json::Value;

use crate::markdown::code;

/// A description, on one line.
pub(crate) fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What schemas a value may have: references are followed, alternatives spread, `null` left out.
pub(crate) fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<(Option<&'a str>, &'a Value)> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        let inner = &root["$defs"][name];
        return match inner.get("anyOf") {
            Some(_) => alternatives(root, inner).into_iter().map(|(own, one)| (own.or(Some(name)), one)).collect(),
            None => vec![(Some(name), inner)],
        };
    }
    match schema["anyOf"].as_array() {
        Some(several) => several.iter().flat_map(|one| alternatives(root, one)).collect(),
        None if schema["type"] == "null" => Vec::new(),
        None => vec![(None, schema)],
    }
}

/// The words of an alternative that is one of several words, with what each means.
pub(crate) fn words(schema: &Value) -> Option<Vec<(String, String)>> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(only) = schema.get("const") {
        return Some(vec![(word(only)?, description(schema))]);
    }
    if let Some(all) = schema["enum"].as_array() {
        return all.iter().map(|value| Some((word(value)?, String::new()))).collect();
    }
    let several = schema["oneOf"].as_array()?;
    let each = several.iter().map(words).collect::<Option<Vec<_>>>()?;
    Some(each.concat())
}

/// What a value without tables in it is: `text`, `number from 1 to 100`, `list of texts`.
pub(crate) fn plain(root: &Value, schema: &Value) -> String {
    if let Some(words) = words(schema) {
        return words.iter().map(|(word, _)| code(&format!("\"{word}\""))).collect::<Vec<_>>().join(", ");
    }
    let first = schema["type"].as_array().and_then(|several| several.iter().find(|one| *one != "null"));
    match first.unwrap_or(&schema["type"]).as_str() {
        Some("boolean") => "true or false".to_owned(),
        Some("integer" | "number") => match (bound(&schema["minimum"]), bound(&schema["maximum"])) {
            (Some(least), Some(most)) => format!("number from {least} to {most}"),
            (Some(least), None) if least != "0" => format!("number from {least}"),
            _ => "number".to_owned(),
        },
        Some("array") => match inner(root, &schema["items"]) {
            text if text == "text" => "list of texts".to_owned(),
            text if text.starts_with("number") => text.replacen("number", "list of numbers", 1),
            other => format!("list of {other}"),
        },
        Some("object") => match inner(root, &schema["additionalProperties"]) {
            text if text == "text" => "name = text".to_owned(),
            other => format!("name = {other}"),
        },
        _ => "text".to_owned(),
    }
}

fn inner(root: &Value, schema: &Value) -> String {
    let all: Vec<String> = alternatives(root, schema).iter().map(|(_, one)| plain(root, one)).collect();
    all.join(" or ")
}

fn bound(value: &Value) -> Option<String> {
    value.as_f64().map(|number| number.to_string())
}

/// What holds where a key is left out, and the rest of its description.
pub(crate) fn default(schema: &Value) -> (String, String) {
    let text = description(schema);
    let begins =
        ["Default: ", "Default ", "default ", "Left out: ", "Left out = ", "left out = ", "without an entry: "];
    let place = begins.iter().filter_map(|begin| text.find(begin).map(|at| (at, begin))).min();
    if let Some((at, begin)) = place {
        let from = at + begin.len();
        let rest = &text[from..];
        let end = [". ", "; ", ": "].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        let value = rest[..end].trim_end_matches('.').to_owned();
        // A sentence of its own says nothing else.
        let is_sentence = begin.starts_with(char::is_uppercase) && !rest[end..].starts_with([';', ':']);
        let is_ending = end == rest.len();
        if is_sentence || is_ending {
            let before = text[..at].trim_end_matches([' ', ';', ',']);
            let after = rest[end..].trim_start_matches(['.', ' ']);
            let stop = if before.ends_with(['.', '`']) && begin.starts_with(char::is_uppercase) { "" } else { "." };
            return (value, format!("{before}{stop} {after}").trim().to_owned());
        }
        return (value, text);
    }
    let value = match &schema["default"] {
        Value::Bool(_) | Value::Number(_) => schema["default"].to_string(),
        Value::String(word) => word.clone(),
        _ => String::new(),
    };
    (value, text)
}
