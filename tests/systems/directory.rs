//! A directory as a test sees it: asked by a client of its own, not by the connector.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry};
use muster::connector::config::{Bind, LdapConfig, LdapResource, SystemConfig};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::secret::{SecretRef, Secrets};
use muster::connector::target::Target;
use std::sync::Arc;

/// An entry's name and attributes.
pub(crate) type Found = (String, BTreeMap<String, Vec<String>>);

/// A running server.
pub(crate) struct Directory {
    pub(crate) url: String,
    pub(crate) base: String,
    /// Who may read and write everything.
    pub(crate) admin: String,
    /// Who muster is there.
    pub(crate) user: String,
    pub(crate) password: String,
    /// The authority of its certificate.
    pub(crate) ca_file: String,
    ldap: RefCell<Option<Ldap>>,
}

struct Password(String);

impl Secrets for Password {
    fn resolve(&self, _: &SecretRef) -> Result<secrecy::SecretString, String> {
        Ok(self.0.clone().into())
    }
}

impl Directory {
    /// OpenLDAP, as `openldap.sh` starts it.
    pub(crate) fn openldap() -> Self {
        let of = |what: &str| crate::told(&format!("MUSTER_TEST_OPENLDAP_{what}"));
        Self {
            url: of("URL"),
            base: "dc=example,dc=com".to_owned(),
            admin: "cn=admin,dc=example,dc=com".to_owned(),
            user: "cn=muster,ou=services,dc=example,dc=com".to_owned(),
            password: of("PASSWORD"),
            ca_file: of("CA"),
            ldap: RefCell::new(None),
        }
    }

    /// 389 Directory Server, as `dirsrv389.sh` starts it.
    pub(crate) fn dirsrv389() -> Self {
        let of = |what: &str| crate::told(&format!("MUSTER_TEST_DIRSRV_{what}"));
        Self {
            url: of("URL"),
            base: "dc=example,dc=com".to_owned(),
            admin: "cn=Directory Manager".to_owned(),
            user: "cn=muster,ou=services,dc=example,dc=com".to_owned(),
            password: of("PASSWORD"),
            ca_file: of("CA"),
            ldap: RefCell::new(None),
        }
    }

    /// A domain controller, as `samba_ad.sh` starts it.
    pub(crate) fn active_directory() -> Self {
        let of = |what: &str| crate::told(&format!("MUSTER_TEST_SAMBA_{what}"));
        Self {
            url: of("URL"),
            base: "DC=samdom,DC=example,DC=com".to_owned(),
            admin: "Administrator@samdom.example.com".to_owned(),
            user: "Administrator@samdom.example.com".to_owned(),
            password: of("PASSWORD"),
            ca_file: of("CA"),
            ldap: RefCell::new(None),
        }
    }

    /// A session of the administrator.
    pub(crate) async fn session(&self) -> Ldap {
        if let Some(ldap) = self.ldap.borrow_mut().as_mut()
            && !ldap.is_closed()
        {
            return ldap.clone();
        }
        // The test trusts the server that it started itself.
        let settings = LdapConnSettings::new().set_no_tls_verify(true);
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &self.url).await.unwrap();
        tokio::spawn(async move { drop(connection.drive().await) });
        ldap.simple_bind(&self.admin, &self.password).await.unwrap().success().unwrap();
        *self.ldap.borrow_mut() = Some(ldap.clone());
        ldap
    }

    /// All entries below a base that a filter finds, in pages.
    pub(crate) async fn search(&self, base: &str, filter: &str, attributes: &[&str]) -> Vec<Found> {
        let mut ldap = self.session().await;
        let adapters: Vec<Box<dyn ldap3::adapters::Adapter<'_, _, _>>> =
            vec![Box::new(ldap3::adapters::EntriesOnly::new()), Box::new(ldap3::adapters::PagedResults::new(500))];
        let mut stream =
            ldap.streaming_search_with(adapters, base, Scope::Subtree, filter, attributes.to_vec()).await.unwrap();
        let mut found = Vec::new();
        while let Some(entry) = stream.next().await.unwrap() {
            let entry = SearchEntry::construct(entry);
            found.push((entry.dn, entry.attrs.into_iter().collect()));
        }
        stream.finish().await.success().unwrap();
        found
    }

    pub(crate) async fn add(&self, dn: &str, attributes: &[(&str, &[&str])]) {
        let attributes =
            attributes.iter().map(|(name, values)| (*name, values.iter().copied().collect::<HashSet<_>>()));
        self.session()
            .await
            .add(dn, attributes.collect())
            .await
            .unwrap()
            .success()
            .unwrap_or_else(|e| panic!("{dn}: {e}"));
    }

    pub(crate) async fn modify(&self, dn: &str, changes: Vec<Mod<&str>>) {
        self.session().await.modify(dn, changes).await.unwrap().success().unwrap_or_else(|e| panic!("{dn}: {e}"));
    }

    pub(crate) async fn delete(&self, dn: &str) {
        self.session().await.delete(dn).await.unwrap().success().unwrap_or_else(|e| panic!("{dn}: {e}"));
    }

    /// Removes all entries below a base that a filter finds.
    pub(crate) async fn empty(&self, base: &str, filter: &str) {
        let mut ldap = self.session().await;
        for (dn, _) in self.search(base, filter, &["1.1"]).await {
            ldap.delete(&dn).await.unwrap().success().unwrap_or_else(|e| panic!("{dn}: {e}"));
        }
    }

    /// People and groups are gone, the containers stay.
    pub(crate) async fn emptied() -> Self {
        let directory = Self::openldap();
        directory.empty("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)").await;
        directory.empty("ou=people,dc=example,dc=com", "(objectClass=inetOrgPerson)").await;
        directory
    }

    /// How muster reaches it.
    pub(crate) fn config(&self) -> LdapConfig {
        let auth = Bind { user: self.user.clone(), password: "env:PASSWORD".parse().unwrap() };
        let below = |ou: &str| LdapResource { base: Some(format!("ou={ou},{}", self.base)), ..LdapResource::default() };
        LdapConfig {
            auth: Some(auth),
            resources: BTreeMap::from([("users".to_owned(), below("people")), ("groups".to_owned(), below("groups"))]),
            timeout_seconds: 10,
            ..LdapConfig::at(&self.url, &self.base)
        }
    }

    /// Connects as a job would.
    pub(crate) async fn target(&self, config: LdapConfig) -> Box<dyn Target> {
        let context = ConnectContext {
            secrets: Arc::new(Password(self.password.clone())),
            random: Arc::new(|| 0.0),
            ..ConnectContext::plain(std::env::temp_dir(), "20261122T150405Z-7f3a")
        };
        Registry::standard().target("directory", &SystemConfig::Ldap(config), &context).await.expect("a target")
    }
}
