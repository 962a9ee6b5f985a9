//! What a server is, and what follows of it: the names that its entries go by.

use super::entry::Entry;
use crate::connector::config::{EnabledBy, Flavour, LdapResource, SearchScope};

/// What a server says of itself in its root entry (RFC 4512 section 5.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Root {
    /// The entry with the schema.
    pub(super) schema: Option<String>,
    /// OIDs of the controls that it knows.
    pub(super) controls: Vec<String>,
    /// Active Directory: which domain controller answers.
    pub(super) service: Option<String>,
    /// Active Directory: the latest change that it made or took over.
    pub(super) latest_usn: Option<u64>,
    /// Active Directory: the domain that it keeps.
    pub(super) domain: Option<String>,
    /// Its maker and version, as far as it tells.
    pub(super) product: String,
    /// Whether it is Active Directory.
    pub(super) is_ad: bool,
}

/// What has to be asked for by name.
pub(super) const ROOT_ATTRIBUTES: &[&str] = &[
    "*",
    "+",
    "subschemaSubentry",
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
    "vendorVersion",
    "dsServiceName",
    "highestCommittedUSN",
    "defaultNamingContext",
    "objectClass",
    "structuralObjectClass",
];

/// Paged results (RFC 2696).
pub(super) const PAGED: &str = "1.2.840.113556.1.4.319";
/// An assertion that has to hold for a change (RFC 4528).
pub(super) const ASSERTION: &str = "1.3.6.1.1.12";
/// What an entry holds after a change (RFC 4527).
pub(super) const POST_READ: &str = "1.3.6.1.1.13.2";
/// Members of members and so on (LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS section 3.1.1.3.4.4.3).
pub(super) const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
/// Active Directory, by its supportedCapabilities (MS-ADTS section 3.1.1.3.4.3.1).
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

impl Root {
    pub(super) fn read(entry: &Entry) -> Self {
        let text = |name: &str| entry.text(name).map(str::to_owned);
        let product: Vec<String> = ["vendorName", "vendorVersion"].into_iter().filter_map(text).collect();
        let classes = entry.texts("structuralObjectClass").join(" ") + &entry.texts("objectClass").join(" ");
        Self {
            schema: text("subschemaSubentry"),
            controls: entry.texts("supportedControl").into_iter().map(str::to_owned).collect(),
            service: text("dsServiceName"),
            latest_usn: entry.text("highestCommittedUSN").and_then(|usn| usn.parse().ok()),
            domain: text("defaultNamingContext"),
            product: match product.join(" ") {
                told if !told.is_empty() => told,
                _ if classes.contains("OpenLDAProotDSE") => "OpenLDAP".to_owned(),
                _ => String::new(),
            },
            is_ad: entry.texts("supportedCapabilities").contains(&ACTIVE_DIRECTORY),
        }
    }

    pub(super) fn knows(&self, control: &str) -> bool {
        self.controls.iter().any(|known| known == control)
    }

    /// What the server is, where the job does not say.
    pub(super) fn flavour(&self) -> Flavour {
        let product = self.product.to_lowercase();
        if self.is_ad {
            Flavour::Ad
        } else if product.contains("389") || product.contains("red hat") || product.contains("fedora") {
            Flavour::Ds389
        } else {
            Flavour::OpenLdap
        }
    }

    /// For people.
    pub(super) fn told(&self, flavour: Flavour) -> String {
        let name = match flavour {
            Flavour::OpenLdap => "OpenLDAP",
            Flavour::Ds389 => "389 Directory Server",
            Flavour::Ad => "Active Directory",
        };
        if self.product.is_empty() || self.product == name {
            name.to_owned()
        } else {
            format!("{name} ({})", self.product)
        }
    }
}

/// What a resource is where the job does not say.
pub(super) fn defaults(flavour: Flavour, resource: &str) -> LdapResource {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let some = |text: &str| Some(text.to_owned());
    let is_ad = flavour == Flavour::Ad;
    let mut made = LdapResource { scope: SearchScope::Subtree, ..LdapResource::default() };
    match (resource, is_ad) {
        ("users", false) => {
            made.classes = list(&["inetOrgPerson", "organizationalPerson", "person"]);
            made.rdn = some("uid");
            made.attributes = list(&["uid", "cn", "sn", "givenName", "displayName", "mail", "title", "employeeNumber"]);
        }
        ("users", true) => {
            made.filter = some("(&(objectCategory=person)(objectClass=user))");
            made.classes = list(&["user", "organizationalPerson", "person", "top"]);
            made.rdn = some("cn");
            made.attributes = list(&[
                "cn",
                "sAMAccountName",
                "userPrincipalName",
                "sn",
                "givenName",
                "displayName",
                "mail",
                "title",
                "department",
                "employeeID",
                "userAccountControl",
            ]);
        }
        ("groups", false) => {
            made.classes = list(&["groupOfNames"]);
            made.rdn = some("cn");
            made.attributes = list(&["cn", "description"]);
            made.member = some("member");
        }
        ("groups", true) => {
            made.classes = list(&["group", "top"]);
            made.rdn = some("cn");
            made.attributes = list(&["cn", "sAMAccountName", "description", "groupType"]);
            made.member = some("member");
        }
        _ => {}
    }
    made.lists = list(&["objectClass", "memberOf", "proxyAddresses", "servicePrincipalName", "sshPublicKey"]);
    made.enabled = match (resource, flavour) {
        ("users", Flavour::OpenLdap) => {
            // draft-behera-ldap-password-policy section 5.3.3: locked for good, until somebody unlocks it.
            Some(EnabledBy { attribute: "pwdAccountLockedTime".to_owned(), on: None, off: some("000001010000Z") })
        }
        ("users", Flavour::Ds389) => {
            Some(EnabledBy { attribute: "nsAccountLock".to_owned(), on: None, off: some("true") })
        }
        _ => None,
    };
    made
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::entry;
    use super::*;

    #[test]
    fn a_server_is_known_by_what_it_says_of_itself() {
        let flavour = |attributes: &[(&str, &[&str])]| Root::read(&entry("", attributes)).flavour();
        assert_eq!(flavour(&[("structuralObjectClass", &["OpenLDAProotDSE"])]), Flavour::OpenLdap);
        assert_eq!(flavour(&[("vendorName", &["389 Project"])]), Flavour::Ds389);
        assert_eq!(flavour(&[("supportedCapabilities", &["1.2.840.113556.1.4.800"])]), Flavour::Ad);
        assert_eq!(flavour(&[]), Flavour::OpenLdap);
    }
}
