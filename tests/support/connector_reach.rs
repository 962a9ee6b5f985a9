//! The way to a system: what is said when it cannot be gone, and what never happens on it.

use std::collections::BTreeMap;

use muster::connector::config::{Auth, CsvConfig, Paging, ScimConfig, SystemConfig};
use muster::connector::source::{Needs, Step};
use muster::model::failure::{Class, Stage};
use muster::sandbox::{Action, Faults, Rule, When};

use crate::connector_subject::{Subject, connect, scim_config};
use crate::nobody::nobody;

fn needs(resource: &str, columns: &[&str]) -> Needs {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    Needs {
        reads: BTreeMap::from([(resource.to_owned(), columns)]),
        writes: vec!["users".to_owned()],
        ..Needs::default()
    }
}

fn stages(steps: &[Step]) -> Vec<(Stage, bool)> {
    let mut stages: Vec<_> = steps.iter().map(|step| (step.stage, step.result.is_ok())).collect();
    // A stage may have several steps: each right that the job needs is one.
    stages.dedup();
    stages
}

#[tokio::test]
async fn every_stage_is_told_to_the_first_that_fails() {
    let subject = Subject::scim(Paging::Auto).await;
    let steps = subject.target.probe(&needs("users", &["userName", "emails[type eq \"work\"].value"])).await;
    let all = [
        Stage::Resolve,
        Stage::Connect,
        Stage::Http,
        Stage::Login,
        Stage::Permission,
        Stage::Schema,
        Stage::Proof,
        Stage::Capacity,
    ];
    assert_eq!(stages(&steps), all.map(|stage| (stage, true)));

    let steps = subject.target.probe(&needs("users", &["usrName"])).await;
    let told = steps.last().expect("a step").result.as_ref().expect_err("no such column");
    assert!(told.cause.contains("`usrName`") && told.remedy.contains("`userName`"), "{told}");

    let url = subject.server.as_ref().expect("a server").url.clone();
    let wrong = Auth::Bearer { bearer: "env:WRONG".parse().expect("a reference") };
    let config = ScimConfig { auth: Some(wrong), ..scim_config(&url) };
    let target = connect(&SystemConfig::Scim(config), subject.folder.path()).await;
    let steps = target.probe(&needs("users", &[])).await;
    let told = steps.last().expect("a step").result.as_ref().expect_err("the token is wrong");
    assert_eq!((told.class, told.stage, told.status), (Class::Credential, Some(Stage::Login), Some(401)));
    assert!(told.sentence().contains("env:WRONG") && !told.sentence().contains("not-the-token"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_with_host_and_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = nobody();
    let cases = [
        (ScimConfig::at(format!("http://{address}/scim/v2")), Stage::Connect, address.clone()),
        (ScimConfig::at("http://no-such-host.invalid/scim/v2"), Stage::Resolve, "no-such-host.invalid:80".to_owned()),
        (
            ScimConfig { proxy: Some(format!("http://{address}")), ..ScimConfig::at("http://vault.invalid/scim/v2") },
            Stage::Proxy,
            address.clone(),
        ),
    ];
    for (config, stage, place) in cases {
        let target = connect(&SystemConfig::Scim(config), folder.path()).await;
        let steps = target.probe(&Needs::default()).await;
        let told = steps.last().expect("a step").result.as_ref().expect_err("nobody is there");
        assert_eq!((told.class, told.stage), (Class::Connection, Some(stage)), "{told}");
        assert!(told.cause.contains(&place), "{told}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_leave_has_no_effect() {
    let subject = Subject::scim(Paging::Auto).await;
    subject.target.capabilities().await.expect("discovered");
    let Subject { target, folder: _folder, server, .. } = subject;
    server.expect("a server").shutdown().await;
    let change = muster::connector::target::ObjectChange {
        order: muster::model::order::OrderId("o-1".to_owned()),
        operation: muster::model::order::Operation::Delete,
        resource: "users".to_owned(),
        id: Some("7".to_owned()),
        attributes: BTreeMap::new(),
        before: BTreeMap::new(),
        version: None,
        name: "jane".to_owned(),
    };
    let failure = target.apply(&change).await.expect_err("nobody is there");
    assert_eq!((failure.class, failure.effect), (Class::Connection, muster::model::failure::Effect::None), "{failure}");
}

#[tokio::test]
async fn an_api_that_is_switched_off_is_no_host_that_is_down() {
    for (action, url_tail) in [
        (Some(Action::Html { code: 404 }), ""),
        (Some(Action::Html { code: 200 }), ""),
        (Some(Action::ForeignJson), ""),
        (None, "/elsewhere"),
    ] {
        let subject = Subject::scim(Paging::Auto).await;
        let server = subject.server.as_ref().expect("a server");
        if let Some(action) = action.clone() {
            let rule = Rule { method: None, prefix: None, contains: None, when: When::Every, action };
            server.set_faults(Faults { seed: 0, rules: vec![rule] });
        }
        let config = scim_config(&format!("{}{url_tail}", server.url));
        let target = connect(&SystemConfig::Scim(config), subject.folder.path()).await;
        let steps = target.probe(&needs("users", &[])).await;
        let told = steps.last().expect("a step").result.as_ref().expect_err("there is no API");
        if !matches!(action, Some(Action::ForeignJson)) {
            assert_eq!(told.class, Class::Configuration, "{told}");
            assert!(told.cause.contains("the API is disabled or the address is wrong"), "{told}");
        }
    }
}

#[tokio::test]
async fn nobody_is_led_to_another_address() {
    let subject = Subject::scim(Paging::Auto).await;
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a listener");
    let to = format!("http://{}/scim/v2/Users", elsewhere.local_addr().expect("an address"));
    let action = Action::Status { code: 302, body: None, headers: BTreeMap::from([("location".to_owned(), to)]) };
    let rule = Rule { method: None, prefix: Some("/Users".into()), contains: None, when: When::Every, action };
    subject.server.as_ref().expect("a server").set_faults(Faults { seed: 0, rules: vec![rule] });
    let failure = subject.target.get("users", "7").await.expect_err("a redirect");
    assert_eq!((failure.class, failure.status), (Class::Configuration, Some(302)));
    assert!(elsewhere.accept().is_err(), "the credential went elsewhere");
}

#[tokio::test]
async fn a_folder_says_what_it_lacks() {
    let subject = Subject::csv().await;
    subject.put("people", &[vec![("mail", "a@x.example")]]).await;
    let told = |steps: Vec<Step>| {
        let failure = steps.into_iter().find_map(|step| step.result.err());
        failure.expect("a step that fails").sentence()
    };
    let missing = told(subject.target.probe(&needs("pepole", &[])).await);
    assert!(missing.contains("pepole.csv") && missing.contains("people.csv") && missing.contains("data"), "{missing}");
    let column = told(subject.target.probe(&needs("people", &["email"])).await);
    assert!(column.contains("`email`") && column.contains("`mail`"), "{column}");
    let config = CsvConfig { path: "nowhere".into(), ..CsvConfig::default() };
    let target = connect(&SystemConfig::Csv(config), subject.folder.path()).await;
    let gone = told(target.probe(&Needs::default()).await);
    assert!(gone.contains("nowhere") && gone.contains("connection"), "{gone}");

    std::fs::write(subject.folder.path().join("data/people.csv"), "id,mail\n1,\"a\n").expect("a file");
    let error = crate::connector_sink::export(subject.target.as_ref(), &["people"]).await.expect_err("malformed");
    let text = error.to_string();
    assert!(text.contains("people.csv") && text.contains("row 2") && text.contains("[data]"), "{text}");
}
