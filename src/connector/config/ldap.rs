//! `kind = "ldap"`: LDAP directories, Active Directory among them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::refused::Refused;
use crate::connector::secret::SecretRef;
use crate::model::failure::Stage;

/// What a directory server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Flavour {
    /// OpenLDAP, and servers that are like it.
    #[serde(rename = "openldap")]
    OpenLdap,
    /// 389 Directory Server.
    #[serde(rename = "389ds")]
    Ds389,
    /// Active Directory: Windows Server or Samba.
    #[serde(rename = "ad")]
    Ad,
}

/// How far below its base a search reaches (RFC 4511 section 4.5.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SearchScope {
    /// Directly below the base.
    One,
    /// Everything below the base.
    #[default]
    Subtree,
}

/// How an increment learns what changed, where it is not by the times or counters of the entries themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Increments {
    /// By the control DirSync of Active Directory (MS-ADTS section 3.1.1.3.4.1.3), which also names what was deleted,
    /// and single members that came and went.
    #[serde(rename = "dirsync")]
    DirSync,
    /// By content synchronization (RFC 4533), as OpenLDAP has it with its overlay syncprov.
    Syncrepl,
}

/// Who muster is there: a simple bind (RFC 4513 section 5.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// The account's DN, or on Active Directory also its login: `muster@corp.example.com`.
    pub user: String,
    /// Where its password lies.
    pub password: SecretRef,
}

/// An attribute that says whether an account is in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnabledBy {
    /// The attribute: `loginDisabled`.
    pub attribute: String,
    /// Its value while the account is in use; left out = the attribute is absent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Its value while the account is not in use; left out = the attribute is absent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<String>,
}

/// One resource type: which entries belong to it, and how they are made. What is left out keeps the default of the
/// server's flavour; `users` and `groups` exist without being named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LdapResource {
    /// Where its entries are, and where new ones go: `ou=people,dc=example,dc=com`. Left out = the system's base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// How far below the base they may be.
    #[serde(default)]
    pub scope: SearchScope,
    /// Which entries belong to it (RFC 4515). Left out = those of the first of its `classes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Object classes of new entries, the one that makes them what they are first: `["inetOrgPerson", "posixAccount"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The attribute that new entries are named by: `uid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdn: Option<String>,
    /// Attributes that are read, beyond those that the job names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// Attributes that are lists, even of one value. LDAP itself lets nearly every attribute have several values; one
    /// that is not named here is written as one value, and as a list only where it has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
    /// What an entry's id is: an attribute that never changes (`entryUUID`, `objectGUID`, `nsUniqueId`), or `dn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For `groups`: the attribute that holds the members: `member`, `uniqueMember`, or `memberUid` with logins in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// For `groups` of Active Directory: memberships hold everybody whom the server itself finds in a group, through
    /// groups in it as well (LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS section 3.1.1.3.4.4.3). Such memberships are read and
    /// never written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_chain: bool,
    /// For `groups` that may not be empty: the DN that stands in where there is no member. Left out = the empty DN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_member: Option<String>,
    /// For accounts: what says whether one is in use. Left out = as the server's flavour does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<EnabledBy>,
}

/// An LDAP directory (RFC 4510).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LdapConfig {
    /// The server: `ldaps://ldap.example.com`, or `ldap://ldap.example.com` with `starttls = true`.
    pub url: String,
    /// Whether the session is made safe by StartTLS (RFC 4511 section 4.14).
    #[serde(default)]
    pub starttls: bool,
    /// PEM certificates of an own certificate authority, trusted beside those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Lets the password travel without TLS; only on a network that nobody listens to.
    #[serde(default)]
    pub allow_plain_text: bool,
    /// How muster proves who it is; left out = anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Bind>,
    /// Where everything is: `dc=example,dc=com`.
    pub base: String,
    /// What the server is; left out = found out by what it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<Flavour>,
    /// How an increment learns what changed: `dirsync` on Active Directory, `syncrepl` on OpenLDAP. Left out = by `modifyTimestamp`, and by
    /// `uSNChanged` on Active Directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increments: Option<Increments>,
    /// Resource types, by the names that syncs use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, LdapResource>,
    /// Entries asked for in one page (RFC 2696).
    #[serde(default = "page_size")]
    #[schemars(range(min = 1, max = 10000))]
    pub page_size: u64,
    /// How long the server may be silent, in seconds.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,
    /// Member changes in one request at most.
    #[serde(default = "member_batch")]
    #[schemars(range(min = 1))]
    pub member_batch: usize,
    /// Members of one group asked for at once, where the server gives them in ranges (Active Directory). Left out = as
    /// many as the server gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub member_range: Option<u64>,
    /// The login, DN or id of the account that muster itself uses there, so that no order locks it out. Left out = the
    /// one of `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource, free and taken: `{ users = 500 }`. Creates beyond them are blocked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that the server refuses: `{ groups = ["delete"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

fn page_size() -> u64 {
    500
}

fn timeout_seconds() -> u64 {
    60
}

fn member_batch() -> usize {
    200
}

impl LdapConfig {
    /// A directory at an address, with every other setting at its default.
    pub fn at(url: impl Into<String>, base: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            starttls: false,
            ca_file: None,
            allow_plain_text: false,
            auth: None,
            base: base.into(),
            flavour: None,
            increments: None,
            resources: BTreeMap::new(),
            page_size: page_size(),
            timeout_seconds: timeout_seconds(),
            member_batch: member_batch(),
            member_range: None,
            account: None,
            seats: BTreeMap::new(),
            refuses: BTreeMap::new(),
        }
    }

    /// Whether what is said travels through TLS.
    pub fn uses_tls(&self) -> bool {
        self.starttls || directory_address(&self.url).is_ok_and(|url| url.scheme() == "ldaps")
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::Resolve, Stage::Connect];
        if self.uses_tls() {
            stages.push(Stage::Tls);
        }
        stages.extend([Stage::Login, Stage::Permission, Stage::Schema]);
        stages
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        match directory_address(&self.url) {
            Err(problem) => problems.push(("url", problem)),
            Ok(url) => {
                if url.scheme() == "ldaps" && self.starttls {
                    let text =
                        "ldaps:// is safe from its first byte; write ldap:// for StartTLS, or leave starttls out";
                    problems.push(("starttls", text.to_owned()));
                }
                let is_plain = url.scheme() == "ldap" && !self.starttls;
                if is_plain && self.auth.is_some() && !self.allow_plain_text && !is_this_machine(&url) {
                    let text = "the password would travel in plain text; write ldaps://, or starttls = true, or, on a network that nobody listens to, allow_plain_text = true";
                    problems.push(("auth", text.to_owned()));
                }
            }
        }
        if let Some(bind) = &self.auth
            && bind.user.is_empty()
        {
            problems.push(("auth", "user is empty; leave `auth` out for an anonymous session".to_owned()));
        }
        for (field, is_zero) in [
            ("timeout_seconds", self.timeout_seconds == 0),
            ("page_size", self.page_size == 0),
            ("member_batch", self.member_batch == 0),
            ("member_range", self.member_range == Some(0)),
        ] {
            if is_zero {
                problems.push((field, "0 is not possible here; the least is 1".to_owned()));
            }
        }
        if self.page_size > 10_000 {
            problems.push(("page_size", "so large a page is no page; the most is 10000".to_owned()));
        }
        if self.flavour.is_some_and(|flavour| flavour != Flavour::Ad) {
            let text = "only Active Directory has it; leave it out, or set flavour = \"ad\"";
            if self.increments == Some(Increments::DirSync) {
                problems.push(("increments", format!("dirsync: {text}")));
            }
            if self.resources.values().any(|resource| resource.in_chain) {
                problems.push(("resources", format!("groups: in_chain: {text}")));
            }
        }
        for (name, resource) in &self.resources {
            problems.extend(resource.problems(name).into_iter().map(|problem| ("resources", problem)));
        }
        problems
    }
}

impl LdapResource {
    fn problems(&self, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if matches!(name, "memberships" | "nestings") {
            problems
                .push(format!("{name}: this is an association, which comes of `groups`; describe `groups` instead"));
        }
        if let Some(filter) = &self.filter
            && ldap3::parse_filter(filter).is_err()
        {
            problems.push(format!("{name}: `{filter}` is no filter; write one like (objectClass=person)"));
        }
        if !matches!(name, "users" | "groups") && self.classes.is_empty() {
            problems
                .push(format!("{name}: there is no default for this resource; name its object classes in `classes`"));
        }
        if !matches!(name, "users" | "groups") && self.rdn.is_none() {
            problems.push(format!(
                "{name}: there is no default for this resource; say in `rdn` what its entries are named by"
            ));
        }
        if name != "groups" && (self.member.is_some() || self.empty_member.is_some() || self.in_chain) {
            problems.push(format!("{name}: only `groups` have members here"));
        }
        let named = [&self.rdn, &self.key, &self.member].into_iter().flatten();
        let named = named.chain(self.enabled.as_ref().map(|by| &by.attribute));
        for attribute in named.chain(&self.attributes).chain(&self.lists).chain(&self.classes) {
            if !is_description(attribute) {
                problems.push(format!("{name}: `{attribute}` is no name of an attribute or object class"));
            }
        }
        if let Some(by) = &self.enabled
            && by.on == by.off
        {
            problems.push(format!("{name}: `on` and `off` of {} are the same", by.attribute));
        }
        problems
    }
}

/// Whether a text is an attribute description (RFC 4512 section 2.5): a name or an OID, with options.
pub(crate) fn is_description(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';' | b'_'))
}

/// A usable ldap or ldaps address: a host and perhaps a port, and nothing else.
///
/// # Errors
/// A sentence that says what is wrong; a password in the address is not repeated.
pub(crate) fn directory_address(text: &str) -> Result<Url, String> {
    let wrong = "this is no address of a directory; write ldaps://HOST, or ldap://HOST with starttls = true";
    let url = Url::parse(text).map_err(|error| format!("{wrong} ({error})"))?;
    if !matches!(url.scheme(), "ldap" | "ldaps") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential may not stand in an address; use `auth` with a reference such as env:NAME".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("the address ends behind host and port; write what comes after it as `base`".to_owned());
    }
    Ok(url)
}

/// Whether an address leads no further than this machine.
fn is_this_machine(url: &Url) -> bool {
    // Of other schemes than the web's, a host is taken as a name, even where it is a number.
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn problems(change: impl FnOnce(&mut LdapConfig)) -> String {
        let mut config = LdapConfig::at("ldaps://ldap.example.com", "dc=example,dc=com");
        change(&mut config);
        config.problems().iter().map(|(field, text)| format!("{field}: {text}\n")).collect()
    }

    #[test]
    fn all_problems_are_told_at_once_and_no_password_leaves_in_the_open() {
        assert_eq!(problems(|_| {}), "");
        let auth = Bind { user: "cn=muster".to_owned(), password: "env:PASSWORD".parse().unwrap() };
        for (url, starttls, wrong) in [
            ("ldap://ldap.example.com", false, true),
            ("ldap://ldap.example.com", true, false),
            ("ldap://127.0.0.1:1389", false, false),
            ("ldap://[::1]", false, false),
            ("ldaps://ldap.example.com", true, true),
            ("https://ldap.example.com", false, true),
            ("ldaps://ldap.example.com/dc=x", false, true),
            ("ldaps://u:hunter2@ldap.example.com", false, true),
        ] {
            let told = problems(|config| {
                (config.url, config.starttls, config.auth) = (url.to_owned(), starttls, Some(auth.clone()));
            });
            assert_eq!(!told.is_empty(), wrong, "{url}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        let told = problems(|config| {
            config.page_size = 0;
            let broken = LdapResource { filter: Some("(uid=".to_owned()), ..LdapResource::default() };
            config.resources.insert("units".to_owned(), broken);
        });
        let told = told
            + &problems(|config| {
                (config.flavour, config.increments) = (Some(Flavour::OpenLdap), Some(Increments::DirSync));
                let groups = LdapResource { in_chain: true, ..LdapResource::default() };
                config.resources.insert("groups".to_owned(), groups);
            });
        for part in ["page_size", "is no filter", "classes", "rdn", "increments: dirsync", "in_chain: only"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
