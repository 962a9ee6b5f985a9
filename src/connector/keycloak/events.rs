//! Admin events: which objects administrators changed, and since when the realm has kept them.
//!
//! A cursor names the newest event that was seen. It is of use as long as the server still shows that event: events that
//! expired or were cleared would hide what changed. Changes of the realm's own settings may have switched events off for
//! a while, so that they end a chain of increments, too.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::KeycloakSystem;
use super::pages::Pager;
use crate::model::failure::{Class, Failure};

/// How far an increment reaches back behind the newest event that was seen: an event carries the time at which its
/// request began, and may be stored later than others that carry a later one.
const OVERLAP_MILLISECONDS: i64 = 120_000;

/// Events of one increment at most; more are read no faster one by one than everything is as lists.
const MOST: u64 = 20_000;

/// What is asked for. Settings of the realm are `REALM`; providers of users are `COMPONENT`.
const TYPES: [&str; 9] = [
    "USER",
    "GROUP",
    "GROUP_MEMBERSHIP",
    "REALM_ROLE",
    "REALM_ROLE_MAPPING",
    "CLIENT_ROLE",
    "CLIENT_ROLE_MAPPING",
    "REALM",
    "COMPONENT",
];

/// One event, as far as increments need it.
#[derive(Clone, Debug, Default)]
pub(super) struct Happened {
    pub(super) what: String,
    pub(super) operation: String,
    /// The path below the realm: `users/ID/groups/ID`.
    pub(super) path: Vec<String>,
    /// Whether it came through the realm's own SCIM API, where a group is changed together with who is in it.
    pub(super) over_scim: bool,
}

impl Happened {
    /// An event as the server tells it; `None` where it does not say what it is about.
    fn read(event: &Json) -> Option<Self> {
        let text = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
        let told: Vec<&str> = text("resourcePath").split('/').collect();
        let (path, over_scim) = match told.as_slice() {
            ["scim", _, "Users", id] if !id.is_empty() => (vec!["users", id], true),
            ["scim", _, "Groups", id] if !id.is_empty() => (vec!["groups", id], true),
            ["scim", ..] => return None,
            path => (path.to_vec(), false),
        };
        Some(Self {
            what: text("resourceType").to_owned(),
            operation: text("operationType").to_owned(),
            path: path.into_iter().map(str::to_owned).collect(),
            over_scim,
        })
    }
}

/// A place in the stream of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Milliseconds since 1970, by the server's clock.
    pub(super) time: i64,
    /// The newest event then; empty where there was none.
    pub(super) event: String,
}

impl Cursor {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (time, event) = text.split_once('/')?;
        let time = DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis();
        Some(Self { time, event: event.to_owned() })
    }

    pub(super) fn text(&self) -> String {
        let time = DateTime::<Utc>::from_timestamp_millis(self.time).unwrap_or_default();
        format!("{}/{}", time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true), self.event)
    }
}

impl KeycloakSystem {
    /// Whether the realm keeps admin events and muster may read them; if not, why.
    pub(super) async fn events_are_kept(&self) -> Result<Result<(), String>, Failure> {
        match self.told(&["events", "config"]).await {
            Ok(told) if told.get("adminEventsEnabled").and_then(Json::as_bool) == Some(true) => Ok(Ok(())),
            Ok(_) => {
                Ok(Err("the realm keeps no admin events (Realm settings, Events, Admin events settings)".to_owned()))
            }
            Err(failure) if matches!(failure.class, Class::Permission) => {
                Ok(Err("the account may not read admin events: the role `view-events` is missing".to_owned()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Where the next increment may begin; `None` where there are no increments.
    pub(super) async fn cursor(&self) -> Result<Option<Cursor>, Failure> {
        if let Err(why) = self.events_are_kept().await? {
            self.notice_once(&format!("every export is a complete one: {why}"));
            return Ok(None);
        }
        let types = TYPES.map(|name| ("resourceTypes", name));
        let newest = [types.as_slice(), &[("first", "0"), ("max", "1")]].concat();
        let (events, _) = self.list(&["admin-events"], &newest).await?;
        if let Some(event) = events.first() {
            let text = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
            let time = event.get("time").and_then(Json::as_i64);
            return Ok(time.map(|time| Cursor { time, event: text("id").to_owned() }));
        }
        // The server sends no Date; its clock stands in the token that it made, which is a little old at most.
        let claims = self.http.claims().await?.unwrap_or_default();
        let made = claims.get("iat").and_then(Json::as_i64);
        Ok(made.map(|seconds| Cursor { time: seconds * 1000, event: String::new() }))
    }

    /// What administrators changed since a cursor.
    ///
    /// # Errors
    /// Class `unsupported`, where that cannot be known: the run reads everything then.
    pub(super) async fn since(&self, cursor: &Cursor) -> Result<Vec<Happened>, Failure> {
        if let Err(why) = self.events_are_kept().await? {
            return Err(self.no_increment(why));
        }
        let from = (cursor.time - OVERLAP_MILLISECONDS).max(0).to_string();
        let types = TYPES.map(|name| ("resourceTypes", name));
        let query = [types.as_slice(), &[("dateFrom", from.as_str()), ("direction", "asc")]].concat();
        let mut pager = Pager::new(self, &["admin-events"], &query, 0);
        let (mut happened, mut has_anchor) = (Vec::new(), cursor.event.is_empty());
        while let Some(events) = pager.next().await? {
            for event in &events {
                let text = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
                has_anchor |= text("id") == cursor.event;
                let is_newer = event.get("time").and_then(Json::as_i64).is_none_or(|time| time > cursor.time);
                if is_newer && matches!(text("resourceType"), "REALM" | "COMPONENT") {
                    return Err(self.no_increment(
                        "settings of the realm or its user federation were changed since; events may have been off meanwhile"
                            .to_owned(),
                    ));
                }
                happened.push(Happened::read(event).ok_or_else(|| {
                    let path = text("resourcePath");
                    self.no_increment(format!("an event of {path} does not say who was changed"))
                })?);
            }
            if happened.len() as u64 > MOST {
                return Err(self.no_increment(format!("there were more than {MOST} changes since")));
            }
        }
        if !has_anchor {
            return Err(self.no_increment(
                "the server does not show the event any more that the last export ended at: events expired or were cleared"
                    .to_owned(),
            ));
        }
        Ok(happened)
    }

    /// The failure that makes a run go complete: nothing is wrong, increments just are not possible now.
    pub(super) fn no_increment(&self, cause: String) -> Failure {
        self.failure(
            Class::Unsupported,
            format!("no incremental export: {cause}"),
            "the next export reads everything; nothing has to be done",
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Cursor, Happened};

    #[test]
    fn events_of_the_scim_api_are_about_the_same_users_and_groups() {
        let read = |path: &str| {
            let event = json!({"resourceType": "USER", "operationType": "UPDATE", "resourcePath": path});
            Happened::read(&event).map(|happened| (happened.path.join("/"), happened.over_scim))
        };
        assert_eq!(read("users/7/groups/8"), Some(("users/7/groups/8".to_owned(), false)));
        assert_eq!(read("scim/v2/Users/7"), Some(("users/7".to_owned(), true)));
        assert_eq!(read("scim/v2/Groups/8"), Some(("groups/8".to_owned(), true)));
        assert_eq!((read("scim/v2/Users/"), read("scim/v2/Bulk")), (None, None));
    }

    #[test]
    fn cursors_are_read_as_they_were_written() {
        for event in ["a019e59e-c46a-4492-86a2-6ac223450b55", ""] {
            let cursor = Cursor { time: 1_795_965_418_926, event: event.to_owned() };
            assert_eq!(Cursor::read(&cursor.text()), Some(cursor.clone()), "{}", cursor.text());
        }
        assert_eq!(Cursor::read("2026-11-29T12:00:00Z"), None);
    }
}
