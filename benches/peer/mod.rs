//! The least that any program has to do for the same requests: one reqwest client, nothing remembered, nothing
//! compared, nothing on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use crate::program::{Measured, Outcome, TOKEN, cpu};

const MEDIA_TYPE: &str = "application/scim+json";

/// A user as the job of the bench maps it.
pub(crate) fn user(n: usize) -> Value {
    let login = format!("user{n:07}@corp.example");
    let title = ["Clerk", "Engineer", "Nurse", "Lawyer"][n % 4];
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "active": true,
        "emails": [{"value": login, "type": "work", "primary": true}],
        "externalId": format!("E{n:07}"),
        "name": {"familyName": format!("Family{}", n % 9973), "givenName": format!("Given{n}")},
        "title": title,
        "userName": login,
    })
}

/// Sends what so many creates come to: two look-ups, the create, a read back; so many orders at once.
pub(crate) fn creates(url: &str, users: usize, concurrency: usize) -> Outcome<Measured> {
    // Fails only where it was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let client = Client::builder().no_proxy().tls_certs_only([]).build()?;
    let base = format!("{url}/Users");
    let (before, start) = (cpu()?.0, Instant::now());
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let lanes: Vec<_> = (0..concurrency)
            .map(|_| {
                let (client, base, next) = (client.clone(), base.clone(), next.clone());
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= users {
                            return Ok::<(), String>(());
                        }
                        one(&client, &base, user(n)).await.map_err(|error| error.to_string())?;
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.await??;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    Ok(Measured { wall: start.elapsed(), cpu: cpu()?.0 - before, kib: 0 })
}

async fn one(client: &Client, base: &str, user: Value) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for name in ["externalId", "userName"] {
        let filter = format!("{name} eq {}", user[name]);
        let place = [("filter", filter.as_str()), ("startIndex", "1"), ("count", "200")];
        let url = Url::parse_with_params(base, place)?;
        let found = ask(client, Method::GET, url, None).await?;
        if found["totalResults"] != 0 {
            return Err(format!("{filter} is there already").into());
        }
    }
    let made = ask(client, Method::POST, Url::parse(base)?, Some(user)).await?;
    let id = made["id"].as_str().ok_or("no id")?;
    let held = ask(client, Method::GET, Url::parse(&format!("{base}/{id}"))?, None).await?;
    if held["userName"] == made["userName"] { Ok(()) } else { Err("another one came back".into()) }
}

async fn ask(
    client: &Client,
    method: Method,
    url: Url,
    body: Option<Value>,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = client.request(method, url).header(ACCEPT, MEDIA_TYPE).bearer_auth(TOKEN);
    if let Some(body) = body {
        request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
    }
    let answer = request.timeout(Duration::from_secs(60)).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}
