//! What columns and attributes are for, as far as their names tell: the names that identity systems and exports of HR
//! give to the same things.

/// What a column or attribute of a person is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// What somebody logs in by.
    Login,
    Email,
    GivenName,
    FamilyName,
    /// Given and family name in one.
    FullName,
    /// Whether the account is in use.
    InUse,
    Department,
    Title,
    /// The number by which the employer knows somebody.
    Number,
}

impl Meaning {
    pub(super) const ALL: [Self; 9] = [
        Self::Login,
        Self::Email,
        Self::GivenName,
        Self::FamilyName,
        Self::FullName,
        Self::InUse,
        Self::Department,
        Self::Title,
        Self::Number,
    ];

    /// Names of it, as `plain` leaves them, the likeliest first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Login => &[
                "samaccountname",
                "username",
                "login",
                "loginname",
                "userlogin",
                "uid",
                "account",
                "accountname",
                "userprincipalname",
                "user",
                "benutzername",
                "kennung",
            ],
            Self::Email => &["email", "mail", "emails", "emailaddress", "emailwork", "workemail", "mailaddress"],
            Self::GivenName => &["givenname", "firstname", "forename", "first", "namegivenname", "vorname"],
            Self::FamilyName => {
                &["familyname", "lastname", "surname", "sn", "last", "namefamilyname", "family", "nachname"]
            }
            Self::FullName => &["displayname", "fullname", "cn", "commonname", "nameformatted"],
            Self::InUse => &["enabled", "active", "employed", "isenabled", "isactive", "inuse", "aktiv", "status"],
            Self::Department => &["department", "departmentname", "dept", "departmentnumber", "abteilung"],
            Self::Title => &["title", "jobtitle", "position"],
            Self::Number => &[
                "employeenumber",
                "number",
                "employeeid",
                "employeeno",
                "empno",
                "empid",
                "personnelnumber",
                "personid",
                "staffid",
                "personalnummer",
            ],
        }
    }

    /// What a name means, and how far down the list of its names it stands; `None` where it says nothing.
    pub(super) fn of(name: &str) -> Option<(Self, usize)> {
        let plain = plain(name);
        Self::ALL.into_iter().find_map(|meaning| {
            let place = meaning.names().iter().position(|known| *known == plain)?;
            Some((meaning, place))
        })
    }

    /// The attributes that a target of a kind may keep it in, the likeliest first. Of kind `csv` any column will do
    /// that means the same; which attribute says whether an account is in use, a target tells itself.
    pub(super) fn attributes(self, kind: &str) -> &'static [&'static str] {
        match (kind, self) {
            ("scim" | "sandbox", Self::Login) => &["userName"],
            ("scim" | "sandbox", Self::Email) => &["emails"],
            ("scim" | "sandbox", Self::GivenName) => &["name.givenName"],
            ("scim" | "sandbox", Self::FamilyName) => &["name.familyName"],
            ("scim" | "sandbox", Self::FullName) => &["displayName"],
            ("scim" | "sandbox", Self::Department) => {
                &["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"]
            }
            ("scim" | "sandbox", Self::Title) => &["title"],
            ("scim" | "sandbox", Self::Number) => {
                &["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"]
            }
            ("ldap", Self::Login) => &["sAMAccountName", "uid"],
            ("ldap", Self::Email) => &["mail"],
            ("ldap", Self::GivenName) => &["givenName"],
            ("ldap", Self::FamilyName) => &["sn"],
            ("ldap", Self::FullName) => &["cn"],
            ("ldap", Self::Department) => &["department", "departmentNumber"],
            ("ldap", Self::Title) => &["title"],
            ("ldap", Self::Number) => &["employeeNumber", "employeeID"],
            ("keycloak", Self::Login) => &["username"],
            ("keycloak", Self::Email) => &["email"],
            ("keycloak", Self::GivenName) => &["firstName"],
            ("keycloak", Self::FamilyName) => &["lastName"],
            ("keycloak", Self::Department) => &["attributes.department"],
            ("keycloak", Self::Title) => &["attributes.title"],
            ("keycloak", Self::Number) => {
                &["attributes.employeeNumber", "attributes.employeeId", "attributes.employeeID"]
            }
            ("openbao", Self::Login) => &["name"],
            ("openbao", Self::Email) => &["metadata.mail"],
            ("openbao", Self::Department) => &["metadata.department"],
            _ => &[],
        }
    }
}

/// What tells the person or group at the source by an attribute of the target, for ever: the likeliest first.
pub(super) fn links(kind: &str) -> &'static [&'static str] {
    match kind {
        "scim" | "sandbox" => &["externalId"],
        "ldap" => &["employeeNumber", "employeeID"],
        "keycloak" => {
            &["attributes.externalId", "attributes.employeeNumber", "attributes.employeeId", "attributes.employeeID"]
        }
        "openbao" => &["metadata.employee"],
        _ => &[],
    }
}

/// Names of resources that hold people, or groups of them.
const PEOPLE: &[&str] =
    &["users", "people", "persons", "employees", "staff", "accounts", "user", "person", "mitarbeiter"];
const GROUPS: &[&str] = &["groups", "teams", "group", "roles", "gruppen"];

/// How likely a resource holds people, by its name; the less the likelier.
pub(super) fn of_people(resource: &str) -> Option<usize> {
    PEOPLE.iter().position(|known| *known == plain(resource))
}

/// The same of groups.
pub(super) fn of_groups(resource: &str) -> Option<usize> {
    GROUPS.iter().position(|known| *known == plain(resource))
}

/// A name without what is spelled one way here and another way there: letter case, blanks, `_` and `-`, the URN of a
/// schema, and what attributes of their own stand under.
pub(super) fn plain(name: &str) -> String {
    let own = name.rsplit(':').next().unwrap_or(name);
    let own = own.strip_prefix("attributes.").or_else(|| own.strip_prefix("metadata.")).unwrap_or(own);
    own.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_known_by_each_of_its_names() {
        for (name, meaning) in [
            ("E-Mail", Meaning::Email),
            ("Employee Number", Meaning::Number),
            ("name.givenName", Meaning::GivenName),
            ("first_name", Meaning::GivenName),
            ("sAMAccountName", Meaning::Login),
            ("attributes.department", Meaning::Department),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", Meaning::Department),
        ] {
            assert_eq!(Meaning::of(name).map(|(meaning, _)| meaning), Some(meaning), "{name}");
        }
        assert_eq!(Meaning::of("costCenter"), None);
        // No name stands for two things: which of them it is would hang on the order of a list.
        let mut all: Vec<&str> = Meaning::ALL.iter().flat_map(|meaning| meaning.names()).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|name| plain(name) == *name));
    }
}
