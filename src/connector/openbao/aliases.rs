//! Aliases: by which login somebody is an entity, and by which group of a login method its members are in an external one.
//!
//! The server gives an alias that is there already to whomever it is asked for, and takes from a group the alias that it
//! has when it gets another one: both are looked at before a create.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::OpenBaoSystem;
use super::ask::place;
use super::columns::{ALIASES, GROUPS, fields, mount_name};
use super::write::unwritable;
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::target::{Applied, ObjectChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::outcome::Effected;
use crate::model::value::Value;

impl OpenBaoSystem {
    /// Login methods: where they are mounted, and the accessors by which aliases name them.
    async fn login_methods(&self) -> Result<&BTreeMap<String, String>, Failure> {
        let methods = self.methods.get_or_try_init(|| async {
            self.in_namespace().await?;
            let answer = self.http.read(&Request::new(Method::GET, self.at(&["sys", "auth"]), Asked::Discovery)).await;
            let answer = answer.map_err(|failure| self.of_namespace(failure))?;
            let body = answer.json().unwrap_or_default();
            let methods = body.get("data").and_then(Json::as_object).into_iter().flatten();
            let accessor = |method: &Json| method.get("accessor").and_then(Json::as_str).map(str::to_owned);
            Ok(methods.filter_map(|(path, one)| Some((mount_name(path).to_owned(), accessor(one)?))).collect())
        });
        methods.await
    }

    /// The alias of one login, `userpass/jane`.
    pub(super) async fn by_login(&self, resource: &str, login: &str) -> Result<Vec<Json>, Failure> {
        let mut found = Vec::new();
        for (mount, accessor) in self.login_methods().await? {
            let name = login.strip_prefix(mount.as_str()).and_then(|rest| rest.strip_prefix('/'));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                found.extend(self.alias(resource, accessor, name).await?);
            }
        }
        Ok(found)
    }

    /// The alias that a login method knows by a name.
    async fn alias(&self, resource: &str, accessor: &str, name: &str) -> Result<Option<Json>, Failure> {
        let (of, field) = if resource == ALIASES { ("entity", "aliases") } else { ("group", "alias") };
        let body = Some(json!({"alias_name": name, "alias_mount_accessor": accessor}));
        // A question, though it is a POST.
        let request = Request::new(Method::POST, self.at(&["identity", "lookup", of]), Asked::Object);
        let answer = self.http.read(&Request { body, ..request }).await;
        let owner = answer.map_err(|failure| self.of_namespace(failure))?.json().unwrap_or_default();
        let told = owner.pointer(&format!("/data/{field}")).cloned().unwrap_or_default();
        let aliases = if let Json::Array(several) = told { several } else { vec![told] };
        let is_it = |alias: &Json| {
            let told = alias.get("name").and_then(Json::as_str).unwrap_or_default();
            // Some methods know no letter case, and the server keeps names as they do.
            alias.get("mount_accessor").and_then(Json::as_str) == Some(accessor) && told.eq_ignore_ascii_case(name)
        };
        Ok(aliases.into_iter().find(is_it))
    }

    pub(super) async fn create_alias(
        &self,
        change: &ObjectChange,
        attributes: &BTreeMap<String, Option<Value>>,
    ) -> Result<Applied, Failure> {
        let resource = change.resource.as_str();
        let mut body = fields(resource, attributes, None).map_err(|problem| unwritable(self, resource, problem))?;
        let text =
            |field: &str| body.get(field).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let owner_is = if resource == ALIASES { "user" } else { "group" };
        let (Some(name), Some(owner), Some(mount)) = (text("name"), text("canonical_id"), text("mount_path")) else {
            return Err(self.failure(
                Class::Data,
                format!("`{}` lacks its name, its {owner_is} or its mount, which an alias needs", change.name),
                format!("map `name`, `{owner_is}` and `mount`; the next run plans it anew"),
            ));
        };
        let mount = mount_name(&mount);
        let methods = self.login_methods().await?;
        let Some(accessor) = methods.get(mount) else {
            let there: Vec<&str> = methods.keys().map(String::as_str).collect();
            return Err(self.failure(
                Class::Data,
                format!("there is no login method at `{mount}`; there are: {}", there.join(", ")),
                "correct `mount` in the job file or at the source, or enable the method: bao auth enable -path=…",
            ));
        };
        let taken = |cause: String| {
            let mut taken = self.failure(
                Class::Conflict,
                cause,
                "see who it belongs to; link both (`muster link`), delete the one that is there, or correct the source: the next run plans it anew",
            );
            taken.recourse = Recourse::GiveUp;
            taken
        };
        if let Some(there) = self.alias(resource, accessor, &name).await? {
            let of = there.get("canonical_id").and_then(Json::as_str).unwrap_or_default();
            return Err(taken(format!("`{mount}/{name}` is an alias already, of {owner_is} {of}")));
        }
        if resource != ALIASES {
            let group = self.object(GROUPS, "id", &owner).await?.unwrap_or_default();
            if let Some(other) = group.pointer("/alias/name").and_then(Json::as_str).filter(|name| !name.is_empty()) {
                let of = group.get("name").and_then(Json::as_str).unwrap_or(&owner);
                return Err(taken(format!("group `{of}` has the alias `{other}` already, and may have one only")));
            }
        }
        body.remove("mount_path");
        body.insert("mount_accessor".to_owned(), json!(accessor));
        let made = self.write(Method::POST, place(resource).unwrap_or_default(), Some(Json::Object(body))).await?;
        let id = made.as_ref().and_then(|made| made.get("id")?.as_str().map(str::to_owned));
        let object = match &id {
            Some(id) => self.object(resource, "id", id).await,
            None => self.alias(resource, accessor, &name).await,
        };
        let object = object.map_err(Failure::once_sent)?;
        let Some((object, id)) = object.as_ref().and_then(|object| Some((object, object.get("id")?.as_str()?))) else {
            let mut lost = self.failure(
                Class::Server,
                format!("the alias `{mount}/{name}` was created, says the server, and cannot be read"),
                "look for it at the server; the next run correlates it anew",
            );
            lost.effect = Effect::Unknown;
            return Err(lost);
        };
        self.remember(resource, object).await;
        Ok(Applied { id: Some(id.to_owned()), effected: Effected::Sent, note: None })
    }
}
