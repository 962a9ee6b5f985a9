//! Filling an empty database: invented people in invented groups, the same every time.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::Seed;
use super::database::{Database, Kind, stamp};
use super::members::{self, Wanted};
use crate::scim::error::ScimError;
use crate::scim::urn;

const GIVEN: [&str; 12] =
    ["Ada", "Björn", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Inés", "Jonas", "Kwame", "Łucja"];
const FAMILY: [&str; 10] =
    ["Andersson", "Baker", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ito", "O'Neill"];
const DEPARTMENTS: [&str; 5] = ["Engineering", "Finance", "Operations", "Sales", "Support"];

/// Fills the database where nothing is in it.
pub(super) fn fill(database: &Database, seed: Seed, now: DateTime<Utc>) -> Result<(), ScimError> {
    if seed == Seed::default() {
        return Ok(());
    }
    let now = stamp(now);
    database.write(|data| {
        let there: bool = data.0.query_row("SELECT EXISTS (SELECT 1 FROM resource)", [], |row| row.get(0))?;
        if there {
            return Ok(());
        }
        for number in 0..seed.users {
            let given = GIVEN[number as usize % GIVEN.len()];
            let family = FAMILY[number as usize / GIVEN.len() % FAMILY.len()];
            let user_name = format!("user{:06}", number + 1);
            let body = json!({
                "schemas": [urn::USER, urn::ENTERPRISE_USER],
                "externalId": format!("E{:06}", number + 1),
                "userName": user_name,
                "name": {"familyName": family, "givenName": given},
                "displayName": format!("{given} {family}"),
                "active": number % 20 != 19,
                "emails": [{"value": format!("{user_name}@example.com"), "type": "work", "primary": true}],
                (urn::ENTERPRISE_USER): {
                    "employeeNumber": format!("{:06}", number + 1),
                    "department": DEPARTMENTS[number as usize % DEPARTMENTS.len()]
                }
            });
            data.insert(Kind::User, user_id(number), body, &now)?;
        }
        for number in 0..seed.groups {
            let body = json!({"schemas": [urn::GROUP], "displayName": format!("group{:04}", number + 1)});
            let group =
                data.insert(Kind::Group, format!("{:08x}-0000-4000-9000-000000000000", number + 1), body, &now)?;
            let wanted = (number..seed.users)
                .step_by(seed.groups as usize)
                .map(|user| Wanted::read(&json!({"value": user_id(user)})))
                .collect::<Result<Vec<_>, _>>()?;
            members::replace(data, group.seq, &wanted)?;
        }
        Ok(())
    })
}

fn user_id(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-000000000000", number + 1)
}
