//! One HTTP client for each system: no redirects, no environment, one origin for the credential, limits on everything.

mod answer;
mod claims;
mod credential;
mod lease;
mod pace;
mod patience;
mod proxy;
pub(crate) mod reach;
mod redaction;
mod transport;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, redirect};
use url::Url;

pub use answer::Answer;

use self::credential::Credential;
use self::patience::Patience;
use self::proxy::ProxyRule;
pub(super) use self::proxy::proxied;
use super::backoff::{Backoff, Budget, Retrying};
use super::classify::{Refusal, classify};
use super::config::{Auth, web_address};
use super::failure_table::{Asked, Row};
use super::limit::{Congestion, RateLimit};
use super::registry::{ConnectContext, Exchanged};
use crate::model::causes;
use crate::model::exchange::Exchange;
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};
use crate::model::numbers::count;
use crate::scim::error::ScimError;

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The base address; the only origin that ever sees the credential.
    pub url: String,
    /// How muster proves who it is.
    pub auth: Option<Auth>,
    /// The proxy on the way.
    pub proxy: Option<String>,
    /// Hosts that are reached without it.
    pub no_proxy: Vec<String>,
    /// PEM certificates trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take, from the request to its last byte.
    pub timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_bytes: u64,
    /// The media type that is sent and asked for.
    pub media_type: &'static str,
    /// Headers that go with every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A question to a system.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: Url,
    /// A JSON body.
    pub body: Option<serde_json::Value>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What kind of question it is.
    pub asked: Asked,
}

impl Request {
    /// A question without a body.
    pub fn new(method: Method, url: Url, asked: Asked) -> Self {
        Self { method, url, body: None, headers: Vec::new(), asked }
    }

    /// Method and address without query, for people: queries may hold personal data.
    fn spoken(&self) -> String {
        spoken(&self.method, &self.url)
    }
}

fn spoken(method: &Method, url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    format!("{method} {url}")
}

/// Method and path, and of the query what is no text about people: numbers, and the names of the rest.
fn logged(method: &Method, url: &Url) -> String {
    let mut text = format!("{method} {}", url.path());
    for (position, (name, value)) in url.query_pairs().enumerate() {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let value = if is_number { value.as_ref() } else { "…" };
        text.push_str(&format!("{}{name}={value}", if position == 0 { '?' } else { '&' }));
    }
    text
}

/// What is known of a request while it is sent.
#[derive(Clone, Copy)]
struct Asking<'a> {
    method: &'a Method,
    url: &'a Url,
    asked: Asked,
    /// Bytes of its body.
    sent: u64,
}

/// A client for one system.
pub struct Http {
    system: String,
    base: Url,
    client: Client,
    credential: Option<Credential>,
    proxy: Option<Arc<ProxyRule>>,
    timeout: Duration,
    max_bytes: u64,
    media_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: RateLimit,
    congestion: Congestion,
    backoff: Backoff,
    budget: Budget,
    random: Arc<dyn Fn() -> f64 + Send + Sync>,
    retrying: Retrying,
    exchanged: Exchanged,
    dialect: &'static [Row],
    patience: Patience,
}

/// Characters of a refusal's message that go into the log.
const LOGGED: usize = 300;

/// How long a TCP and TLS session may take to come about, at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

impl Http {
    /// Makes a client. Sends nothing yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable address or file, class `credential` for a secret that cannot be had.
    pub fn new(system: &str, settings: &HttpSettings, context: &ConnectContext) -> Result<Self, Failure> {
        let wrong = |what: &str, problem: String| {
            Failure::new(
                Class::Configuration,
                Recourse::Stop,
                system,
                format!("{what}: {problem}"),
                "correct the job file",
            )
        };
        let mut base = web_address(&settings.url).map_err(|problem| wrong("url", problem))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let proxy = match &settings.proxy {
            Some(address) => {
                let url = web_address(address).map_err(|problem| wrong("proxy", problem))?;
                Some(Arc::new(ProxyRule { url, no_proxy: settings.no_proxy.clone() }))
            }
            None => None,
        };
        let credential = match &settings.auth {
            Some(auth) => Some(Credential::resolve(system, auth, context.secrets.as_ref())?),
            None => None,
        };
        let needs_tls = base.scheme() == "https"
            || credential.as_ref().and_then(Credential::token_url).is_some_and(|url| url.scheme() == "https");
        let ca_file = settings.ca_file.as_ref().map(|path| context.base.join(path));
        let client = client(settings.timeout, needs_tls, ca_file.as_deref(), proxy.clone())
            .map_err(|problem| wrong(if ca_file.is_some() { "ca_file" } else { "client" }, problem))?;
        Ok(Self {
            system: system.to_owned(),
            base,
            client,
            credential,
            proxy,
            timeout: settings.timeout,
            max_bytes: settings.max_bytes,
            media_type: settings.media_type,
            headers: settings.headers.clone(),
            limit: RateLimit::new(context.rate),
            congestion: Congestion::default(),
            backoff: Backoff::default(),
            budget: Budget::new(context.retry_budget),
            random: context.random.clone(),
            retrying: context.retrying.clone(),
            exchanged: context.exchanged.clone(),
            dialect: &[],
            patience: Patience::default(),
        })
    }

    /// The same, for a product whose messages mean what these rows say, before what the table of all says, and which
    /// switches itself off after so many refusals in a row.
    pub(super) fn speaking(mut self, dialect: &'static [Row], switches_off_after: Option<u64>) -> Self {
        (self.dialect, self.patience) = (dialect, Patience::of(switches_off_after));
        self
    }

    /// The system's name in the job file.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The base address, with a slash at its end.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the base; each segment is escaped as data.
    pub fn address(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            for segment in segments {
                // `..` and `.` would be swallowed as steps through the path, even escaped.
                match *segment {
                    "." => path.push("%2E"),
                    ".." => path.push("%2E%2E"),
                    plain => path.push(plain),
                };
            }
        }
        url
    }

    /// What the access token that muster uses now says of itself; `None` where it has none, or one that says nothing.
    ///
    /// # Errors
    /// As for any question, where a token has to be fetched.
    pub(super) async fn claims(&self) -> Result<Option<serde_json::Value>, Failure> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let (header, _) = credential.header(self).await?;
        Ok(header.to_str().ok().and_then(|header| header.strip_prefix("Bearer ")).and_then(claims::claims))
    }

    /// Sends a question that changes nothing, and repeats it where that may help.
    ///
    /// # Errors
    /// The last failure, when tries, time or hope are used up.
    pub async fn read(&self, request: &Request) -> Result<Answer, Failure> {
        let mut statuses = Vec::new();
        let mut failed = 0;
        loop {
            match self.send(request).await {
                Ok(mut answer) => {
                    answer.refused = statuses;
                    return Ok(answer);
                }
                Err(failure) => {
                    failed += 1;
                    statuses.extend(failure.status);
                    // An expired cursor is no matter of waiting: only a walk from the beginning gets another one.
                    let worth_it = failure.recourse == Recourse::Retry && failure.class != Class::Stale;
                    let wait = self.backoff.wait(failed, failure.retry_after, (self.random)());
                    match wait.filter(|wait| worth_it && self.budget.spend(*wait)) {
                        Some(wait) => {
                            (self.retrying)(&failure, failed + 1, wait);
                            tokio::time::sleep(wait).await;
                        }
                        None => return Err(failure),
                    }
                }
            }
        }
    }

    /// Sends a question once. (A token that expired is renewed and the question sent again: a 401 did nothing, nor did a 403.)
    ///
    /// # Errors
    /// Anything that is no success, classified.
    pub async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let mut token = None;
        self.be_patient().await?;
        let first = self.send_once(request, &mut token).await;
        let (Err(failure), Some(credential)) = (&first, &self.credential) else { return first };
        match failure.status {
            Some(status) if credential.renews(status, token).await => {
                let again = self.send_once(request, &mut token).await;
                credential.answered_anew(again.as_ref().err().and_then(|failure| failure.status));
                again
            }
            _ => match credential.ended(self, failure).await {
                Some(ended) => Err(ended),
                None => first,
            },
        }
    }

    /// `token` is told when the token was made that went with it, where one did.
    async fn send_once(&self, request: &Request, token: &mut Option<Instant>) -> Result<Answer, Failure> {
        let media_type = HeaderValue::from_static(self.media_type);
        let mut builder =
            self.client.request(request.method.clone(), request.url.clone()).header(ACCEPT, media_type.clone());
        let mut sent = 0;
        if let Some(body) = &request.body {
            // JSON in memory cannot but be written; its `Display` takes thrice as long.
            let bytes = serde_json::to_vec(body).unwrap_or_else(|_| body.to_string().into_bytes());
            sent = bytes.len() as u64;
            builder = builder.header(CONTENT_TYPE, media_type).body(bytes);
        }
        let is_replaced = |name: &HeaderName| request.headers.iter().any(|(own, _)| own == name);
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_replaced(name)).chain(&request.headers) {
            builder = builder.header(name, value);
        }
        if let Some(credential) = &self.credential {
            if !is_same_origin(&request.url, &self.base) {
                return Err(Failure::new(
                    Class::Configuration,
                    Recourse::GiveUp,
                    &self.system,
                    format!(
                        "{} leads away from {}: the credential is sent nowhere else",
                        request.spoken(),
                        self.base.origin().ascii_serialization()
                    ),
                    "see why this system names foreign addresses; if it moved, write its new address as url",
                ));
            }
            let (header, made) = credential.header(self).await?;
            *token = made;
            builder = builder.header(AUTHORIZATION, header);
        }
        let pass = self.congestion.pass().await;
        self.limit.turn().await;
        let asking = Asking { method: &request.method, url: &request.url, asked: request.asked, sent };
        let answer = self.exchange(builder, asking).await?;
        pass.answered(answer.is_too_much());
        let is_change = matches!(request.asked, Asked::Write | Asked::Delete);
        self.patience.answered(answer.is_success(), is_change);
        if let Some(pause) = answer.pause() {
            self.limit.hold(pause).await;
        }
        if answer.is_success() && (answer.body.is_empty() || !answer.is_html()) {
            return Ok(answer);
        }
        Err(self.refused(&answer, request.asked, &request.spoken()))
    }

    /// The failure that an answer means which is no success.
    fn refused(&self, answer: &Answer, asked: Asked, spoken: &str) -> Failure {
        let error = ScimError::parse(answer.status, &answer.body);
        classify(&Refusal {
            system: &self.system,
            asked,
            request: spoken,
            status: answer.status,
            is_html: answer.is_html(),
            scim_type: error.scim_type.as_deref(),
            message: Some(error.detail.as_str()).filter(|detail| !detail.is_empty()),
            credential: self.credential.as_ref().map(Credential::reference),
            request_id: answer.request_id(),
            retry_after: answer.retry_after(),
            dialect: self.dialect,
        })
    }

    /// Sends and reads the whole answer, inside the limits of time and size, and tells the log. Every status is an
    /// answer.
    async fn exchange(&self, builder: reqwest::RequestBuilder, asking: Asking<'_>) -> Result<Answer, Failure> {
        let began = Instant::now();
        let result = self.exchange_unlogged(builder, asking).await;
        let failure = match &result {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => {
                let said = ScimError::parse(answer.status, &answer.body).detail;
                Some(said.chars().take(LOGGED).collect())
            }
            Err(failure) => Some(failure.cause.clone()),
        };
        let answer = result.as_ref().ok();
        (self.exchanged)(Exchange {
            system: self.system.clone(),
            request: logged(asking.method, asking.url),
            status: answer.map(|answer| answer.status),
            sent: asking.sent,
            received: answer.map_or(0, |answer| answer.body.len() as u64),
            took: began.elapsed(),
            request_id: answer.and_then(Answer::request_id).map(str::to_owned),
            failure,
        });
        result
    }

    async fn exchange_unlogged(
        &self,
        builder: reqwest::RequestBuilder,
        Asking { method, url, asked, .. }: Asking<'_>,
    ) -> Result<Answer, Failure> {
        let spoken = || spoken(method, url);
        let effect = if matches!(asked, Asked::Write | Asked::Delete) { Effect::Unknown } else { Effect::None };
        let whole = async {
            let failed = |error| self.transport_failure(error, url, &spoken(), effect);
            let mut response = builder.send().await.map_err(failed)?;
            let mut answer = Answer::from_head(&mut response);
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if answer.body.len() as u64 + chunk.len() as u64 > self.max_bytes {
                    let mut failure = Failure::new(
                        Class::Server,
                        Recourse::GiveUp,
                        &self.system,
                        format!("the answer to {} did not end within {} bytes", spoken(), count(self.max_bytes)),
                        "see at the server why it does not end its answer; if a page is rightly that large, set a smaller page_size, or a larger max_answer_bytes, for this system",
                    );
                    (failure.effect, failure.stage, failure.status) = (effect, Some(Stage::Http), Some(answer.status));
                    return Err(failure);
                }
                answer.body.extend_from_slice(&chunk);
            }
            if let Some(credential) = self.credential.as_ref().filter(|_| !answer.is_success()) {
                credential.redact(&mut answer.body);
            }
            Ok(answer)
        };
        match tokio::time::timeout(self.timeout, whole).await {
            Ok(result) => result,
            Err(_) => {
                let mut failure = Failure::new(
                    Class::Connection,
                    Recourse::Retry,
                    &self.system,
                    format!(
                        "{} had no whole answer within {} s from {}",
                        spoken(),
                        self.timeout.as_secs(),
                        host_port(url)
                    ),
                    "see whether the system is slow or a firewall or proxy swallows its answers; timeout_seconds can be raised",
                );
                (failure.effect, failure.stage) = (effect, Some(Stage::Http));
                Err(failure)
            }
        }
    }
}

/// Whether two web addresses have one origin (RFC 6454 section 5).
fn is_same_origin(one: &Url, other: &Url) -> bool {
    let port = Url::port_or_known_default;
    one.scheme() == other.scheme() && one.host() == other.host() && port(one) == port(other) && one.has_host()
}

/// Host and port of an address, for people.
fn host_port(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or("?"), url.port_or_known_default().unwrap_or(0))
}

/// The cryptography of every TLS session, chosen once for the process.
fn install_cryptography() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only where something else chose already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn client(
    timeout: Duration,
    needs_tls: bool,
    ca_file: Option<&Path>,
    proxy: Option<Arc<ProxyRule>>,
) -> Result<Client, String> {
    install_cryptography();
    let mut builder = Client::builder()
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .tls_info(needs_tls)
        .no_proxy()
        .connect_timeout(timeout.min(CONNECT_TIMEOUT))
        .pool_idle_timeout(Duration::from_secs(30));
    if !needs_tls {
        // Without TLS there is nothing to trust; the machine's certificates need not be read.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = ca_file {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&bytes)
            .map_err(|_| format!("{} holds no PEM certificate", path.display()))?;
        if certificates.is_empty() {
            return Err(format!("{} holds no PEM certificate", path.display()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(rule) = proxy {
        builder = builder.proxy(reqwest::Proxy::custom(move |url| rule.applies_to(url).then(|| rule.url.clone())));
    }
    builder.build().map_err(|error| causes::in_one_line(&error))
}
