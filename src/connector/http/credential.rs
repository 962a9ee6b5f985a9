//! What muster proves itself with: kept as a secret, sent to one origin, never printed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

use super::lease::{Ended, Lease};
use super::redaction::Redaction;
use super::{Answer, Asking, Http, spoken};
use crate::connector::classify::row_among;
use crate::connector::config::{Auth, web_address};
use crate::connector::failure_table::Asked;
use crate::connector::secret::{SecretRef, Secrets};
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};
use crate::scim::error::ScimError;

/// An access token.
struct Token {
    header: HeaderValue,
    made: Instant,
    until: Instant,
}

/// A credential with its secret.
pub(super) struct Credential {
    auth: Auth,
    secret: SecretString,
    token_url: Option<Url>,
    /// The access token in use.
    token: Mutex<Option<Token>>,
    /// A token that was just made was answered with 403: it is a right that is missing.
    lacks_rights: AtomicBool,
    /// The header of a credential that is its own proof, made once.
    fixed: OnceLock<HeaderValue>,
    /// How long a vault's token lasts.
    lease: Option<Lease>,
    redaction: Redaction,
}

/// Base64 with padding (RFC 4648 section 4), as HTTP basic wants it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0_u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for place in 0..4 {
            if place <= three.len() {
                text.push(char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

impl Credential {
    pub(super) fn resolve(system: &str, auth: &Auth, secrets: &dyn Secrets) -> Result<Self, Failure> {
        let reference = auth.secret();
        let secret = secrets.resolve(reference).map_err(|problem| {
            let mut failure = Failure::new(
                Class::Credential,
                Recourse::Stop,
                system,
                format!("the credential cannot be had: {problem}"),
                "put the secret where the reference points to, or correct the reference in the job file",
            );
            failure.stage = Some(Stage::Login);
            failure
        })?;
        let token_url = match auth {
            Auth::Client { token_url, .. } | Auth::AppRole { login: token_url, .. } => {
                Some(web_address(token_url).map_err(|problem| {
                    Failure::new(
                        Class::Configuration,
                        Recourse::Stop,
                        system,
                        format!("auth: token_url: {problem}"),
                        "correct the job file",
                    )
                })?)
            }
            _ => None,
        };
        let lease = match auth {
            Auth::VaultToken { method, .. } => Some(Lease::of(method).map_err(|problem| {
                Failure::new(
                    Class::Configuration,
                    Recourse::Stop,
                    system,
                    format!("url: {problem}"),
                    "correct the job file",
                )
            })?),
            _ => None,
        };
        let redaction = Redaction::default();
        redaction.remember(secret.expose_secret());
        Ok(Self {
            auth: auth.clone(),
            secret,
            token_url,
            token: Mutex::new(None),
            lacks_rights: AtomicBool::new(false),
            fixed: OnceLock::new(),
            lease,
            redaction,
        })
    }

    pub(super) fn reference(&self) -> &SecretRef {
        self.auth.secret()
    }

    pub(super) fn token_url(&self) -> Option<&Url> {
        self.token_url.as_ref()
    }

    /// Takes whatever was sent to prove who muster is out of what a server said.
    pub(super) fn redact(&self, said: &mut Vec<u8>) {
        self.redaction.redact(said, &format!("[{}]", self.reference()));
    }

    /// Whether a request that was refused with a status is worth sending with another token than that of `made`, which may
    /// have ended. OpenBao and Vault say 403 to that as to a missing right, where others say 401.
    pub(super) async fn renews(&self, status: u16, made: Option<Instant>) -> bool {
        let may_have_ended = match &self.auth {
            Auth::Client { .. } => status == 401,
            Auth::AppRole { .. } => status == 401 || status == 403 && !self.lacks_rights.load(Ordering::Relaxed),
            Auth::Bearer { .. } | Auth::VaultToken { .. } | Auth::Basic { .. } => false,
        };
        if may_have_ended {
            // Of several that were refused at once the first drops it, and all get the next one.
            let mut token = self.token.lock().await;
            token.take_if(|token| made.is_none_or(|made| token.made <= made));
        }
        may_have_ended
    }

    /// The answer to a request with a token that was just made.
    pub(super) fn answered_anew(&self, status: Option<u16>) {
        if status == Some(403) {
            self.lacks_rights.store(true, Ordering::Relaxed);
        }
    }

    /// The value of the Authorization header, and when its token was made, where it has one that ends.
    pub(super) async fn header(&self, http: &Http) -> Result<(HeaderValue, Option<Instant>), Failure> {
        match (&self.auth, &self.token_url) {
            (Auth::Client { .. } | Auth::AppRole { .. }, Some(url)) => {
                let mut token = self.token.lock().await;
                let now = Instant::now();
                if let Some(token) = token.as_ref().filter(|token| now < token.until) {
                    return Ok((token.header.clone(), Some(token.made)));
                }
                let (header, lasts) = match &self.auth {
                    Auth::AppRole { role_id, .. } => self.log_in(http, role_id, url).await?,
                    Auth::Client { client_id, scope, .. } => {
                        self.fetch_token(http, client_id, scope.as_deref(), url).await?
                    }
                    Auth::Bearer { .. } | Auth::VaultToken { .. } | Auth::Basic { .. } => {
                        return Err(self.failure(http, "needs no token", None));
                    }
                };
                // Renewed a little before its end, so that no request travels with a token that expires on the way.
                let margin = Duration::from_secs(30).min(lasts / 2);
                let made = Instant::now();
                *token = Some(Token { header: header.clone(), made, until: now + (lasts - margin) });
                Ok((header, Some(made)))
            }
            (auth, _) => {
                let header = match self.fixed.get() {
                    Some(header) => header.clone(),
                    None => {
                        let header = match auth {
                            Auth::Basic { user, .. } => self.basic(http, user)?,
                            _ => self.sensitive(http, &format!("Bearer {}", self.secret.expose_secret()))?,
                        };
                        self.fixed.get_or_init(|| header).clone()
                    }
                };
                if let Some(lease) = &self.lease {
                    lease.keep(http, &header).await;
                }
                Ok((header, None))
            }
        }
    }

    /// The failure of a request that was refused because a vault's token is no good any more, which the server says as it
    /// says that a right is missing.
    pub(super) async fn ended(&self, http: &Http, failure: &Failure) -> Option<Failure> {
        let (lease, token) = (self.lease.as_ref()?, self.fixed.get()?);
        if !matches!(failure.status, Some(401 | 403)) || failure.stage == Some(Stage::Login) {
            return None;
        }
        let reference = self.reference();
        let (cause, remedy) = match lease.ended(http, token).await? {
            Ended::Over(ago) => (
                match ago.as_secs() {
                    0 => format!("the token of {reference} ended just now, and could not be renewed any more"),
                    ago => format!("the token of {reference} ended {ago} s ago, and could not be renewed any more"),
                },
                "make one that can be renewed for as long as a run takes (`bao token create -period=24h`), or log in by \
                 AppRole; put it where the reference points to, then `muster check`",
            ),
            Ended::Refused { was_good: true } => (
                format!("the token of {reference} was revoked, though its time is not over"),
                "see who revoked it; make another one, put it where the reference points to, then `muster check`",
            ),
            Ended::Refused { was_good: false } => (
                format!("the token of {reference} is refused: it is wrong, has ended or was revoked"),
                "make another token and put it where the reference points to, then `muster check`; a token that is good \
                 needs the policy `default`, which lets it ask about itself (auth/token/lookup-self)",
            ),
        };
        let mut ended = Failure::new(Class::Credential, Recourse::Stop, &http.system, cause, remedy);
        ended.stage = Some(Stage::Login);
        (ended.effect, ended.status) = (Effect::None, failure.status);
        (ended.message, ended.request_id) = (failure.message.clone(), failure.request_id.clone());
        Some(ended)
    }

    fn basic(&self, http: &Http, user: &str) -> Result<HeaderValue, Failure> {
        let pair = format!("{user}:{}", self.secret.expose_secret());
        self.sensitive(http, &format!("Basic {}", base64(pair.as_bytes())))
    }

    fn sensitive(&self, http: &Http, text: &str) -> Result<HeaderValue, Failure> {
        let mut header = HeaderValue::from_str(text)
            .map_err(|_| self.failure(http, "holds characters that cannot be sent, such as a line end", None))?;
        header.set_sensitive(true);
        self.redaction.remember(text.split_once(' ').map_or(text, |(_, proof)| proof));
        Ok(header)
    }

    fn failure(&self, http: &Http, problem: &str, error: Option<&ScimError>) -> Failure {
        let mut failure = Failure::new(
            Class::Credential,
            Recourse::Stop,
            &http.system,
            format!("the credential {} {problem}", self.reference()),
            "renew the credential where its reference points to, then `muster check`",
        );
        failure.stage = Some(Stage::Login);
        failure.status = error.map(|error| error.status);
        failure.message = error.map(|error| error.detail.clone()).filter(|detail| !detail.is_empty());
        failure
    }

    /// Client credentials (RFC 6749 section 4.4): as HTTP basic, which every server has to take, else in the body,
    /// which many take alone.
    async fn fetch_token(
        &self,
        http: &Http,
        client_id: &str,
        scope: Option<&str>,
        url: &Url,
    ) -> Result<(HeaderValue, Duration), Failure> {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.map(|scope| ("scope", scope)));
        let asking = Asking { method: &Method::POST, url, asked: Asked::Discovery, sent: 0 };
        let escape = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", escape(client_id), escape(self.secret.expose_secret()));
        let header = self.sensitive(http, &format!("Basic {}", base64(pair.as_bytes())))?;
        let post = || http.client.post(url.clone()).header("accept", "application/json");
        let mut answer = http.exchange(post().header(AUTHORIZATION, header).form(&form), asking).await?;
        if matches!(answer.status, 400 | 401) {
            form.push(("client_id", client_id));
            form.push(("client_secret", self.secret.expose_secret()));
            answer = http.exchange(post().form(&form), asking).await?;
        }
        if !answer.is_success() {
            let error = oauth_error(&answer);
            if !matches!(answer.status, 400 | 401 | 403) {
                return Err(http.refused(&answer, Asked::Discovery, &spoken(asking.method, url)));
            }
            let told = format!("is refused by {} with {}", spoken(asking.method, url), answer.status);
            let failure = self.failure(http, &told, Some(&error));
            // A product may say more with its words than that it refuses.
            let row = row_among(http.dialect, Asked::Discovery, answer.status, None, Some(&error.detail));
            return Err(row.map_or(failure.clone(), |row| Failure {
                class: row.class,
                cause: format!("{}: {}", failure.cause, row.says),
                remedy: row.remedy.to_owned(),
                ..failure
            }));
        }
        let body = answer.json().unwrap_or_default();
        let token = body.get("access_token").and_then(|token| token.as_str()).unwrap_or("");
        if token.is_empty() {
            return Err(self.failure(http, &format!("gets no access_token from {}", spoken(asking.method, url)), None));
        }
        let lasts = body.get("expires_in").and_then(|seconds| match seconds {
            serde_json::Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        });
        Ok((self.sensitive(http, &format!("Bearer {token}"))?, Duration::from_secs(lasts.unwrap_or(60).min(86_400))))
    }
}

/// The error's keyword before its description (RFC 6749 section 5.2): the description alone may say the same of a wrong
/// client and of a wrong secret.
fn oauth_error(answer: &Answer) -> ScimError {
    let mut error = ScimError::parse(answer.status, &answer.body);
    let body = answer.json().unwrap_or_default();
    if let Some(keyword) = body.get("error").and_then(serde_json::Value::as_str).filter(|word| *word != error.detail) {
        error.detail = format!("{}: {}", keyword.chars().take(64).collect::<String>(), error.detail);
    }
    error
}

impl Credential {
    /// AppRole (OpenBao, auth/approle/login): both ids for a token, and how long it lasts; 0 = for ever.
    async fn log_in(&self, http: &Http, role_id: &str, url: &Url) -> Result<(HeaderValue, Duration), Failure> {
        let asking = Asking { method: &Method::POST, url, asked: Asked::Discovery, sent: 0 };
        let ids = serde_json::json!({"role_id": role_id, "secret_id": self.secret.expose_secret()});
        let mut builder = http.client.post(url.clone()).header("accept", "application/json");
        for (name, value) in &http.headers {
            builder = builder.header(name, value);
        }
        let answer = http.exchange(builder.json(&ids), asking).await?;
        if !answer.is_success() {
            let error = ScimError::parse(answer.status, &answer.body);
            // Some versions answer a wrong secret id with 500.
            let is_wrong_id = ["invalid secret id", "invalid role"].iter().any(|says| error.detail.contains(says));
            if is_wrong_id || matches!(answer.status, 400 | 401 | 403) {
                let told = format!("is refused by {} with {}", spoken(asking.method, url), answer.status);
                return Err(self.failure(http, &told, Some(&error)));
            }
            return Err(http.refused(&answer, Asked::Discovery, &spoken(asking.method, url)));
        }
        let body = answer.json().unwrap_or_default();
        let token = body.pointer("/auth/client_token").and_then(|token| token.as_str()).unwrap_or("");
        if token.is_empty() {
            return Err(self.failure(http, &format!("gets no client_token from {}", spoken(asking.method, url)), None));
        }
        let lasts = body.pointer("/auth/lease_duration").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let lasts = if lasts == 0 { 86_400 } else { lasts.min(86_400) };
        Ok((self.sensitive(http, &format!("Bearer {token}"))?, Duration::from_secs(lasts)))
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_padded() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob\u{ff}", "Zm9vYsO/")] {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }
}
