//! Takes credentials out of what a server says: some repeat in an error what they were sent.

use std::sync::Mutex;

use memchr::memmem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

/// Texts shorter than this are too common to be looked for.
const LEAST: usize = 4;
/// How many writings are remembered; a token that was replaced long ago is worth nothing.
const MOST: usize = 32;

/// The writings of a credential that must not be told.
#[derive(Default)]
pub(super) struct Redaction {
    writings: Mutex<Vec<SecretString>>,
}

impl Redaction {
    /// Remembers a secret in every writing in which it may come back.
    pub(super) fn remember(&self, secret: &str) {
        let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let json = serde_json::Value::from(secret).to_string();
        let Ok(mut writings) = self.writings.lock() else { return };
        for text in [secret.to_owned(), percent.to_lowercase(), percent, form, json.trim_matches('"').to_owned()] {
            if text.len() >= LEAST && !writings.iter().any(|known| known.expose_secret() == text) {
                writings.push(text.into());
            }
        }
        let excess = writings.len().saturating_sub(MOST);
        writings.drain(..excess);
    }

    /// Puts `instead` in the place of every writing.
    pub(super) fn redact(&self, body: &mut Vec<u8>, instead: &str) {
        let Ok(writings) = self.writings.lock() else { return };
        for writing in writings.iter() {
            let writing = writing.expose_secret().as_bytes();
            if memmem::find(body, writing).is_none() {
                continue;
            }
            let mut clean = Vec::with_capacity(body.len());
            let mut from = 0;
            for at in memmem::find_iter(body, writing) {
                clean.extend_from_slice(&body[from..at]);
                clean.extend_from_slice(instead.as_bytes());
                from = at + writing.len();
            }
            clean.extend_from_slice(&body[from..]);
            *body = clean;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_is_taken_out_and_nothing_else() {
        let redaction = Redaction::default();
        redaction.remember("s\"cret w/rd");
        redaction.remember("abc");
        let mut body =
            br#"abc: "s\"cret w/rd", s"cret w/rd, s%22cret%20w%2Frd, s%22cret+w%2Frd, s%22cret%20w%2frd."#.to_vec();
        redaction.redact(&mut body, "[x]");
        assert_eq!(String::from_utf8(body).unwrap(), r#"abc: "[x]", [x], [x], [x], [x]."#);
    }
}
