//! How long a vault's token lasts, and its renewal before it ends (OpenBao, auth/token/lookup-self and renew-self:
//! <https://openbao.org/api-docs/auth/token/>).

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::{Answer, Asking, Http};
use crate::connector::config::web_address;
use crate::connector::failure_table::Asked;
use crate::model::failure::Failure;

/// The least time between two questions about one token.
const PAUSE: Duration = Duration::from_secs(1);

/// Servers tell a token's time in whole seconds, rounded, and their answer takes a while: its end is known to within this.
const ROUNDING: Duration = Duration::from_secs(2);

/// What is known of a token.
#[derive(Clone, Copy, Default)]
enum Known {
    /// Nobody asked yet.
    #[default]
    Nothing,
    /// It may not ask about itself, or the server could not be asked.
    Untold,
    /// It does not end, or not while anybody waits for it.
    Endless,
    /// It ends.
    Ends {
        at: Instant,
        /// When to renew it; `None` where that does not help (any more).
        due: Option<Instant>,
    },
}

/// The life of one token that was given to muster.
pub(super) struct Lease {
    known: Mutex<Known>,
    /// When the server last said that the token is good, although it refused something.
    confirmed: Mutex<Option<Instant>>,
    look: Url,
    renew: Url,
}

/// Why a token is no good.
pub(super) enum Ended {
    /// Its time is over: how long ago, or zero for just now.
    Over(Duration),
    /// The server refuses it before its time, or nothing is known of that.
    Refused {
        /// The server once told how long it lasts.
        was_good: bool,
    },
}

impl Lease {
    /// `method` is where tokens look after themselves: `…/v1/auth/token`.
    pub(super) fn of(method: &str) -> Result<Self, String> {
        let at = |step: &str| web_address(&format!("{method}/{step}"));
        let (look, renew) = (at("lookup-self")?, at("renew-self")?);
        Ok(Self { known: Mutex::default(), confirmed: Mutex::default(), look, renew })
    }

    /// Renews the token where that is due. What comes of it is told by the request that needs it.
    pub(super) async fn keep(&self, http: &Http, token: &HeaderValue) {
        // Held while it is renewed, so that this happens once.
        let mut known = self.known.lock().await;
        match *known {
            Known::Nothing => {
                *known = match self.ask(http, token, Method::GET, &self.look).await {
                    Ok(answer) if answer.is_success() => looked_up(&answer.json().unwrap_or_default()),
                    // Sealed, or not reached: asked again with the next request.
                    Ok(answer) if answer.status >= 500 => Known::Nothing,
                    Err(_) => Known::Nothing,
                    Ok(_) => Known::Untold,
                };
            }
            Known::Ends { at, due: Some(due) } if Instant::now() >= due => {
                let left = at.saturating_duration_since(Instant::now());
                let answer = self.ask(http, token, Method::POST, &self.renew).await;
                *known = match answer.as_ref().map(|answer| (answer.is_success(), answer)) {
                    Ok((true, answer)) => renewed(&answer.json().unwrap_or_default(), left),
                    // Refused: it is as it was, and stays so.
                    Ok((false, answer)) if answer.status < 500 => Known::Ends { at, due: None },
                    // Once more before it ends.
                    _ => Known::Ends { at, due: Some(Instant::now() + (left / 2).max(PAUSE)) },
                };
            }
            _ => {}
        }
    }

    /// Whether the token itself is the reason why a request was refused.
    pub(super) async fn ended(&self, http: &Http, token: &HeaderValue) -> Option<Ended> {
        let mut confirmed = self.confirmed.lock().await;
        if confirmed.is_some_and(|confirmed| confirmed.elapsed() < PAUSE) {
            return None;
        }
        let answer = self.ask(http, token, Method::GET, &self.look).await.ok()?;
        if answer.is_success() {
            *confirmed = Some(Instant::now());
            return None;
        }
        if !matches!(answer.status, 401 | 403) {
            return None;
        }
        let known = *self.known.lock().await;
        Some(match known {
            Known::Ends { at, .. } if Instant::now() + ROUNDING >= at => Ended::Over(at.elapsed()),
            Known::Ends { .. } | Known::Endless => Ended::Refused { was_good: true },
            Known::Untold | Known::Nothing => Ended::Refused { was_good: false },
        })
    }

    async fn ask(&self, http: &Http, token: &HeaderValue, method: Method, url: &Url) -> Result<Answer, Failure> {
        let mut builder = http.client.request(method.clone(), url.clone()).header(AUTHORIZATION, token.clone());
        for (name, value) in &http.headers {
            builder = builder.header(name, value);
        }
        http.exchange(builder, Asking { method: &method, url, asked: Asked::Discovery, sent: 0 }).await
    }
}

/// Half of the time that is left; what lasts for longer than a year may as well last for ever.
fn ends_in(seconds: u64, is_renewable: bool) -> Known {
    if seconds == 0 || seconds > 366 * 86_400 {
        return Known::Endless;
    }
    let (now, left) = (Instant::now(), Duration::from_secs(seconds));
    Known::Ends { at: now + left, due: is_renewable.then(|| now + left / 2) }
}

fn looked_up(answer: &Value) -> Known {
    let ttl = answer.pointer("/data/ttl").and_then(Value::as_u64);
    let is_renewable = answer.pointer("/data/renewable").and_then(Value::as_bool) == Some(true);
    ttl.map_or(Known::Untold, |ttl| ends_in(ttl, is_renewable))
}

/// A token whose longest life is over soon gets no more than what is left of it.
fn renewed(answer: &Value, left: Duration) -> Known {
    let lasts = answer.pointer("/auth/lease_duration").and_then(Value::as_u64).unwrap_or_default();
    ends_in(lasts.max(1), Duration::from_secs(lasts) > left + PAUSE)
}
