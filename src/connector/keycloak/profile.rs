//! The realm's user profile: which attributes users have, and what becomes of others.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::KeycloakSystem;
use super::columns::{ATTRIBUTES, USERS};
use crate::model::failure::{Class, Failure};

/// One attribute that the profile declares.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub(super) multi_valued: bool,
    pub(super) max_length: Option<usize>,
    /// Administrators cannot leave it out.
    pub(super) is_required: bool,
    /// Administrators may change it.
    pub(super) is_editable: bool,
}

/// What becomes of attributes that the profile does not declare (`unmanagedAttributePolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unmanaged {
    /// Nobody may ask, so nothing is known.
    #[default]
    Unknown,
    /// They are dropped without a word, and never shown.
    Dropped,
    /// Administrators see them and cannot change them.
    Shown,
    /// Administrators see and change them.
    Kept,
}

/// What users of the realm have.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// By name; those that every user has of itself (`username`, `email`) are among them.
    pub(super) declared: BTreeMap<String, Declared>,
    pub(super) unmanaged: Unmanaged,
}

impl KeycloakSystem {
    /// The user profile, asked once. Versions before 24 have none and keep every attribute.
    pub(super) async fn profile(&self) -> Result<&Profile, Failure> {
        self.profile
            .get_or_try_init(|| async {
                match self.told(&["users", "profile"]).await {
                    Ok(told) => Ok(read(&told)),
                    Err(failure) if failure.class == Class::Permission || failure.status == Some(404) => {
                        self.notice_once(
                            "the realm does not show its user profile: which attributes users have is not known",
                        );
                        Ok(Profile::default())
                    }
                    Err(failure) => Err(failure),
                }
            })
            .await
    }
}

fn read(told: &Json) -> Profile {
    let texts = |list: Option<&Json>| -> Vec<String> {
        let list = list.and_then(Json::as_array).into_iter().flatten();
        list.filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let mut declared = BTreeMap::new();
    for attribute in told.get("attributes").and_then(Json::as_array).into_iter().flatten() {
        let Some(name) = attribute.get("name").and_then(Json::as_str) else { continue };
        let max = attribute.pointer("/validations/length/max");
        // `required` without roles holds for everybody; with scopes it holds for logins through them alone.
        let required = attribute.get("required").filter(|required| required.is_object());
        let roles = required.map(|required| texts(required.get("roles")));
        let of_scopes = required.is_some_and(|required| !texts(required.get("scopes")).is_empty());
        let of = Declared {
            multi_valued: attribute.get("multivalued").and_then(Json::as_bool).unwrap_or(false),
            max_length: max.and_then(|max| max.as_u64().or_else(|| max.as_str()?.parse().ok())).map(|max| max as usize),
            is_required: !of_scopes
                && roles.is_some_and(|roles| roles.is_empty() || roles.iter().any(|role| role == "admin")),
            is_editable: texts(attribute.pointer("/permissions/edit")).iter().any(|role| role == "admin"),
        };
        declared.insert(name.to_owned(), of);
    }
    let unmanaged = match told.get("unmanagedAttributePolicy").and_then(Json::as_str) {
        Some("ENABLED" | "ADMIN_EDIT") => Unmanaged::Kept,
        Some("ADMIN_VIEW") => Unmanaged::Shown,
        _ => Unmanaged::Dropped,
    };
    Profile { declared, unmanaged }
}

impl Profile {
    /// Attributes beside those that every user has, by name.
    pub(super) fn further(&self) -> impl Iterator<Item = (&String, &Declared)> {
        self.declared
            .iter()
            .filter(|(name, _)| !["username", "email", "firstName", "lastName"].contains(&name.as_str()))
    }

    /// Why an attribute of users cannot be had, with what to do about it; `None` where it can.
    pub(super) fn lacks(&self, name: &str) -> Option<(String, String)> {
        let is_lacking = matches!(self.unmanaged, Unmanaged::Dropped) && !self.declared.contains_key(name);
        is_lacking.then(|| {
            (format!("the realm's user profile does not declare `{name}`, and shows and keeps no others"), remedy(name))
        })
    }
}

fn remedy(name: &str) -> String {
    format!(
        "declare `{name}` under Realm settings, User profile; or set unmanagedAttributePolicy (Unmanaged attributes) to ADMIN_EDIT or ENABLED there"
    )
}

/// What to do where attributes were accepted and not kept, in Keycloak's terms.
pub(super) fn when_ignored(profile: Option<&Profile>, resource: &str, attributes: &[String]) -> Option<String> {
    let names = attributes.iter().filter_map(|name| name.strip_prefix(ATTRIBUTES));
    let undeclared: Vec<&str> =
        names.filter(|name| profile.is_none_or(|profile| !profile.declared.contains_key(*name))).collect();
    if resource != USERS || undeclared.is_empty() {
        return None;
    }
    Some(format!(
        "Keycloak drops attributes that its user profile does not declare, without a word: {}",
        remedy(&undeclared.join("`, `"))
    ))
}
