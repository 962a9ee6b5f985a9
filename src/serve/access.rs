//! Who gets in: one browser, by an address that works once.
//!
//! The address holds a token that is exchanged for a cookie and then void. Cookies know no ports: another program that
//! listens on this machine could be sent this one. So the page also sends a word that the browser keeps for this address
//! and port alone, and what is asked without it is refused.

use std::sync::Mutex;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};

/// The header in which the page sends its word.
pub(super) const WORD: &str = "x-muster-page";

/// What every answer says to the browser.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Asked by another name, as a page elsewhere would after it moved its own name here.
    Host,
    /// Asked from a page elsewhere.
    Origin,
    /// Without the cookie, or the page's word.
    Stranger,
    /// By an address that was used.
    Used,
}

impl Refused {
    /// What is said about it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Host => "this page answers at the address that muster printed, and by no other name",
            Self::Origin => "this page takes decisions from itself alone",
            Self::Stranger => {
                "this address is for the browser that opened the page first; end `muster review --serve` and start it again for a new address"
            }
            Self::Used => {
                "this address was used already, or is not the one that muster printed: it works once; end `muster review --serve` and start it again for a new one"
            }
        }
    }
}

/// Whom the page knows.
pub(super) struct Access {
    host: String,
    cookie_name: String,
    /// The digest of the token, until it is exchanged.
    token: Mutex<Option<[u8; 32]>>,
    cookie: String,
    word: String,
}

/// A new secret: 244 random bits.
pub(super) fn secret() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

impl Access {
    /// For a page at a port of this machine; `token` is in the printed address.
    pub(super) fn new(port: u16, token: &str) -> Self {
        Self {
            host: format!("127.0.0.1:{port}"),
            // Pages at other ports must not take each other's place.
            cookie_name: format!("muster-{port}"),
            token: Mutex::new(Some(digest(token))),
            cookie: secret(),
            word: secret(),
        }
    }

    /// Exchanges the token; gives the cookie's header.
    ///
    /// # Errors
    /// Where it is another one, or was exchanged before.
    pub(super) fn exchange(&self, token: &str) -> Result<HeaderValue, Refused> {
        let mut held = self.token.lock().map_err(|_| Refused::Used)?;
        if held.is_none_or(|held| held != digest(token)) {
            return Err(Refused::Used);
        }
        *held = None;
        let cookie = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", self.cookie_name, self.cookie);
        HeaderValue::try_from(cookie).map_err(|_| Refused::Used)
    }

    /// The word that the page keeps.
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// Whether somebody asked by the right name.
    ///
    /// # Errors
    /// [`Refused::Host`].
    pub(super) fn by_name(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if text(headers, header::HOST) == Some(&self.host) { Ok(()) } else { Err(Refused::Host) }
    }

    /// Whether somebody has the cookie.
    ///
    /// # Errors
    /// [`Refused::Stranger`].
    pub(super) fn known(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let ours = |(name, value): (&str, &str)| name == self.cookie_name && digest(value) == digest(&self.cookie);
        if pairs.any(ours) { Ok(()) } else { Err(Refused::Stranger) }
    }

    /// Whether the page itself asks, and where it changes something, from its own address.
    ///
    /// # Errors
    /// [`Refused::Stranger`], [`Refused::Origin`].
    pub(super) fn is_the_page(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let site = text(headers, HeaderName::from_static("sec-fetch-site"));
        if site.is_some_and(|site| site != "same-origin") {
            return Err(Refused::Origin);
        }
        let origin = text(headers, header::ORIGIN);
        let is_ours = origin.is_some_and(|origin| origin.strip_prefix("http://") == Some(&self.host));
        if (*method != Method::GET || origin.is_some()) && !is_ours {
            return Err(Refused::Origin);
        }
        let word = text(headers, HeaderName::from_static(WORD)).unwrap_or_default();
        if digest(word) == digest(&self.word) { Ok(()) } else { Err(Refused::Stranger) }
    }
}

/// Adds what every answer says to the browser.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Digests are compared, so that the time says nothing.
fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
