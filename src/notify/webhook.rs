//! Messages to a service of the web: JSON, posted and signed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::{Client, redirect};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::trouble::{failure, innermost, unreached};
use crate::model::failure::{Class, Failure, Stage, Step};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Bytes of an answer that are read.
const ANSWER: usize = 4096;

/// What this way is called.
const WAY: &str = "webhook";

/// A service that takes messages, and the key that they are signed with.
#[derive(Debug)]
pub struct WebhookWay {
    /// The address.
    pub url: String,
    /// What the job file calls the key: `credential:hook`.
    pub reference: String,
    /// The key; or why it cannot be had.
    pub secret: Result<SecretString, String>,
    /// PEM certificates trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way.
    pub proxy: Option<String>,
}

/// The value of the header `Muster-Signature`: when it was signed, and HMAC-SHA256 (RFC 2104) with the key over that moment,
/// a full stop, and the body as it is sent: `t=1764000000,v1=<64 hex digits>`.
pub fn signature(secret: &SecretString, at: DateTime<Utc>, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let at = at.timestamp();
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

/// Sends a message; `id` is the same at each try.
///
/// # Errors
/// Why it was not taken.
pub async fn send(way: &WebhookWay, id: &str, body: &str, now: DateTime<Utc>) -> Result<(), Failure> {
    let secret = way.secret.as_ref().map_err(|why| {
        let remedy = "put the key where the job file says it lies";
        failure(WAY, Stage::Login, Class::Credential, why.as_str(), remedy)
    })?;
    let request = client(way)?
        .post(&way.url)
        .header("Content-Type", "application/json")
        .header("Muster-Delivery", id)
        .header("Muster-Signature", signature(secret, now, body))
        .body(body.to_owned());
    let answer = request.send().await.map_err(|error| unanswered(way, &error))?;
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(());
    }
    let (class, remedy) = match status {
        300..400 => (Class::Configuration, "no redirect is followed: name the address that it leads to as url"),
        401 | 403 => (Class::Credential, "see whether the key is the one that the service verifies with"),
        404 | 405 | 410 => (Class::Configuration, "see whether url is right, and the service set up there"),
        408 | 429 => (Class::Throttled, "it asks to try again later, as the next run does"),
        400..500 => (Class::Data, "see what the service says, and its log"),
        _ => (Class::Server, "see the log of the service; the next run tries again"),
    };
    let said = beginning(answer).await.replace(secret.expose_secret(), "[secret]");
    let told = failure(WAY, Stage::Http, class, format!("{} did not take a message", place(way)), remedy);
    Err(Failure { status: Some(status), message: Some(said).filter(|said| !said.is_empty()), ..told })
}

/// Goes to the service and asks for the headers of the address alone; no message is sent, and any answer will do.
pub async fn check(way: &WebhookWay) -> Vec<Step> {
    let mut steps = Vec::new();
    let begun = Instant::now();
    let key = match &way.secret {
        Ok(_) => Ok("the key is there".to_owned()),
        Err(why) => {
            let remedy = "put the key where the job file says it lies";
            Err(failure(WAY, Stage::Login, Class::Credential, why.as_str(), remedy))
        }
    };
    steps.push(Step { stage: Stage::Login, what: way.reference.clone(), result: key, took: begun.elapsed() });
    let begun = Instant::now();
    let result = match client(way) {
        Ok(client) => match client.head(&way.url).send().await {
            Ok(answer) => Ok(format!("it answers (status {}); no message was sent", answer.status().as_u16())),
            Err(error) => Err(unanswered(way, &error)),
        },
        Err(failure) => Err(failure),
    };
    let stage = result.as_ref().err().and_then(|failure| failure.stage).unwrap_or(Stage::Http);
    steps.push(Step { stage, what: place(way), result, took: begun.elapsed() });
    steps
}

/// Host and port; the rest of the address may hold a token.
fn place(way: &WebhookWay) -> String {
    let url = Url::parse(&way.url).ok();
    let place = url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    place.unwrap_or_else(|| "the webhook".to_owned())
}

fn client(way: &WebhookWay) -> Result<Client, Failure> {
    let fail = |cause: String| {
        let remedy = "name a readable file of PEM certificates in ca_file";
        failure(WAY, Stage::Tls, Class::Configuration, cause, remedy)
    };
    // Fails only where something else chose the cryptography already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(PATIENCE);
    if way.url.starts_with("http:") {
        // Without TLS there is nothing to trust; the machine's certificates need not be read.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = &way.ca_file {
        let bytes = std::fs::read(path).map_err(|error| fail(format!("ca_file {}: {error}", path.display())))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&bytes).unwrap_or_default();
        if certificates.is_empty() {
            return Err(fail(format!("ca_file {} holds no PEM certificate", path.display())));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(proxy) = &way.proxy {
        let proxy = reqwest::Proxy::all(proxy).map_err(|error| fail(innermost(&error)))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| fail(innermost(&error)))
}

fn unanswered(way: &WebhookWay, error: &reqwest::Error) -> Failure {
    let place = place(way);
    if error.is_timeout() {
        let cause = format!("{place} did not answer within {} s", PATIENCE.as_secs());
        let remedy = "see whether it is slow, or a firewall swallows its answers";
        return failure(WAY, Stage::Http, Class::Connection, cause, remedy);
    }
    let stage = if error.is_connect() { Stage::Connect } else { Stage::Http };
    unreached(WAY, stage, &place, error)
}

/// The beginning of what it says.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= ANSWER {
            bytes.truncate(ANSWER);
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().take(300).collect::<String>().trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Made with openssl: printf '1764000000.{"a":1}' | openssl dgst -sha256 -hmac hunter2
    #[test]
    fn a_signature_is_what_openssl_makes_of_the_same() {
        let at = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
        let signed = signature(&SecretString::from("hunter2".to_owned()), at, "{\"a\":1}");
        assert_eq!(signed, "t=1764000000,v1=3c2809730ca684bb0553703f388d9a16cda0c04bf2e104a1e79ddade7c713a95");
    }
}
