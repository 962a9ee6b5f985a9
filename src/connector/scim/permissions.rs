//! What the service account may change, asked without changing anything: requests about an object that nobody has. A
//! service that would refuse them for their sender says so; one that would not has nothing to do.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::discovery::Discovery;
use super::pager::page;
use super::probe::list_of;
use super::{ScimSystem, id_of};
use crate::connector::config::Refused;
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Class, Failure, Stage};
use crate::scim::patch;
use crate::scim::path::member;

/// An id that nobody has, in the form of one.
const NOBODY: &str = "00000000-0000-4000-8000-00000000dead";

/// One step for each right that the job needs on each resource that it writes.
pub(super) async fn probe(system: &ScimSystem, discovery: &Discovery, needs: &Needs) -> Vec<Step> {
    let mut steps = Vec::new();
    for resource in &needs.writes {
        let list = list_of(resource);
        let Some(definition) = discovery.types.get(list) else { continue };
        let endpoint = definition.resource_type.endpoint.trim_matches('/');
        let is_refused = |operation| system.refuses(resource, operation);
        let is_rows = list != resource;
        if !is_rows && !is_refused(Refused::Create) {
            steps.push(unprobed(format!("create {resource}"), "a create cannot be tried without making something"));
        }
        if needs.deletes.contains(resource) && !is_refused(Refused::Delete) {
            steps.push(unprobed(format!("delete {resource}"), "no delete is tried, not even of what nobody has"));
        }
        if OWNED.contains(&resource.as_str()) {
            steps.push(of_the_first(system, resource, endpoint).await);
        }
        let change = if is_rows { Refused::Add } else { Refused::Update };
        let what = if is_rows { format!("change {resource}") } else { format!("update {resource}") };
        if is_refused(change) {
            continue;
        }
        if !discovery.provider.patch {
            steps.push(unprobed(what, "without PATCH a change cannot be tried on nothing"));
            continue;
        }
        let attribute = if is_rows { "members" } else { "externalId" };
        let body = patch::request(vec![patch::add(attribute, if is_rows { json!([]) } else { json!("") })]);
        steps.push(tried(system, endpoint, what, Method::PATCH, Some(body)).await);
    }
    steps
}

/// Resources whose objects have rights of their own (draft-grizzle-scim-pam-ext-01): that the list may be read says
/// nothing of any one of them.
const OWNED: &[&str] = &["containers", "privilegedData"];

/// Whether the first object of a list may be read by itself; where that is not granted, some may be and some not.
async fn of_the_first(system: &ScimSystem, resource: &str, endpoint: &str) -> Step {
    let started = Instant::now();
    let what = format!("own {resource}");
    let first = match page(system, endpoint, &[], 1).await {
        Ok(list) => list.resources.first().and_then(|first| Some((id_of(first)?, name_of(first)))),
        Err(failure) => return step(Stage::Permission, what, Err(failure), started),
    };
    let Some((id, name)) = first else {
        return unprobed(what, "none is there, or none is shown to this account");
    };
    let url = system.http.address(&[endpoint, &id]);
    let result = match system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
        Ok(_) => Ok(format!("granted on `{name}`; each of them has rights of its own, which a change finds out")),
        Err(failure) if failure.class == Class::Permission => Ok(format!(
            "not granted on `{name}`: {}; each of them has rights of its own, which a change finds out",
            failure.account()
        )),
        Err(failure) => Err(failure),
    };
    step(Stage::Permission, what, result, started)
}

fn name_of(resource: &Json) -> String {
    let name = ["displayName", "name"].iter().find_map(|name| member(resource, name)?.as_str());
    name.unwrap_or("the first of them").to_owned()
}

fn unprobed(what: String, why: &str) -> Step {
    Step { stage: Stage::Permission, what, result: Ok(format!("not probed: {why}")), took: Duration::ZERO }
}

/// A change of nobody was accepted. That nothing came of it is looked at, and not believed.
async fn taken_for_somebody(system: &ScimSystem, endpoint: &str, status: u16) -> Result<String, Failure> {
    let url = system.http.address(&[endpoint, NOBODY]);
    match system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
        Err(failure) if failure.class == Class::Stale => {
            Ok(format!("not known: a change of an id that nobody has was answered with {status}, and nothing came of it"))
        }
        Ok(_) => Err(system.failure(
            Class::Unsupported,
            format!("a change of `{NOBODY}` of {endpoint}, an id that nobody has, was answered with {status}, and now there is such an object"),
            "remove it at the target; the service makes what it is to change, so that muster cannot tell whom its changes reach",
        )),
        Err(failure) => Err(failure),
    }
}

async fn tried(system: &ScimSystem, endpoint: &str, what: String, method: Method, body: Option<Json>) -> Step {
    let started = Instant::now();
    let url = system.http.address(&[endpoint, NOBODY]);
    let request = Request { body, ..Request::new(method, url, Asked::Object) };
    let result = match system.http.send(&request).await {
        Ok(answer) => taken_for_somebody(system, endpoint, answer.status).await,
        Err(mut failure) if matches!(failure.class, Class::Permission | Class::Credential) => {
            failure.stage = Some(Stage::Permission);
            failure.cause = format!("`{what}` is needed and not granted: {}", failure.cause);
            Err(failure)
        }
        Err(failure) => match (failure.class, failure.status) {
            (Class::Stale, Some(status)) => {
                Ok(format!("needed and granted, as far as an id that nobody has shows ({status})"))
            }
            (_, Some(status)) => Ok(format!("not known: an id that nobody has was answered with {status}")),
            (_, None) => Err(failure),
        },
    };
    step(Stage::Permission, what, result, started)
}
