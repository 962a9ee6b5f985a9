//! What has to be found out about groups while they are walked: where their members are shown, which of these are groups,
//! and whom the others are.

use std::borrow::Cow;
use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::Value as Json;

use super::member;
use super::member_names::{self, Meant};
use super::pager::Pager;
use super::{ScimSystem, id_of};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::model::failure::Failure;
use crate::scim::path;

/// Whether list answers hold the members of groups. Some providers send them for single groups only.
#[derive(Clone, Copy, PartialEq)]
enum MembersIn {
    Unknown,
    List,
    Object,
}

/// What has to be found out about groups while they are walked.
pub(super) struct Groups<'a> {
    system: &'a ScimSystem,
    endpoint: &'a str,
    members_in: MembersIn,
    /// All groups' ids; where they are not known, they are read once a member does not say what it is.
    ids: Option<Cow<'a, HashSet<String>>>,
    /// Who the users are, where groups call them by something else than their ids.
    meant: Option<Meant>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(system: &'a ScimSystem, endpoint: &'a str, ids: Option<&'a HashSet<String>>) -> Self {
        Self { system, endpoint, members_in: MembersIn::Unknown, ids: ids.map(Cow::Borrowed), meant: None }
    }

    /// Sees to it that groups come with their members.
    pub(super) async fn with_members(&mut self, resources: &mut [Json]) -> Result<(), Failure> {
        if self.members_in == MembersIn::Unknown
            && resources.iter().any(|group| path::member(group, "members").is_some())
        {
            self.members_in = MembersIn::List;
        }
        if self.members_in == MembersIn::List {
            return Ok(());
        }
        // A list without members is one of empty groups, or one that does not show them: which, each group may tell.
        let ids: Vec<Option<String>> = resources.iter().map(id_of).collect();
        let this = &*self;
        let reads = ids.into_iter().map(|id| async move {
            match id {
                Some(id) => this.read(&id).await,
                None => Ok(None),
            }
        });
        let singles: Vec<Option<Json>> =
            futures::stream::iter(reads).buffered(this.system.ways.pages_in_flight).try_collect().await?;
        for (group, single) in resources.iter_mut().zip(singles) {
            let Some(single) = single else { continue };
            if self.members_in == MembersIn::Unknown && path::member(&single, "members").is_some() {
                self.members_in = MembersIn::Object;
                self.system
                    .notice_once("lists of groups come without members: each group is read by itself".to_owned());
            }
            *group = single;
        }
        Ok(())
    }

    async fn read(&self, id: &str) -> Result<Option<Json>, Failure> {
        let url = self.system.http.address(&[self.endpoint.trim_matches('/'), id]);
        match self.system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
            Ok(answer) => Ok(answer.json().ok()),
            Err(failure) if failure.status == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Who is in a group.
    pub(super) async fn split(&mut self, group: &Json) -> Result<member::Split, Failure> {
        if self.ids.is_none() && member::has_untyped(group) {
            let mut ids = HashSet::new();
            let mut pager = Pager::new(self.system, self.endpoint, vec![("attributes", "id".to_owned())]).await?;
            while let Some(page) = pager.next().await? {
                ids.extend(page.iter().filter_map(id_of));
            }
            self.ids = Some(Cow::Owned(ids));
        }
        let ids = self.ids.as_deref();
        if self.meant.is_none()
            && let Some(attribute) = member_names::attribute_seen(self.system, group, ids).await?
        {
            self.meant = Some(Meant::read(self.system, attribute).await?);
        }
        member::split(group, ids, |member| match &self.meant {
            Some(meant) => meant.id(self.system, member),
            None => Ok(member.id()),
        })
    }
}
