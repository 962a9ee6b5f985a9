//! Changes on a condition: that the object still has the version that was read (RFC 7644 section 3.14).
//!
//! That a provider says it has entity tags is no proof: some honour If-Match on PATCH and not on DELETE, some never do. So
//! the first approved change by each method is sent with a tag that is wrong. Where it is refused, the tag counts, and the
//! change goes again with the right one. Where it is taken, tags are ignored, and what was done is what was approved:
//! the proof itself changes nothing that nobody approved. Then the object is read before and after each change, as it is
//! anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{HeaderValue, IF_MATCH};
use tokio::sync::Mutex;

use super::ScimSystem;
use super::lookup::read;
use crate::connector::http::{Answer, Request};
use crate::connector::proofs::Proof;
use crate::model::failure::{Effect, Failure, Recourse};
use crate::scim::path::member;
use crate::scim::schema::Definition;

/// A method's tags count.
pub(super) const HONOURED: &str = "honoured";
/// A method does what it is asked whatever the tag says.
pub(super) const IGNORED: &str = "ignored";
/// A method refuses the right tag too.
const UNUSABLE: &str = "unusable";

/// What is known of each method; held by the change that finds it out, so that others wait for the answer.
#[derive(Default)]
pub(super) struct Conditions {
    methods: std::sync::Mutex<BTreeMap<String, Arc<Mutex<Option<String>>>>>,
}

impl Conditions {
    fn of(&self, method: &Method) -> Arc<Mutex<Option<String>>> {
        let mut methods = self.methods.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        methods.entry(method.to_string()).or_default().clone()
    }
}

/// The name of the proof for a method.
pub(super) fn name(method: &Method) -> String {
    format!("If-Match on {method}")
}

/// Sends a change of an object that had a version when it was read, so that it takes no effect on another one where the
/// provider honours that.
pub(super) async fn send(
    system: &ScimSystem,
    (definition, id): (&Definition, &str),
    version: Option<&str>,
    request: Request,
) -> Result<Answer, Failure> {
    let right = version.and_then(|version| Some((HeaderValue::from_str(version).ok()?, wrong(version)?)));
    let Some((right, wrong)) = right else { return system.http.send(&request).await };
    let with = |tag: &HeaderValue| {
        let mut request = request.clone();
        request.headers.push((IF_MATCH, tag.clone()));
        request
    };
    let state = system.conditions.of(&request.method);
    let mut state = state.lock().await;
    let what = name(&request.method);
    if state.is_none() {
        *state = system.proved(&what).await?.map(|Proof { found, .. }| found);
    }
    match state.as_deref() {
        Some(HONOURED) => {
            drop(state);
            return system.http.send(&with(&right)).await;
        }
        Some(_) => {
            drop(state);
            return system.http.send(&request).await;
        }
        None => {}
    }
    let refused = match system.http.send(&with(&wrong)).await {
        Ok(answer) => {
            *state = Some(IGNORED.to_owned());
            system.keep(&what, IGNORED);
            system.notice_once(format!(
                "{} with a wrong If-Match is answered with {}: the tag is ignored, objects are read before and after",
                request.method, answer.status
            ));
            return Ok(answer);
        }
        Err(failure) => failure,
    };
    match refused.status {
        Some(412) => {}
        // It may be the header itself that is refused, or what is asked for; nothing was done. Only what goes without the
        // header says that it was the header.
        Some(400 | 405 | 501) if refused.effect == Effect::None && refused.recourse == Recourse::GiveUp => {
            let without = system.http.send(&request).await;
            if without.is_ok() {
                *state = Some(UNUSABLE.to_owned());
            }
            return without;
        }
        _ => return Err(refused),
    }
    match system.http.send(&with(&right)).await {
        Err(again) if again.status == Some(412) => {
            let now = read(system, definition, id).await?;
            let now = now.as_ref().and_then(|now| member(member(now, "meta")?, "version")?.as_str());
            if now.is_none() || now != version {
                return Err(again);
            }
            *state = Some(UNUSABLE.to_owned());
            system.keep(&what, UNUSABLE);
            system.notice_once(format!(
                "{} is refused with the right If-Match too: tags are left out, objects are read before and after",
                request.method
            ));
            system.http.send(&request).await
        }
        ended => {
            *state = Some(HONOURED.to_owned());
            system.keep(&what, HONOURED);
            ended
        }
    }
}

/// A tag that is written as the right one is, and is another.
fn wrong(right: &str) -> Option<HeaderValue> {
    let at = right.find('"').map_or(0, |quote| quote + 1);
    let (before, after) = right.split_at(at);
    HeaderValue::from_str(&format!("{before}9{after}")).ok()
}

/// What a proof says, for people.
pub(super) fn told(method: &Method, proof: Option<&Proof>) -> String {
    let Some(proof) = proof else {
        return "not proved yet: the first approved change goes with a wrong tag first, and tells; until then objects are \
                read before and after"
            .to_owned();
    };
    let day = proof.at.format("%Y-%m-%d");
    match proof.found.as_str() {
        HONOURED => format!("honoured: {method} with a wrong tag was refused (proved {day})"),
        IGNORED => {
            format!("ignored: {method} with a wrong tag was done (proved {day}); objects are read before and after")
        }
        _ => format!(
            "unusable: {method} with the right tag was refused (proved {day}); objects are read before and after"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_tag_is_written_like_the_right_one() {
        for (right, expected) in [("W/\"3\"", "W/\"93\""), ("\"3\"", "\"93\""), ("3", "93"), ("", "9")] {
            assert_eq!(wrong(right).as_ref().and_then(|tag| tag.to_str().ok()), Some(expected));
        }
    }
}
