//! The account that muster itself uses at a directory, so that no order locks it out.

use super::layout::{DN, ID};
use super::{LdapSystem, dn, filter, lookup, search};
use crate::connector::failure_table::Asked;
use crate::model::capabilities::OwnAccount;
use crate::model::failure::Failure;

/// Attributes that an account logs in by.
const LOGINS: &[&str] = &["uid", "sAMAccountName", "userPrincipalName"];

/// As the job says; else the one that logs in, with every name that it goes by.
pub(super) async fn account(system: &LdapSystem) -> Result<Option<OwnAccount>, Failure> {
    if let Some(account) = &system.config.account {
        let known_by = format!("`account` of system {}", system.name);
        return Ok(Some(OwnAccount { names: vec![account.clone()], known_by }));
    }
    let Some(user) = system.link.user() else { return Ok(None) };
    let mut names = vec![user.to_owned()];
    let (layout, of) = system.resource("users").await?;
    let logins: Vec<String> = LOGINS
        .iter()
        .filter(|name| !layout.schema.is_known() || layout.schema.attribute(name).is_some())
        .map(|name| (*name).to_owned())
        .collect();
    let is_name = dn::parse(user).is_some_and(|parts| !parts.is_empty());
    let found = if is_name {
        lookup::by_name(system, of, user, layout.asked(of, &logins)).await?
    } else {
        let short = user.rsplit('\\').next().unwrap_or(user);
        let any = filter::any(logins.iter().map(|login| filter::equals(login, short.as_bytes())));
        let search =
            search::Search { filter: filter::all(&[&any, &of.filter]), ..of.search(layout.asked(of, &logins)) };
        search::some(&system.link, &search, Asked::Object).await?
    };
    if let Some(entry) = found {
        let columns: Vec<String> = [ID, DN].into_iter().map(str::to_owned).chain(logins).collect();
        names.extend(layout.cells(of, &columns, &entry).into_iter().filter(|name| !name.is_empty()));
    }
    names.dedup();
    Ok(Some(OwnAccount { names, known_by: format!("`auth` of system {}", system.name) }))
}
