//! The account that muster itself uses at a provider, so that no order locks it out.

use reqwest::Method;

use super::{ScimSystem, id_of};
use crate::connector::config::Auth;
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::model::capabilities::OwnAccount;
use crate::model::failure::{Class, Failure, Recourse};
use crate::scim::path::member;

/// As the job says; else as the provider says at `/Me` (RFC 7644 section 3.11), and as the credential's login says.
pub(super) async fn account(system: &ScimSystem) -> Result<Option<OwnAccount>, Failure> {
    if let Some(account) = &system.config.account {
        let known_by = format!("`account` of system {}", system.name);
        return Ok(Some(OwnAccount { names: vec![account.clone()], known_by }));
    }
    let mut names = Vec::new();
    let mut known_by = Vec::new();
    match me(system).await? {
        Some(mut found) => {
            names.append(&mut found);
            known_by.push("/Me of the server");
        }
        None => system.notice_once(
            "the server does not say at /Me which account muster uses; name it with `account`, so that no order locks \
             it out"
                .to_owned(),
        ),
    }
    if let Some(Auth::Basic { user, .. }) = &system.config.auth {
        names.push(user.clone());
        known_by.push("`auth` of the system");
    }
    Ok((!names.is_empty()).then(|| OwnAccount { names, known_by: known_by.join(" and ") }))
}

/// Id and login. Most providers offer no `/Me`, and each has a way of its own to say so; only one that cannot be asked
/// now is a failure.
async fn me(system: &ScimSystem) -> Result<Option<Vec<String>>, Failure> {
    let url = system.http.address(&["Me"]);
    let answer = match system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
        Ok(answer) => answer,
        Err(failure) if is_unreachable(&failure) => return Err(failure),
        Err(_) => return Ok(None),
    };
    let Ok(json) = answer.json() else { return Ok(None) };
    let login = member(&json, "userName").and_then(serde_json::Value::as_str).map(str::to_owned);
    Ok(id_of(&json).map(|id| std::iter::once(id).chain(login).collect()))
}

fn is_unreachable(failure: &Failure) -> bool {
    failure.status.is_none() && failure.recourse != Recourse::GiveUp && failure.class == Class::Connection
        || failure.class == Class::Throttled
}
