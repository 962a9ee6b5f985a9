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

use tokio::sync::OnceCell;

use self::layout::{Layout, ResourceType};
use self::link::Link;
use super::by_modules::by_modules;
use super::config::{LdapConfig, SystemConfig};
use super::registry::ConnectContext;
use crate::model::capabilities::{Capabilities, OwnAccount};
use crate::model::failure::{Class, Failure, Recourse};

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
    async fn offered(&self) -> Result<Capabilities, Failure> {
        let account = self.account.get_or_try_init(|| own::account(self)).await?.clone();
        Ok(capabilities::of(self, self.layout().await?, account))
    }

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

by_modules! {
    LdapSystem,
    identity: |system| format!("ldap {} {}", system.link.place(), system.config.base.to_lowercase()),
    capabilities: LdapSystem::offered,
    apply_rows: member_writes::apply_rows,
    row_batch: |system, resource| match members::ends_of(resource) {
        Some((owner, _)) => (Some(owner.to_owned()), system.config.member_batch),
        None => (None, 1),
    },
}
