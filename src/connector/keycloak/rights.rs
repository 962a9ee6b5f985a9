//! Which role a question needs. Keycloak answers a missing one with 403 and not a word; the token says which are there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value as Json;

use super::KeycloakSystem;
use crate::model::failure::{Class, Failure, Recourse, Stage};

/// Reading users, groups and who is in them.
pub(super) const VIEW_USERS: &str = "view-users";
/// Changing them, and giving roles to users.
pub(super) const MANAGE_USERS: &str = "manage-users";
/// Reading the roles of the realm.
pub(super) const VIEW_REALM: &str = "view-realm";
/// Reading the roles of clients.
pub(super) const VIEW_CLIENTS: &str = "view-clients";
/// Reading admin events, which increments go by.
pub(super) const VIEW_EVENTS: &str = "view-events";

/// The role that a question to a place below the realm needs.
pub(super) fn needed(method: &Method, path: &[&str]) -> &'static str {
    match (path.first().copied().unwrap_or_default(), method == Method::GET) {
        ("admin-events" | "events", _) => VIEW_EVENTS,
        ("clients", true) => VIEW_CLIENTS,
        ("roles" | "roles-by-id", true) => VIEW_REALM,
        (_, true) => VIEW_USERS,
        (_, false) => MANAGE_USERS,
    }
}

impl KeycloakSystem {
    /// The client that the roles of administrators belong to: in `master` there is one for each realm.
    pub(super) fn roles_client(&self) -> String {
        match &self.config.auth.realm {
            Some(realm) if *realm != self.config.realm => format!("{}-realm", self.config.realm),
            _ if self.config.realm == "master" => "master-realm".to_owned(),
            _ => "realm-management".to_owned(),
        }
    }

    /// The roles that muster's own token carries; `None` where it does not say.
    pub(super) async fn granted(&self) -> Result<Option<BTreeSet<String>>, Failure> {
        let claims = self.http.claims().await?;
        let Some(claims) = claims else { return Ok(None) };
        let listed = |roles: Option<&Json>| -> BTreeSet<String> {
            let roles = roles.and_then(Json::as_array).into_iter().flatten();
            roles.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let mut granted =
            listed(claims.get("resource_access").and_then(|all| all.get(self.roles_client())?.get("roles")));
        // Whoever administers the server may do everything in every realm.
        let of_realm = listed(claims.pointer("/realm_access/roles"));
        if self.config.auth.realm.as_deref().unwrap_or(&self.config.realm) == "master" && of_realm.contains("admin") {
            granted.insert("realm-admin".to_owned());
        }
        Ok(Some(granted))
    }

    /// Says which role is missing, where one is.
    pub(super) async fn with_rights(&self, failure: Failure, method: &Method, path: &[&str]) -> Failure {
        if failure.class != Class::Permission {
            return failure;
        }
        let needed = needed(method, path);
        let Ok(Some(granted)) = self.granted().await else { return failure };
        self.lacking(failure, needed, &granted)
    }

    fn lacking(&self, failure: Failure, needed: &str, granted: &BTreeSet<String>) -> Failure {
        if has(granted, needed) {
            let cause = format!("{}; the account has the role `{needed}`, which allows this in general", failure.cause);
            let remedy = "see whether fine-grained permissions of the realm keep this object from the account";
            return Failure { cause, remedy: remedy.to_owned(), ..failure };
        }
        let told: Vec<&str> = granted.iter().map(String::as_str).collect();
        let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
        let client = self.roles_client();
        Failure {
            cause: format!("{}: the role `{needed}` of `{client}` is missing; the account has: {told}", failure.cause),
            remedy: format!(
                "give it to the service account of `{}`: Clients, its name, Service accounts roles, Assign role, `{client}` `{needed}`; then `muster check`",
                self.config.auth.client_id
            ),
            stage: Some(Stage::Permission),
            // What the account lacks, it lacks for every order.
            recourse: Recourse::Stop,
            ..failure
        }
    }

    /// Whether the account has a role, for `check`: nothing can be tried without changing something.
    pub(super) async fn allowed(&self, needed: &str) -> Result<String, Failure> {
        match self.granted().await? {
            None => Ok(format!("not known: the token does not say whether it has `{needed}`")),
            Some(granted) if has(&granted, needed) => Ok(format!("needed and granted: {needed}")),
            Some(granted) => {
                let bare = self.failure(Class::Permission, "needed and not granted", "");
                Err(self.lacking(bare, needed, &granted))
            }
        }
    }
}

fn has(granted: &BTreeSet<String>, needed: &str) -> bool {
    granted.contains(needed) || granted.contains("realm-admin")
}
