//! The stages of reaching a vault, for `check`; and who muster is there.

use std::collections::BTreeSet;
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::OpenBaoSystem;
use super::ask::place;
use super::columns::{ALIASES, CONTAINERS, GROUP_ALIASES, GROUPS, POLICIES, RESOURCES, USERS, is_known, nearest};
use super::members::ends_of;
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::capabilities::OwnAccount;
use crate::model::failure::{Class, Failure, Recourse, Stage};

/// Stands for any one object where rights are asked for.
const ANY: &str = "any";

/// As the job says; else the entity of muster's own token, where it has one.
pub(super) async fn account(system: &OpenBaoSystem) -> Result<Option<OwnAccount>, Failure> {
    if let Some(account) = &system.config.account {
        let known_by = format!("`account` of system {}", system.name);
        return Ok(Some(OwnAccount { names: vec![account.clone()], known_by }));
    }
    let token = own_token(system).await?;
    let id = token.get("entity_id").and_then(Json::as_str).filter(|id| !id.is_empty());
    Ok(id.map(|id| OwnAccount { names: vec![id.to_owned()], known_by: "the entity of muster's own token".to_owned() }))
}

/// What the server says about the token that muster uses. Any token may ask; one that may not is none.
async fn own_token(system: &OpenBaoSystem) -> Result<Json, Failure> {
    system.in_namespace().await?;
    let url = system.at(&["auth", "token", "lookup-self"]);
    let answer = system.http.read(&Request::new(Method::GET, url, Asked::Discovery)).await.map_err(|failure| {
        let failure = system.of_namespace(failure);
        // OpenBao and Vault answer a wrong token as they answer a missing right.
        if failure.class != Class::Permission {
            return failure;
        }
        Failure {
            class: Class::Credential,
            recourse: Recourse::Stop,
            stage: Some(Stage::Login),
            cause: format!(
                "the token of {} is refused: it is wrong, has ended or was revoked",
                system.config.auth.secret()
            ),
            remedy: "make another token and put it where the reference points to, then `muster check`".to_owned(),
            ..failure
        }
    })?;
    Ok(answer.json().ok().and_then(|mut body| body.get_mut("data").map(Json::take)).unwrap_or_default())
}

pub(super) async fn probe(system: &OpenBaoSystem, needs: &Needs) -> Vec<Step> {
    let mut steps = system.http.reach().await;
    if steps.iter().any(|step| step.result.is_err()) {
        return steps;
    }
    // The first failure ends the probe; it is written down as a step by then.
    let _ = go(system, needs, &mut steps).await;
    steps
}

struct Ended;

fn take(
    steps: &mut Vec<Step>,
    stage: Stage,
    what: impl Into<String>,
    result: Result<String, Failure>,
    started: Instant,
) -> Result<(), Ended> {
    let failed = result.is_err();
    let result = result.map_err(|failure| Failure { stage: failure.stage.or(Some(stage)), ..failure });
    let stage = result.as_ref().err().and_then(|failure| failure.stage).unwrap_or(stage);
    steps.push(step(stage, what.into(), result, started));
    if failed { Err(Ended) } else { Ok(()) }
}

async fn go(system: &OpenBaoSystem, needs: &Needs, steps: &mut Vec<Step>) -> Result<(), Ended> {
    let started = Instant::now();
    let mut url = system.at(&["sys", "seal-status"]);
    url.set_query(None);
    let answer = system.http.read(&Request::new(Method::GET, url.clone(), Asked::Discovery)).await;
    if url.scheme() == "https"
        && !matches!(&answer, Err(failure) if matches!(failure.stage, Some(Stage::Proxy | Stage::Tls)))
    {
        let host = url.host_str().unwrap_or_default().to_owned();
        take(steps, Stage::Tls, format!("tls {host}"), Ok("the certificate is trusted".to_owned()), started)?;
    }
    let state = answer.map(|answer| answer.json().unwrap_or_default()).and_then(|state| standing(system, &state));
    take(steps, Stage::Http, "GET /v1/sys/seal-status", state, started)?;

    let started = Instant::now();
    let token = own_token(system).await;
    let told = token.as_ref().map(|token| {
        let ttl = token.get("ttl").and_then(Json::as_u64).unwrap_or_default();
        let is_renewable = token.get("renewable").and_then(Json::as_bool) == Some(true);
        let lasts = match (ttl, is_renewable) {
            (0, _) => "does not end".to_owned(),
            (_, true) => format!("ends in {ttl} s, and is renewed before"),
            (_, false) => format!("ends in {ttl} s, and cannot be renewed"),
        };
        format!("accepted; the token {lasts}")
    });
    take(steps, Stage::Login, system.config.auth.secret().to_string(), told.map_err(Clone::clone), started)?;
    let allowed = rights(system, needs, steps).await;
    let there = schema(system, needs, steps);
    allowed.and(there)
}

/// Sealed and uninitialised servers answer, and do nothing.
fn standing(system: &OpenBaoSystem, state: &Json) -> Result<String, Failure> {
    let is = |field: &str| state.get(field).and_then(Json::as_bool);
    let version = state.get("version").and_then(Json::as_str).unwrap_or("of an unknown version");
    let failure = |cause: &str, remedy: &str| {
        let mut failure = Failure::new(Class::Connection, Recourse::Retry, &system.name, cause, remedy);
        failure.stage = Some(Stage::Http);
        failure
    };
    match (is("initialized"), is("sealed")) {
        (Some(false), _) => Err(failure("the vault is not initialised", "initialise it: bao operator init")),
        (_, Some(true)) => Err(failure(
            "the vault is sealed: it is up, and answers nothing until it is unsealed",
            "have those who hold its keys unseal it: bao operator unseal",
        )),
        (_, Some(false)) => Ok(format!("unsealed, version {version}")),
        _ => Err(system.failure(
            Class::Configuration,
            "something answers, and it is no OpenBao or Vault",
            "correct the url: the server's address, without `/v1`",
        )),
    }
}

/// What the job needs against what the token may: the server tells, and nothing is changed.
async fn rights(system: &OpenBaoSystem, needs: &Needs, steps: &mut Vec<Step>) -> Result<(), Ended> {
    let mut result = Ok(());
    for (path, wanted) in needed(system, needs) {
        let started = Instant::now();
        let url = system.at(&["sys", "capabilities-self"]);
        let body = Some(json!({"paths": [path]}));
        let request = Request { body, ..Request::new(Method::POST, url, Asked::Discovery) };
        let what = format!("{} on {path}", wanted.join(", "));
        let told = system.http.read(&request).await.and_then(|answer| {
            let body = answer.json().unwrap_or_default();
            let granted = body.get("capabilities").or_else(|| body.pointer("/data/capabilities"));
            let granted: Vec<&str> =
                granted.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
            let has = |right: &&&str| granted.contains(*right) || granted.contains(&"root");
            let missing: Vec<&str> = wanted.iter().filter(|right| !has(right)).copied().collect();
            if missing.is_empty() {
                return Ok(format!("granted: {}", granted.join(", ")));
            }
            let mut failure = system.failure(
                Class::Permission,
                format!("the token may not {} on {path}", missing.join(", ")),
                format!(
                    "add it to the token's policy: path \"{}\" {{ capabilities = [{}] }}",
                    path.strip_suffix(ANY).map_or_else(|| path.clone(), |above| format!("{above}*")),
                    wanted.iter().map(|right| format!("\"{right}\"")).collect::<Vec<_>>().join(", ")
                ),
            );
            failure.stage = Some(Stage::Permission);
            Err(failure)
        });
        result = result.and(take(steps, Stage::Permission, what, told, started));
    }
    result
}

/// Paths, with the rights that the job needs there.
fn needed(system: &OpenBaoSystem, needs: &Needs) -> Vec<(String, Vec<&'static str>)> {
    let list_of = |resource: &str| if ends_of(resource).is_some() { GROUPS.to_owned() } else { resource.to_owned() };
    let mut lists: BTreeSet<String> = needs.reads.keys().chain(&needs.writes).map(|name| list_of(name)).collect();
    if lists.is_empty() {
        lists.insert(USERS.to_owned());
    }
    let writes: Vec<String> = needs.writes.iter().map(|name| list_of(name)).collect();
    // Whether the names of policies lead anywhere is looked up.
    let names_policies = |resource: &str| {
        let columns = needs.reads.get(resource).into_iter().flatten();
        needs.writes.iter().any(|write| write == resource) && columns.into_iter().any(|column| column == "policies")
    };
    if names_policies(USERS) || names_policies(GROUPS) {
        lists.insert(POLICIES.to_owned());
    }
    let mut needed = Vec::new();
    let mut need = |path: String, rights: &[&'static str]| needed.push((path, rights.to_vec()));
    for list in lists {
        let written = writes.contains(&list);
        let Some(place) = place(&list).map(|steps| steps.join("/")) else {
            let stores = system.config.kv.iter().filter(|_| list == CONTAINERS);
            stores.for_each(|kv| need(format!("{}/metadata/", kv.trim_matches('/')), &["list"]));
            continue;
        };
        let is_alias = matches!(list.as_str(), ALIASES | GROUP_ALIASES);
        match list.as_str() {
            POLICIES => need(format!("{place}/"), &["list"]),
            _ if written => {
                need(format!("{place}/id/"), &["list"]);
                need(place.clone(), &["create", "update"]);
                need(format!("{place}/id/{ANY}"), &["read", "update", "delete"]);
                match is_alias {
                    false => need(format!("{place}/name/{ANY}"), &["read"]),
                    true if list == ALIASES => need("identity/lookup/entity".to_owned(), &["update"]),
                    true => need("identity/lookup/group".to_owned(), &["update"]),
                }
            }
            _ if is_alias => need(format!("{place}/id/"), &["list"]),
            _ => {
                need(format!("{place}/id/"), &["list"]);
                need(format!("{place}/id/{ANY}"), &["read"]);
            }
        }
    }
    if [ALIASES, GROUP_ALIASES].iter().any(|aliases| writes.iter().any(|write| write == aliases)) {
        need("sys/auth".to_owned(), &["read"]);
    }
    needed
}

fn schema(system: &OpenBaoSystem, needs: &Needs, steps: &mut Vec<Step>) -> Result<(), Ended> {
    let started = Instant::now();
    let what = "compare with the job";
    let mut problems = Vec::new();
    let names = needs.reads.keys().chain(&needs.writes);
    for name in names.filter(|name| !RESOURCES.contains(&name.as_str())) {
        problems.push(system.no_such_resource(name));
    }
    for (resource, columns) in needs.reads.iter().filter(|(resource, _)| ends_of(resource).is_none()) {
        let unknown =
            columns.iter().filter(|column| RESOURCES.contains(&resource.as_str()) && !is_known(resource, column));
        problems.extend(unknown.map(|column| {
            system.failure(
                Class::Configuration,
                format!("{resource} has no attribute `{column}`"),
                format!("write `{}`, if that is meant", nearest(resource, column, system.columns.get(resource))),
            )
        }));
    }
    if problems.is_empty() {
        return take(steps, Stage::Schema, what, Ok("everything that the job names is there".to_owned()), started);
    }
    let mut result = Ok(());
    for problem in problems {
        result = result.and(take(steps, Stage::Schema, what, Err(problem), started));
    }
    result
}
