//! The error message (RFC 7644 §3.12), as servers should send it and as they do.

use serde_json::{Value, json};

use super::path::member;
use super::urn;

/// Longest part of a foreign text that is kept, in characters.
const TEXT_LIMIT: usize = 300;

/// The keyword that says what kind of 400 or 409 it is (RFC 7644 §3.12 table 9, RFC 9865 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the protocol's own keywords, listed in the table")]
pub enum ScimType {
    InvalidFilter,
    TooMany,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidVers,
    Sensitive,
    InvalidCursor,
    ExpiredCursor,
    InvalidCount,
}

impl ScimType {
    /// The keyword as it goes over the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ScimType::InvalidFilter => "invalidFilter",
            ScimType::TooMany => "tooMany",
            ScimType::Uniqueness => "uniqueness",
            ScimType::Mutability => "mutability",
            ScimType::InvalidSyntax => "invalidSyntax",
            ScimType::InvalidPath => "invalidPath",
            ScimType::NoTarget => "noTarget",
            ScimType::InvalidValue => "invalidValue",
            ScimType::InvalidVers => "invalidVers",
            ScimType::Sensitive => "sensitive",
            ScimType::InvalidCursor => "invalidCursor",
            ScimType::ExpiredCursor => "expiredCursor",
            ScimType::InvalidCount => "invalidCount",
        }
    }
}

/// What a server answers when it does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct ScimError {
    /// HTTP status.
    pub status: u16,
    /// The keyword, verbatim; servers invent their own.
    pub scim_type: Option<String>,
    /// The server's own words; may be empty.
    pub detail: String,
}

impl ScimError {
    /// An error without a keyword.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// A 400 of a kind.
    pub fn bad(kind: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(kind.as_str().to_owned()), detail: detail.into() }
    }

    /// The 409 of a value that is taken.
    pub fn taken(detail: impl Into<String>) -> Self {
        Self { status: 409, scim_type: Some(ScimType::Uniqueness.as_str().to_owned()), detail: detail.into() }
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: ScimType) -> bool {
        self.scim_type.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(kind.as_str()))
    }

    /// The message as it goes over the wire; `status` is a text there.
    pub fn to_json(&self) -> Value {
        let mut message = json!({"schemas": [urn::ERROR], "status": self.status.to_string()});
        if let Some(kind) = &self.scim_type {
            message["scimType"] = json!(kind);
        }
        if !self.detail.is_empty() {
            message["detail"] = json!(self.detail);
        }
        message
    }

    /// Reads the body of an answer that reports an error. Everything is accepted: the message with a status as text or
    /// number or without `schemas`, the bodies of other APIs (`message`, `error_description`, `errors[]`), a page of
    /// HTML (its title, else its words), plain text, nothing. `status` is the HTTP status, which outranks the body's.
    pub fn parse(status: u16, body: &[u8]) -> Self {
        let mut error = Self::new(status, "");
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::String(text)) => error.detail = shortened(&text),
            Ok(message) => {
                // Some wrap the error in a one-element list, or put several under `errors`.
                let first = message.get(0).or_else(|| member(&message, "errors").and_then(|e| e.get(0)));
                let message = first.unwrap_or(&message);
                error.scim_type = text_of(message, &["scimType"]);
                error.detail = text_of(
                    message,
                    &[
                        "detail",
                        "description",
                        "message",
                        "error_description",
                        "errorMessage",
                        "errorSummary",
                        "error",
                        "title",
                    ],
                )
                .or_else(|| message.as_str().map(shortened))
                .unwrap_or_default();
                // Keycloak names what it refuses beside the rule: {"field", "errorMessage", "params"}.
                if let Some(field) =
                    text_of(message, &["field"]).filter(|field| !error.detail.starts_with(field.as_str()))
                {
                    error.detail = format!("{field}: {}", error.detail);
                }
            }
            Err(_) => error.detail = words_of(&String::from_utf8_lossy(body)),
        }
        error
    }

    fn text(&self) -> String {
        match (&self.scim_type, self.detail.is_empty()) {
            (Some(kind), false) => format!("{} {kind}: {}", self.status, self.detail),
            (Some(kind), true) => format!("{} {kind}", self.status),
            (None, false) => format!("{}: {}", self.status, self.detail),
            (None, true) => self.status.to_string(),
        }
    }
}

fn text_of(message: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match member(message, name)? {
        Value::String(text) if !text.is_empty() => Some(shortened(text)),
        nested @ Value::Object(_) => text_of(nested, &["message", "detail", "description"]),
        _ => None,
    })
}

/// The words of a text that may be HTML, without its tags: the title where there is one.
fn words_of(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if !lower.contains("<html") && !lower.contains("<!doctype") {
        return shortened(text);
    }
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        lower[start..].find("</title>").map(|length| &text[start..start + length])
    });
    if let Some(title) = title {
        return shortened(title);
    }
    let mut words = String::new();
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                words.push(' ');
            }
            _ if !inside => words.push(letter),
            _ => {}
        }
    }
    shortened(&words)
}

/// One line without control characters, cut at the limit.
fn shortened(text: &str) -> String {
    let line = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    match line.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_body_gives_its_words() {
        let cases: [(&[u8], Option<&str>, &str); 9] = [
            (
                br#"{"errors":[{"field":"email","errorMessage":"error-invalid-email","params":["email","x"]}]}"#,
                None,
                "email: error-invalid-email",
            ),
            (br#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"userName is taken"}"#, Some("uniqueness"), "userName is taken"),
            (br#"{"status":409,"ScimType":"uniqueness"}"#, Some("uniqueness"), ""),
            (br#"{"errorMessage":"User exists with same username"}"#, None, "User exists with same username"),
            (br#"{"error":{"code":7,"message":"no seats"}}"#, None, "no seats"),
            (br#"{"errors":[{"description":"inactive"}]}"#, None, "inactive"),
            (b"<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title></head></html>", None, "502 Bad Gateway"),
            (b"<html><body><h1>Oops</h1>try later</body>", None, "Oops try later"),
            (b"", None, ""),
        ];
        for (body, kind, detail) in cases {
            let error = ScimError::parse(409, body);
            assert_eq!((error.scim_type.as_deref(), error.detail.as_str()), (kind, detail));
        }
        let built = ScimError::taken("userName \"jane\" is taken");
        assert_eq!(ScimError::parse(409, built.to_json().to_string().as_bytes()), built);
    }
}
