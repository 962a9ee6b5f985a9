//! The built-in SCIM server over real HTTP: paging, entity tags, filters, PATCH, membership, faults.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic and explains itself by its name")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use chrono::{DateTime, Utc};
use muster::sandbox::{Action, Faults, Rule, RunningSandbox, Sandbox, SandboxError, SandboxOptions, Seed, When};
use muster::scim::list::ListResponse;
use muster::scim::{error::ScimError, patch, urn};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server, its clock and a client.
struct Scene {
    sandbox: RunningSandbox,
    client: Client,
    millis: Arc<AtomicI64>,
    folder: TempDir,
}

struct Reply {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
    body: Value,
}

impl Scene {
    async fn new(seed: Seed) -> Self {
        Self::with(seed, |_| {}).await
    }

    async fn with(seed: Seed, change: impl FnOnce(&mut SandboxOptions)) -> Self {
        static CRYPTO: Once = Once::new();
        // The client wants a provider even where nothing is encrypted.
        CRYPTO.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let millis = Arc::new(AtomicI64::new(1_800_000_000_000));
        let clock = {
            let millis = Arc::clone(&millis);
            // Each look at the clock is a millisecond later.
            Arc::new(move || DateTime::<Utc>::from_timestamp_millis(millis.fetch_add(1, Ordering::SeqCst)).unwrap())
        };
        let mut options = SandboxOptions::new(folder.path().join("sub/sandbox.db"), clock);
        options.seed = seed;
        change(&mut options);
        let sandbox = Sandbox::start(options).await.unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(20)).build().unwrap();
        Self { sandbox, client, millis, folder }
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.sandbox.url));
        if let Some(body) = body {
            request = request.header("content-type", muster::scim::MEDIA_TYPE).body(body.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Reply {
        let response = self.try_send(method, path, body, headers).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, etag, location) = (response.status().as_u16(), header("etag"), header("location"));
        let bytes = response.bytes().await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Reply { status, etag, location, body }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None, &[]).await
    }

    async fn create(&self, path: &str, body: Value) -> String {
        let reply = self.send("POST", path, Some(body), &[]).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["id"].as_str().unwrap().to_owned()
    }

    async fn patch(&self, path: &str, operations: Vec<Value>) -> Reply {
        self.send("PATCH", path, Some(patch::request(operations)), &[]).await
    }

    /// A list, its parameters encoded.
    async fn list(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<ListResponse, (u16, String)> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let reply = self.get(&format!("{endpoint}?{query}")).await;
        if reply.status != 200 {
            let error = ScimError::parse(reply.status, reply.body.to_string().as_bytes());
            return Err((reply.status, error.scim_type.unwrap_or_default()));
        }
        Ok(ListResponse::from_value(reply.body).unwrap())
    }

    async fn names(&self, filter: &str) -> Vec<String> {
        let list = self.list("/Users", &[("filter", filter), ("count", "50")]).await.unwrap();
        assert_eq!(list.total, Some(list.resources.len() as u64));
        texts(&list, "userName")
    }

    fn play(&self, rule: Value) {
        self.sandbox.set_faults(Faults { seed: 1, rules: vec![serde_json::from_value(rule).unwrap()] });
    }
}

fn texts(list: &ListResponse, name: &str) -> Vec<String> {
    list.resources.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

fn user(name: &str) -> Value {
    json!({"schemas": [urn::USER], "userName": name})
}

const SMALL: Seed = Seed { users: 25, groups: 3 };

#[tokio::test]
async fn pages_by_index_hold_everybody_once() {
    let scene = Scene::with(SMALL, |options| options.max_results = 10).await;
    let mut seen = Vec::new();
    for (start, rows) in [(1, 10), (11, 10), (21, 5), (26, 0)] {
        let list = scene.list("/Users", &[("startIndex", &start.to_string()), ("count", "500")]).await.unwrap();
        assert_eq!((list.total, list.start_index, list.items_per_page), (Some(25), Some(start), Some(rows)));
        seen.extend(texts(&list, "userName"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let none = scene.list("/Users", &[("count", "0"), ("startIndex", "-3")]).await.unwrap();
    assert_eq!((none.total, none.start_index, none.resources.len()), (Some(25), Some(1), 0));
    // Whatever the order is made from, an index or the rows, it is whole.
    for (by, attribute) in [("userName", "userName"), ("displayName", "displayName"), ("id", "id")] {
        let mut sorted = Vec::new();
        for start in ["1", "11", "21"] {
            let parameters = [("sortBy", by), ("sortOrder", "descending"), ("startIndex", start)];
            sorted.extend(texts(&scene.list("/Users", &parameters).await.unwrap(), attribute));
        }
        assert_eq!(sorted.len(), 25, "{by}");
        assert!(sorted.windows(2).all(|pair| pair[0].to_lowercase() >= pair[1].to_lowercase()), "{by}: {sorted:?}");
    }
}

#[tokio::test]
async fn cursors_lose_nothing_and_know_their_query() {
    let scene = Scene::with(SMALL, |options| options.cursor_timeout = Duration::from_secs(60)).await;
    for order in [&[][..], &[("sortBy", "userName")], &[("sortBy", "title"), ("sortOrder", "descending")]] {
        let mut cursor = String::new();
        let mut seen = Vec::new();
        loop {
            let parameters = [&[("cursor", cursor.as_str()), ("count", "10")], order].concat();
            let list = scene.list("/Users", &parameters).await.unwrap();
            assert_eq!((list.total, list.start_index), (Some(25 - seen.len() as u64 / 10), None));
            seen.extend(texts(&list, "id"));
            // The first row of each full page goes away behind the walker's back.
            let Some(next) = list.next_cursor else { break };
            let gone = list.resources[0]["id"].as_str().unwrap().to_owned();
            assert_eq!(scene.send("DELETE", &format!("/Users/{gone}"), None, &[]).await.status, 204);
            cursor = next;
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 25, "{order:?}");
        for number in 0..2 {
            scene.create("/Users", user(&format!("again-{number}-{}", order.len()))).await;
        }
    }
    let first = scene.list("/Users", &[("cursor", ""), ("count", "10")]).await.unwrap();
    let next = first.next_cursor.unwrap();
    let refused = |kind: &str| Err((400, kind.to_owned()));
    let ask =
        async |parameters: &[(&str, &str)]| scene.list("/Users", parameters).await.map(|list| list.resources.len());
    assert_eq!(ask(&[("cursor", "bogus"), ("count", "10")]).await, refused("invalidCursor"));
    assert_eq!(ask(&[("cursor", &next), ("count", "9")]).await, refused("invalidCount"));
    assert_eq!(ask(&[("cursor", &next), ("count", "10"), ("filter", "active pr")]).await, refused("invalidCursor"));
    assert_eq!(ask(&[("cursor", &next), ("count", "10")]).await, Ok(10));
    scene.millis.fetch_add(61_000, Ordering::SeqCst);
    assert_eq!(ask(&[("cursor", &next), ("count", "10")]).await, refused("expiredCursor"));
}

#[tokio::test]
async fn filters_find_by_index_and_by_reading() {
    let scene = Scene::new(SMALL).await;
    let first = scene.get("/Users?count=1").await.body["Resources"][0].clone();
    assert_eq!(scene.names(r#"USERNAME eq "USER000007""#).await, ["user000007"]);
    assert_eq!(scene.names(&format!("id eq {}", first["id"])).await, ["user000001"]);
    assert_eq!(scene.names(r#"externalId eq "e000001""#).await, [""; 0]);
    assert_eq!(scene.names(r#"emails[type eq "work"].value ew "9@EXAMPLE.com""#).await, ["user000009", "user000019"]);
    let department = format!(r#"{}:department eq "sales" and not (userName sw "user00001")"#, urn::ENTERPRISE_USER);
    assert_eq!(scene.names(&department).await, ["user000004", "user000009", "user000024"]);
    assert_eq!(
        scene.names(r#"active eq false or (name.familyName pr and userName le "user000001")"#).await,
        ["user000001", "user000020"]
    );
    let group =
        scene.list("/Groups", &[("filter", r#"displayName eq "GROUP0002""#)]).await.unwrap().resources[0].clone();
    assert_eq!(scene.names(&format!("groups.value eq {}", group["id"])).await.len(), 8);
    let holding = format!("members[value eq {}]", first["id"]);
    let holders = scene.list("/Groups", &[("filter", &holding), ("attributes", "displayName")]).await.unwrap();
    assert_eq!(texts(&holders, "displayName"), ["group0001"]);
    assert_eq!(holders.resources[0].get("members"), None);

    let moment = first["meta"]["lastModified"].as_str().unwrap().to_owned();
    assert!(scene.names(&format!(r#"meta.lastModified gt "{moment}""#)).await.is_empty());
    let path = format!("/Users/{}", first["id"].as_str().unwrap());
    scene.patch(&path, vec![patch::replace("title", json!("Boss"))]).await;
    assert_eq!(scene.names(&format!(r#"meta.lastModified gt "{moment}""#)).await, ["user000001"]);
    assert_eq!(scene.names(&format!(r#"meta.lastModified gt "{moment}" and title eq "x""#)).await, [""; 0]);
    for filter in ["userName", r#"shoeSize eq "9""#, "active gt true"] {
        let refused = scene.list("/Users", &[("filter", filter)]).await;
        assert_eq!(refused, Err((400, "invalidFilter".to_owned())), "{filter}");
    }
    let search = json!({"schemas": [urn::SEARCH_REQUEST], "filter": r#"displayName sw "group" or userName eq "user000003""#, "attributes": ["id"]});
    let found = scene.send("POST", "/.search", Some(search), &[]).await.body;
    assert_eq!((found["totalResults"].clone(), found["Resources"][0].as_object().unwrap().len()), (json!(4), 2));
}

#[tokio::test]
async fn entity_tags_guard_changes() {
    let scene = Scene::new(Seed::default()).await;
    let created = scene.send("POST", "/Users", Some(user("jane")), &[]).await;
    let path = format!("/Users/{}", created.body["id"].as_str().unwrap());
    assert_eq!(created.location, Some(format!("{}{path}", scene.sandbox.url)));
    let tag = created.etag.unwrap();
    assert_eq!(json!(tag), created.body["meta"]["version"]);
    assert_eq!(scene.send("GET", &path, None, &[("if-none-match", &tag)]).await.status, 304);
    let change = || Some(patch::request(vec![patch::replace("title", json!("x"))]));
    assert_eq!(scene.send("PATCH", &path, change(), &[("if-match", "W/\"9\"")]).await.status, 412);
    let changed = scene.send("PATCH", &path, change(), &[("if-match", &tag)]).await;
    assert_eq!((changed.status, changed.etag.as_deref()), (204, Some("W/\"2\"")));
    assert_eq!(
        scene.send("PATCH", &path, change(), &[("if-match", "*")]).await.etag.as_deref(),
        Some("W/\"2\""),
        "no change, no version"
    );
    assert_eq!(scene.send("PUT", &path, Some(user("jane")), &[("if-match", &tag)]).await.status, 412);
    assert_eq!(scene.send("DELETE", &path, None, &[("if-match", &tag)]).await.status, 412);
    assert_eq!(scene.send("PUT", &path, Some(user("jane")), &[]).await.body.get("title"), None);
    assert_eq!(scene.send("DELETE", &path, None, &[("if-match", "W/\"1\", W/\"3\"")]).await.status, 204);
    assert_eq!(scene.send("DELETE", &path, None, &[]).await.status, 404);
}

#[tokio::test]
async fn members_are_checked_counted_and_cleaned_up() {
    let scene = Scene::new(Seed::default()).await;
    let (ada, bob) = (scene.create("/Users", user("ada")).await, scene.create("/Users", user("bob")).await);
    let group = scene
        .create("/Groups", json!({"schemas": [urn::GROUP], "displayName": "ops", "members": [{"value": ada}]}))
        .await;
    let outer = scene
        .create(
            "/Groups",
            json!({"schemas": [urn::GROUP], "displayName": "all", "members": [{"value": group, "type": "Group"}]}),
        )
        .await;
    let path = format!("/Groups/{group}");
    let taken = scene.send("POST", "/Groups", Some(json!({"schemas": [urn::GROUP], "displayName": "OPS"})), &[]).await;
    assert_eq!((taken.status, taken.body["scimType"].as_str()), (409, Some("uniqueness")));

    let before = scene.get(&path).await.body["meta"].clone();
    let same = scene.patch(&path, vec![patch::add_members([ada.as_str()]), patch::remove_member(&bob)]).await;
    assert_eq!((same.status, scene.get(&path).await.body["meta"].clone()), (204, before.clone()));
    // One unknown member: nothing of the request happens.
    let refused = scene
        .patch(&path, vec![patch::add_members([bob.as_str(), "nobody"]), patch::replace("displayName", json!("x"))])
        .await;
    assert_eq!((refused.status, refused.body["scimType"].as_str()), (400, Some("invalidValue")));
    assert_eq!(scene.get(&path).await.body["members"].as_array().unwrap().len(), 1);
    for id in [group.as_str(), "nobody"] {
        assert_eq!(scene.patch(&path, vec![patch::add_members([id])]).await.status, 400);
    }
    assert_eq!(scene.patch(&path, vec![patch::add_members([bob.as_str()])]).await.status, 204);
    let after = scene.get(&path).await.body;
    assert!(after["meta"]["lastModified"].as_str() > before["lastModified"].as_str());
    assert_eq!(
        after["members"][1],
        json!({"value": bob, "$ref": format!("{}/Users/{bob}", scene.sandbox.url), "type": "User"})
    );
    assert_eq!(scene.get(&format!("/Users/{bob}")).await.body["groups"][0]["display"], json!("ops"));

    // A member that is deleted leaves its groups, which have changed then.
    assert_eq!(scene.send("DELETE", &format!("/Users/{ada}"), None, &[]).await.status, 204);
    let left = scene.get(&path).await.body;
    assert_eq!(left["members"].as_array().unwrap().len(), 1);
    assert_ne!(left["meta"]["version"], after["meta"]["version"]);
    let values = patch::remove(r#"members[type eq "User"]"#);
    assert_eq!(scene.patch(&path, vec![values]).await.status, 204);
    assert_eq!(scene.get(&path).await.body.get("members"), None);
    assert_eq!(scene.get(&format!("/Groups/{outer}")).await.body["members"][0]["type"], json!("Group"));
}

#[tokio::test]
async fn requests_that_are_wrong_are_told_how() {
    let scene = Scene::with(Seed::default(), |options| options.token = Some("s3cret".to_owned())).await;
    assert_eq!(scene.get("/Users").await.status, 401);
    assert_eq!(scene.send("GET", "/Users", None, &[("authorization", "Bearer s3cre")]).await.status, 401);
    let good = [("authorization", "bearer s3cret")];
    let post = async |body: Value| scene.send("POST", "/Users", Some(body), &good).await;
    assert_eq!(post(user("jane")).await.status, 201);
    let taken = post(user("JANE")).await;
    assert_eq!((taken.status, taken.body["scimType"].as_str()), (409, Some("uniqueness")));
    for (body, kind) in [
        (json!({"schemas": [urn::USER]}), "invalidValue"),
        (json!({"userName": "x"}), "invalidSyntax"),
        (json!({"schemas": [urn::USER], "userName": "x", "shoeSize": 9}), "invalidSyntax"),
        (json!({"schemas": [urn::USER], "userName": "x", "active": "yes"}), "invalidValue"),
    ] {
        let refused = post(body.clone()).await;
        assert_eq!((refused.status, refused.body["scimType"].as_str()), (400, Some(kind)), "{body}");
    }
    let plain = [good[0], ("content-type", "text/plain")];
    assert_eq!(scene.send("POST", "/Users", None, &plain).await.status, 415);
    for (method, path, status) in [
        ("GET", "/Users/none", 404),
        ("PUT", "/Schemas", 405),
        ("GET", "/Schemas?filter=x", 403),
        ("POST", "/Bulk", 501),
        ("GET", "/a/b/c", 404),
    ] {
        assert_eq!(scene.send(method, path, None, &good).await.status, status, "{method} {path}");
    }
    let away = SandboxOptions {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..SandboxOptions::new(scene.folder.path().join("x"), Arc::new(Utc::now))
    };
    assert!(matches!(Sandbox::start(away).await, Err(SandboxError::NotLoopback(_))));
}

#[tokio::test]
async fn what_was_answered_is_still_there_after_a_restart() {
    let scene = Scene::new(SMALL).await;
    let id = scene.create("/Users", user("kept")).await;
    let before = scene.get("/Groups").await.body;
    let mut options = SandboxOptions::new(scene.folder.path().join("sub/sandbox.db"), Arc::new(Utc::now));
    options.listen = scene.sandbox.addr;
    options.seed = SMALL;
    let Scene { sandbox, folder, millis, client: _ } = scene;
    sandbox.shutdown().await;
    let sandbox = Sandbox::start(options).await.unwrap();
    let scene =
        Scene { sandbox, folder, millis, client: Client::builder().no_proxy().tls_certs_only([]).build().unwrap() };
    assert_eq!(scene.get(&format!("/Users/{id}")).await.body["userName"], json!("kept"));
    assert_eq!(scene.get("/Groups").await.body, before);
    assert_eq!(scene.get("/Users?count=0").await.body["totalResults"], json!(26));
}

#[tokio::test]
async fn faults_before_an_effect_have_none_and_those_after_have_one() {
    let scene = Scene::new(Seed::default()).await;
    let count = async || {
        scene.sandbox.set_faults(Faults::default());
        scene.get("/Users?count=0").await.body["totalResults"].as_u64().unwrap()
    };
    scene.play(json!({"method": "POST", "prefix": "/Users", "when": {"first": 2}, "action": {"unavailable": {"retry_after": 7}}}));
    let response = scene.try_send("POST", "/Users", Some(user("a")), &[]).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(scene.send("POST", "/Users", Some(user("a")), &[]).await.status, 503);
    assert_eq!(scene.send("POST", "/Users", Some(user("a")), &[]).await.status, 201, "only the first two");
    assert_eq!(count().await, 1);
    for (name, action, effect) in
        [("b", json!("drop-before"), 0), ("c", json!("drop-after"), 1), ("d", json!("cut-connection"), 1)]
    {
        let before = count().await;
        scene.play(json!({"method": "POST", "action": action}));
        let outcome = match scene.try_send("POST", "/Users", Some(user(name)), &[]).await {
            Ok(response) => response.bytes().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(outcome.is_err(), "{action} still answers");
        assert_eq!(count().await, before + effect, "{action}");
    }
    // A client that gives up while the answer is late: the user is there all the same.
    let before = count().await;
    scene.play(json!({"method": "POST", "action": {"delay-after": {"ms": 60_000}}}));
    let late = scene.try_send("POST", "/Users", Some(user("late")), &[]);
    let created = async { while scene.get("/Users?count=0").await.body["totalResults"].as_u64().unwrap() == before {} };
    tokio::select! { _ = late => panic!("it was answered"), () = created => {} }
    let before = count().await;
    scene.play(json!({"method": "POST", "when": {"nth": 2}, "action": {"fail-after": {"code": 500}}}));
    assert_eq!(scene.send("POST", "/Users", Some(user("e")), &[]).await.status, 201);
    assert_eq!(scene.send("POST", "/Users", Some(user("f")), &[]).await.status, 500);
    assert_eq!(count().await, before + 2);
    scene.play(json!({"method": "PATCH", "action": "refuse-patch"}));
    assert_eq!(scene.patch("/Users/x", vec![]).await.status, 501);
}

#[tokio::test]
async fn faults_of_lists_lie_as_told() {
    let scene = Scene::new(SMALL).await;
    let page = async |parameters: &[(&str, &str)]| scene.list("/Users", parameters).await.unwrap();
    scene.play(json!({"action": {"truncate-page": {"keep": 3}}}));
    let list = page(&[("count", "10")]).await;
    assert_eq!((list.total, list.items_per_page, list.resources.len()), (Some(25), Some(10), 3));
    scene.play(json!({"contains": "startIndex", "action": {"wrong-total": {"by": -5}}}));
    assert_eq!(page(&[("startIndex", "1")]).await.total, Some(20));
    assert_eq!(page(&[]).await.total, Some(25));
    scene.play(json!({"action": "repeat-page"}));
    let list = page(&[("startIndex", "11"), ("count", "5")]).await;
    assert_eq!((list.start_index, texts(&list, "userName")[0].as_str()), (Some(11), "user000001"));
    scene.play(json!({"action": "endless-paging"}));
    assert!(page(&[("cursor", ""), ("count", "50")]).await.next_cursor.is_some());
    assert_eq!(page(&[("startIndex", "100")]).await.total, Some(101));
    scene.play(json!({"action": {"clip-page": {"max": 4}}}));
    assert_eq!(page(&[("count", "20")]).await.resources.len(), 4);
    scene.play(json!({"action": "ignore-filter"}));
    assert_eq!(page(&[("filter", "userName eq \"x\"")]).await.total, Some(25));
    scene.play(json!({"action": "empty-filter"}));
    assert_eq!(page(&[("filter", "userName pr")]).await.total, Some(0));
    scene.play(json!({"action": {"clip-members": {"max": 2}}}));
    let group = scene.get("/Groups?count=1").await.body["Resources"][0].clone();
    assert_eq!(group["members"].as_array().unwrap().len(), 2);
    for (action, is_json) in
        [(json!("foreign-json"), true), (json!({"html": {"code": 200}}), false), (json!("cut-body"), false)]
    {
        scene.play(json!({"action": action}));
        let body = scene.try_send("GET", "/Users", None, &[]).await.unwrap().bytes().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).is_ok(), is_json, "{action}");
        assert!(ListResponse::parse(&body).is_err(), "{action}");
    }
    scene.play(json!({"action": "endless-body"}));
    let mut response = scene.try_send("GET", "/Users", None, &[]).await.unwrap();
    let mut read = 0;
    while read < 50_000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    drop(response);
    scene.sandbox.shutdown().await;
}

#[tokio::test]
async fn faults_can_be_changed_from_outside_where_that_is_allowed() {
    let closed = Scene::new(Seed::default()).await;
    let address = |scene: &Scene| format!("http://{}/_faults", scene.sandbox.addr);
    assert_eq!(closed.client.get(address(&closed)).send().await.unwrap().status().as_u16(), 404);
    let scene = Scene::with(Seed::default(), |options| {
        options.admin = true;
        let rule = Rule {
            method: None,
            prefix: None,
            contains: None,
            when: When::Probability(0.5),
            action: Action::Throttle { retry_after: 1 },
        };
        options.faults = Faults { seed: 42, rules: vec![rule] };
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(scene.get("/Users").await.status);
    }
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    assert!((8..=32).contains(&throttled), "{statuses:?}");
    let told: Value = scene.client.get(address(&scene)).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["rules"][0]["fired"], json!(throttled));
    let rules = json!({"rules": [{"action": {"status": {"code": 418, "headers": {"X-Why": "tea"}}}}]});
    assert!(scene.client.post(address(&scene)).json(&rules).send().await.unwrap().status().is_success());
    let response = scene.try_send("GET", "/Users", None, &[]).await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-why"].to_str().unwrap()), (418, "tea"));
    assert_eq!(scene.client.post(address(&scene)).body("{").send().await.unwrap().status().as_u16(), 400);
    assert!(scene.client.delete(address(&scene)).send().await.unwrap().status().is_success());
    assert_eq!(scene.get("/Users").await.status, 200);
}
