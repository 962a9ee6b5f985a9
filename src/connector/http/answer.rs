//! An answer as it came, with what its headers say.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::tls::TlsInfo;
use sha2::{Digest as _, Sha256};

/// An HTTP answer, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Statuses of the tries before this one.
    pub refused: Vec<u16>,
    /// Its headers; most answers are read without most of them.
    head: HeaderMap,
    /// The TLS session that it came through, where there was one.
    tls: Option<TlsInfo>,
}

/// Headers in which servers send the id of a request, the most telling first.
const REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-ms-request-id",
    "x-amzn-requestid",
    "x-okta-request-id",
    "x-trace-id",
    "cf-ray",
];

impl Answer {
    /// An answer whose body is still to come; takes the headers of the response.
    pub(super) fn from_head(response: &mut Response) -> Self {
        let head = std::mem::take(response.headers_mut());
        let tls = response.extensions_mut().remove::<TlsInfo>();
        Self { status: response.status().as_u16(), body: Vec::new(), refused: Vec::new(), head, tls }
    }

    /// The fingerprint of the server's certificate: the first half of its SHA-256.
    pub fn certificate(&self) -> Option<String> {
        let digest = Sha256::digest(self.tls.as_ref()?.peer_certificate()?);
        Some(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Where the created object is.
    pub fn location(&self) -> Option<&str> {
        text(&self.head, LOCATION.as_str())
    }

    /// The server's own time.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        text(&self.head, DATE.as_str()).and_then(http_date)
    }

    /// How long the server asks to wait: by Retry-After, or where it refused as too many by the end of its count.
    pub fn retry_after(&self) -> Option<Duration> {
        let told = text(&self.head, RETRY_AFTER.as_str()).and_then(|wait| retry_after(wait, self.date()));
        told.or_else(|| self.until_reset().filter(|_| self.status == 429))
    }

    /// A header, where it is there and says anything.
    pub(in crate::connector) fn header(&self, name: &str) -> Option<&str> {
        text(&self.head, name)
    }

    /// The server's id of the request.
    pub fn request_id(&self) -> Option<&str> {
        REQUEST_IDS.iter().find_map(|name| text(&self.head, name))
    }

    /// Whether the status says that it was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the body is a page for people.
    pub fn is_html(&self) -> bool {
        let media_type = text(&self.head, CONTENT_TYPE.as_str()).and_then(|full| full.split(';').next()).map(str::trim);
        let is_page = |media_type: &str| {
            ["text/html", "application/xhtml+xml"].iter().any(|page| media_type.eq_ignore_ascii_case(page))
        };
        let by_type = media_type.is_some_and(is_page);
        by_type || self.body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'<')
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// The three date formats of HTTP come down to the one that is sent today (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

/// Retry-After in seconds, or as a date that is compared with the server's own clock (RFC 9110 section 10.2.3).
fn retry_after(text: &str, server_time: Option<DateTime<Utc>>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(text)?;
    Some((until - server_time?).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = http_date("Sun, 22 Nov 2026 12:00:00 GMT");
        assert!(now.is_some());
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 12:01:30 GMT", now), Some(Duration::from_secs(90)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
