//! An answer as it came, with what its headers say.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, DATE, ETAG, HeaderMap, LOCATION, RETRY_AFTER};

/// An HTTP answer, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Statuses of the tries before this one.
    pub refused: Vec<u16>,
    /// Its media type, lower case, without parameters.
    pub media_type: Option<String>,
    /// Where the created object is.
    pub location: Option<String>,
    /// The entity tag.
    pub etag: Option<String>,
    /// The server's own time.
    pub date: Option<DateTime<Utc>>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The server's id of the request.
    pub request_id: Option<String>,
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
    pub(super) fn from_head(response: &Response) -> Self {
        let headers = response.headers();
        let date = text(headers, DATE.as_str()).and_then(|date| http_date(&date));
        Self {
            status: response.status().as_u16(),
            body: Vec::new(),
            refused: Vec::new(),
            media_type: text(headers, CONTENT_TYPE.as_str())
                .map(|full| full.split(';').next().unwrap_or("").trim().to_ascii_lowercase()),
            location: text(headers, LOCATION.as_str()),
            etag: text(headers, ETAG.as_str()),
            retry_after: text(headers, RETRY_AFTER.as_str()).and_then(|wait| retry_after(&wait, date)),
            request_id: REQUEST_IDS.iter().find_map(|name| text(headers, name)),
            date,
        }
    }

    /// Whether the status says that it was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the body is a page for people.
    pub fn is_html(&self) -> bool {
        let by_type = self.media_type.as_deref().is_some_and(|t| t == "text/html" || t == "application/xhtml+xml");
        by_type || self.body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'<')
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned).filter(|value| !value.is_empty())
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
