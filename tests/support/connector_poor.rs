//! Service providers that offer little: no PATCH, no schemas, members with single groups only, tokens that expire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster::connector::config::{Auth, Paging, ScimConfig, SystemConfig};
use muster::model::failure::{Class, Stage};
use muster::model::order::Operation;
use muster::sandbox::{Action, Faults, Rule, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::connector_sink::export;
use crate::connector_subject::{Subject, TOKEN, connect, ends, scim_config};

fn answers(prefix: &str, code: u16, body: Option<&str>) -> Rule {
    let action = Action::Status { code, body: body.map(str::to_owned), headers: BTreeMap::new() };
    Rule { method: Some("GET".into()), prefix: Some(prefix.into()), contains: None, when: When::Every, action }
}

#[tokio::test]
async fn without_patch_whole_objects_are_written_and_nothing_is_lost() {
    let subject = Subject::scim(Paging::Index).await;
    let poor =
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],"filter":{"supported":true}}"#;
    subject.server.as_ref().expect("a server").set_faults(Faults {
        seed: 0,
        rules: vec![
            answers("/ServiceProviderConfig", 200, Some(poor)),
            Rule {
                method: Some("PATCH".into()),
                prefix: None,
                contains: None,
                when: When::Every,
                action: Action::RefusePatch,
            },
        ],
    });
    let target = subject.target.as_ref();
    let full = [("userName", "jane"), ("title", "Clerk"), ("emails", "jane@x.example"), ("name.familyName", "Doe")];
    let ids = subject.put("users", &[full.to_vec(), vec![("userName", "joe")]]).await;
    let update =
        subject.change(Operation::Update, "users", Some(&ids[0]), &[("title", "Boss"), ("name.givenName", "Jane")]);
    target.apply(&update).await.unwrap_or_else(|failure| panic!("{failure}"));
    let disable = subject.change(Operation::Disable, "users", Some(&ids[0]), &[]);
    target.apply(&disable).await.unwrap_or_else(|failure| panic!("{failure}"));
    let exported = export(target, &["users"]).await.expect("an export");
    let row = exported["users"].row("id", &ids[0]).expect("the row");
    assert_eq!((row["title"], row["name.familyName"], row["name.givenName"]), ("Boss", "Doe", "Jane"));
    assert_eq!((row["emails"], row["active"]), (r#"["jane@x.example"]"#, "false"));

    let groups = subject.put("groups", &[vec![("displayName", "a")]]).await;
    let rows: Vec<_> = ids.iter().map(|id| subject.row(&groups[0], id)).collect();
    for (operation, expected) in [(Operation::Add, true), (Operation::Remove, false)] {
        for result in target.apply_rows("memberships", operation, &rows).await {
            result.unwrap_or_else(|failure| panic!("{failure}"));
        }
        let held = target.holds("memberships", &[ends(&groups[0], &ids[0]), ends(&groups[0], &ids[1])]).await;
        assert_eq!(held.expect("answers"), [expected; 2], "{operation}");
    }
}

#[tokio::test]
async fn without_published_schemas_those_of_the_standard_are_assumed_and_it_is_said() {
    let subject = Subject::scim(Paging::Auto).await;
    subject.put("users", &[vec![("userName", "jane"), ("active", "false")]]).await;
    let server = subject.server.as_ref().expect("a server");
    server.set_faults(Faults {
        seed: 0,
        rules: vec![answers("/Schemas", 404, None), answers("/ResourceTypes", 501, None)],
    });
    let target = connect(&SystemConfig::Scim(scim_config(&server.url)), subject.folder.path()).await;
    let exported = export(target.as_ref(), &["users", "groups"]).await.expect("an export");
    assert_eq!(exported["users"].row("userName", "jane").expect("the row")["active"], "false");
    let notes = &exported["users"].ended().evidence.notes;
    assert!(notes.iter().any(|note| note.contains("/Schemas")), "{notes:?}");
}

#[tokio::test]
async fn an_odd_element_of_a_list_is_changed_alone() {
    let subject = Subject::scim(Paging::Auto).await;
    let work = "emails[type eq \"work\"].value";
    let home = "emails[type eq \"home\"].value";
    let ids = subject.put("users", &[vec![("userName", "jane"), (work, "w@x.example")]]).await;
    let target = subject.target.as_ref();
    for (attributes, expected) in [
        ([(home, "h@x.example"), (work, "w2@x.example")], r#"["h@x.example","w2@x.example"]"#),
        ([(home, "h@x.example"), (work, "")], r#"["h@x.example"]"#),
    ] {
        let change = subject.change(Operation::Update, "users", Some(&ids[0]), &attributes);
        target.apply(&change).await.unwrap_or_else(|failure| panic!("{failure}"));
        let found = target.get("users", &ids[0]).await.expect("an answer").expect("the object");
        assert_eq!(found.attributes["emails"].to_cell(), expected);
        assert_eq!(found.attributes[home].to_cell(), "h@x.example");
    }
}

/// A token endpoint: wants client and secret, hands out tokens.
async fn token_server(tokens: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 16_384];
            let length = stream.read(&mut bytes).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&bytes[..length]).to_lowercase();
            // muster:s3cret-token
            let known = request.contains("authorization: basic bxvzdgvyonmzy3jldc10b2tlbg==");
            let (status, body) = if known {
                let number = count.fetch_add(1, Ordering::SeqCst).min(tokens.len() - 1);
                (
                    "200 OK",
                    format!(r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600}}"#, tokens[number]),
                )
            } else {
                ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

#[tokio::test]
async fn client_credentials_are_exchanged_and_renewed_when_the_token_is_refused() {
    let subject = Subject::scim(Paging::Auto).await;
    let url = subject.server.as_ref().expect("a server").url.clone();
    let with = |token_url: &str, secret: &str| {
        let auth = Auth::Client {
            client_id: "muster".to_owned(),
            client_secret: secret.parse().expect("a reference"),
            token_url: token_url.to_owned(),
            scope: Some("scim".to_owned()),
        };
        SystemConfig::Scim(ScimConfig { auth: Some(auth), ..scim_config(&url) })
    };
    let (token_url, asked) = token_server(vec!["expired".to_owned(), TOKEN.to_owned()]).await;
    let target = connect(&with(&token_url, "env:TOKEN"), subject.folder.path()).await;
    assert_eq!(target.get("users", "nobody").await.expect("an answer"), None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    let target = connect(&with(&token_url, "env:WRONG"), subject.folder.path()).await;
    let failure = target.get("users", "nobody").await.expect_err("the secret is wrong");
    assert_eq!((failure.class, failure.stage), (Class::Credential, Some(Stage::Login)));
    assert!(failure.sentence().contains("env:WRONG") && !failure.sentence().contains("not-the-token"), "{failure}");
}
