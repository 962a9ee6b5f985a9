//! LDAP directories (RFC 4510), as sources and as targets: OpenLDAP, 389 Directory Server, Active Directory.
//!
//! Entries are known by an id that never changes, and named by a DN that does: rows and orders hold ids, requests hold
//! the DN that the id has at that moment. A list counts as whole only where the server has stated its end.

mod capabilities;
mod changes;
mod dirsync;
mod dn;
mod entry;
mod export;
mod filter;
mod flavour;
mod increment;
mod layout;
mod link;
mod lookup;
mod member_writes;
mod members;
mod modifications;
mod newcomers;
mod own;
mod people;
mod probe;
mod refusal;
mod schema;
mod search;
mod syncrepl;
mod syntax;
mod times;
mod walk;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use self::layout::{Layout, ResourceType};
use self::link::Link;
use super::config::{LdapConfig, SystemConfig};
use super::registry::ConnectContext;
use super::source::{ExportError, ExportRequest, ExportSink, Needs, Source, Step};
use super::target::{Applied, ObjectChange, RowChange, Target};
use crate::model::capabilities::{Capabilities, OwnAccount};
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::object::Object;
use crate::model::order::Operation;

/// The association of users and the groups that they are in: `group`, `user`.
pub const MEMBERSHIPS: &str = "memberships";
/// The association of groups in groups: `parent`, `child`.
pub const NESTINGS: &str = "nestings";

/// Names of entries that are remembered at most; then all are forgotten.
const REMEMBERED: usize = 10_000;

/// A connection to a directory.
pub struct LdapSystem {
    name: String,
    config: LdapConfig,
    link: Link,
    notice: Arc<dyn Fn(&str) + Send + Sync>,
    /// Columns by resource that the job names.
    columns: BTreeMap<String, BTreeSet<String>>,
    layout: OnceCell<Layout>,
    /// The account that muster itself uses, asked once.
    account: OnceCell<Option<OwnAccount>>,
    /// The names that entries had when they were last read, by id. Only for changes that the server binds to the id.
    names: Mutex<HashMap<String, String>>,
    /// What was proved about searches by an attribute: true where a miss means that there is none.
    searches: Mutex<BTreeMap<(String, String), bool>>,
    /// What was said in the log already.
    noticed: Mutex<BTreeSet<String>>,
}

impl LdapSystem {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable setting, class `credential` for a secret that cannot be had.
    pub fn new(name: &str, config: &LdapConfig, context: &ConnectContext) -> Result<Self, Failure> {
        if let Some((field, problem)) = SystemConfig::Ldap(config.clone()).problems().into_iter().next() {
            let cause = format!("{field}: {problem}");
            return Err(Failure::new(Class::Configuration, Recourse::Stop, name, cause, "correct the job file"));
        }
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            link: Link::new(name, config, context)?,
            notice: context.notice.clone(),
            columns: context.columns.clone(),
            layout: OnceCell::new(),
            account: OnceCell::new(),
            names: Mutex::new(HashMap::new()),
            searches: Mutex::new(BTreeMap::new()),
            noticed: Mutex::new(BTreeSet::new()),
        })
    }

    /// What the server is like, asked once.
    async fn layout(&self) -> Result<&Layout, Failure> {
        self.layout.get_or_try_init(|| Layout::discover(&self.link, &self.config)).await
    }

    async fn resource(&self, name: &str) -> Result<(&Layout, &ResourceType), Failure> {
        let layout = self.layout().await?;
        match layout.types.get(name) {
            Some(found) => Ok((layout, found)),
            None => Err(self.no_such_resource(layout, name)),
        }
    }

    /// The columns that a resource's objects are read with: the usual ones, those that the job names, and these.
    fn columns_of<'a>(&'a self, of: &'a ResourceType, extra: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        of.columns(self.columns.get(&of.name).into_iter().flatten().chain(extra))
    }

    fn no_such_resource(&self, layout: &Layout, resource: &str) -> Failure {
        let names = layout.names();
        let nearest = nearest(names.iter().copied(), resource).unwrap_or("users");
        self.failure(
            Class::Configuration,
            format!("there is no resource type or association `{resource}`; it has: {}", names.join(", ")),
            format!("write `{nearest}`, or describe `{resource}` under `resources` of this system"),
        )
    }

    fn failure(&self, class: Class, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
        let recourse = if class == Class::Configuration { Recourse::Stop } else { Recourse::GiveUp };
        Failure::new(class, recourse, &self.name, cause, remedy)
    }

    /// Says something in the log, once.
    fn notice_once(&self, text: String) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(text.clone()) {
            (self.notice)(&format!("{}: {text}", self.name));
        }
    }

    fn remember_name(&self, id: &str, dn: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= REMEMBERED {
            names.clear();
        }
        names.insert(id.to_owned(), dn.to_owned());
    }

    fn forget_name(&self, id: &str) -> Option<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// The name that is most like another.
fn nearest<'a>(names: impl IntoIterator<Item = &'a str>, wanted: &str) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &wanted.to_lowercase());
    names.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[async_trait]
impl Source for LdapSystem {
    fn system(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        format!("ldap {} {}", self.link.place(), self.config.base.to_lowercase())
    }

    async fn capabilities(&self) -> Result<Capabilities, Failure> {
        let account = self.account.get_or_try_init(|| own::account(self)).await?.clone();
        Ok(capabilities::of(self, self.layout().await?, account))
    }

    async fn probe(&self, needs: &Needs) -> Vec<Step> {
        probe::probe(self, needs).await
    }

    async fn export(&self, request: &ExportRequest, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        export::export(self, request, sink).await
    }

    async fn get(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
        lookup::get(self, resource, id).await
    }

    async fn find(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure> {
        lookup::find(self, resource, attribute, value).await
    }

    async fn holds(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure> {
        members::holds(self, resource, rows).await
    }

    async fn members(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
        members::members(self, resource, end, id).await
    }
}

#[async_trait]
impl Target for LdapSystem {
    async fn apply(&self, change: &ObjectChange) -> Result<Applied, Failure> {
        write::apply(self, change).await
    }

    async fn apply_rows(
        &self,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>> {
        member_writes::apply_rows(self, resource, operation, rows).await
    }

    fn row_batch(&self, resource: &str) -> (Option<String>, usize) {
        match members::ends_of(resource) {
            Some((owner, _)) => (Some(owner.to_owned()), self.config.member_batch),
            None => (None, 1),
        }
    }
}
