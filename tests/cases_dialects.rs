//! What operators run into with a product that has its own manner: its messages, one by one, from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};
use support::orders::{approve, planned};

/// A company whose vault is a product, and whose job says so.
fn company(dialect: &str, staff: usize, further: &str) -> Company {
    let world = World::new();
    let vault = world.server_with(&["--dialect", dialect]);
    let company = Company { world, vault };
    company.hr(&people(staff));
    let named = format!("kind = \"scim\"\ndialect = \"{dialect}\"\n");
    company.world.write("jobs/corp.toml", company.job_text(further).replace("kind = \"scim\"\n", &named));
    company
}

/// From now on the vault answers such requests with one of its own messages.
fn says(company: &Company, method: &str, place: &str, message: &str, about: &str) {
    company.vault.faults(json!({"rules": [{"method": method, "contains": place,
        "action": {"says": {"message": message, "about": about}}}]}));
}

fn errors(company: &Company, run: &str) -> Vec<Value> {
    let file = company.world.run_file("corp", run, "errors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

const FEW: &str = "[apply]\nconcurrency = 1\nretry_budget = \"1s\"\nstop_after = { same_cause = 1 }\n";

#[test]
fn case_d10_each_message_has_its_own_class_and_remedy() {
    let company = company("delinea", 3, FEW);
    planned(&company);
    approve(&company).ended(0);
    let run = company.world.newest_run("corp");
    let incompatible = "A required value was missing, or the value specified was not compatible with the operation or attribute type, or resource schema";
    for (message, about, status, words, class, remedy) in [
        ("internal", "", 500, "Internal Server Error.", "server", "server's side"),
        ("required", "emails", 400, "Attribute 'emails' is required.", "data", "map the attribute"),
        ("invalid", "emails", 400, "The 'emails' attribute was invalid.", "data", "correct the value at the source"),
        ("incompatible", "", 400, incompatible, "data", "compare the order's attributes with the target's schema"),
        ("unique", "userName", 409, "Attribute 'userName' MUST be unique.", "conflict", "find the other object"),
        ("right", "view", 400, "could not find mapping for right value 'view'", "configuration", "mapping"),
        ("owner", "Safe", 403, "Owner permission on 'Safe' is required.", "permission", "Owner on that folder"),
    ] {
        says(&company, "POST", "/Users", message, about);
        company.world.muster(&["apply", "corp"]).ended(5);
        let failed = errors(&company, &run);
        assert_eq!(failed.len(), 1, "{message}: {failed:#?}");
        let told = (&failed[0]["class"], &failed[0]["status"], &failed[0]["message"]);
        assert_eq!(told, (&json!(class), &json!(status), &json!(words)), "{message}");
        assert!(failed[0]["remedy"].as_str().unwrap().contains(remedy), "{message}: {}", failed[0]["remedy"]);
        company.world.muster(&["retry", "corp"]).ended(0);
    }
    // What is no order's own fault stops the apply, and nothing is errored.
    says(&company, "POST", "/Users", "unavailable", "");
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["Secret Server service unavailable.", "server", "web services are enabled", "stay approved"]);
    says(&company, "POST", "/Users", "switched-off", "");
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["SCIM_Threshold", "configuration", "switch the SCIM connector on again", "stay approved"]);
    assert!(errors(&company, &run).is_empty());
    company.vault.faults(json!({"rules": []}));
    company.world.muster(&["apply", "corp"]).ended(0);

    // Those about what is there already.
    let federated = "You are not authorized to perform this operation. Please contact your IT helpdesk. No additional diagnostic information is available.";
    let mut staff = people(3);
    for (n, (message, about, status, words, class, remedy)) in [
        (
            "immutable",
            "userName",
            400,
            "Attribute 'userName' is immutable and cannot be changed.",
            "unsupported",
            "leave the attribute out",
        ),
        ("not-authorized", "", 400, federated, "unsupported", "it is no credential problem"),
        ("not-found", "42", 404, "Resource '42' not found.", "stale", "correlates it anew"),
    ]
    .into_iter()
    .enumerate()
    {
        staff[n].family = format!("Renamed{n}");
        company.hr(&staff);
        planned(&company);
        approve(&company).ended(0);
        let run = company.world.newest_run("corp");
        says(&company, "PATCH", "/Users", message, about);
        company.world.muster(&["apply", "corp"]);
        let failed = errors(&company, &run);
        let row = failed.iter().find(|row| row["message"] == words).unwrap_or_else(|| panic!("{message}: {failed:#?}"));
        assert_eq!((&row["class"], &row["status"]), (&json!(class), &json!(status)), "{message}");
        assert!(row["remedy"].as_str().unwrap().contains(remedy), "{message}: {}", row["remedy"]);
        company.vault.faults(json!({"rules": []}));
        company.world.muster(&["retry", "corp"]);
        company.world.muster(&["apply", "corp"]);
    }
}

#[test]
fn case_d10_the_messages_about_filters_cost_nothing_but_a_line_in_the_log() {
    for message in ["filter-malformed", "filter", "filter-comparison"] {
        let company = company("delinea", 2, "");
        company.vault.add_user("somebody@corp.example");
        planned(&company);
        approve(&company).ended(0);
        let run = company.world.newest_run("corp");
        says(&company, "GET", "filter=", message, "userName eq \"x\"");
        company.world.muster(&["apply", "corp"]).ended(0);
        assert_eq!(company.vault.all("Users").len(), 3);
        let log = std::fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
        assert!(log.contains("filter on users") && log.contains("everything is read and filtered here"), "{log}");
    }
}

#[test]
fn the_messages_of_the_other_products_have_their_remedies_too() {
    for (dialect, message, class, exit, remedy) in [
        ("cato", "required", "data", 5, "map `emails`"),
        ("cato", "seats", "capacity", 5, "Administration > License > Users"),
        ("incydr", "role", "configuration", 5, "Role Mapping"),
        ("incydr", "organization", "configuration", 5, "Environment > Organizations"),
        ("aws", "too-many-members", "configuration", 5, "member_batch = 100"),
        ("secret-server", "disabled-user", "conflict", 5, "enable the user first"),
    ] {
        let company = company(dialect, 1, FEW);
        let job = company.world.read("jobs/corp.toml");
        let names = "\"name.familyName\" = \"family\"\n\"name.givenName\" = \"family\"\ndisplayName = \"family\"";
        company.world.write("jobs/corp.toml", job.replace("\"name.familyName\" = \"family\"", names));
        planned(&company);
        approve(&company).ended(0);
        says(&company, "POST", "/Users", message, "E0001");
        company.world.muster(&["apply", "corp"]).ended(exit);
        let failed = errors(&company, &company.world.newest_run("corp"));
        assert_eq!(failed[0]["class"], class, "{dialect} {message}: {failed:#?}");
        assert!(failed[0]["remedy"].as_str().unwrap().contains(remedy), "{message}: {}", failed[0]["remedy"]);
    }
}

#[test]
fn case_k1_a_service_that_refuses_to_enable_provisioning_is_told_in_its_own_words() {
    let company = company("cato", 1, "");
    says(&company, "GET", "/", "refused", "");
    let words = "Can't enable SCIM provisioning. Please contact Support and refer to Account ID Configuration - Email";
    let said = company.world.muster(&["check", "corp"]).ended(1);
    said.says(&[words, "configuration", "open a case with the product's support"]);
}

#[test]
fn case_c2_an_inactive_service_account_is_told_apart_from_a_wrong_secret() {
    let company = company("delinea", 1, "");
    let body = json!({"status": "401", "detail": "The service account is inactive."}).to_string();
    company.vault.faults(json!({"rules": [{"action": {"status": {"code": 401, "body": body}}}]}));
    let said = company.world.muster(&["check", "corp"]).ended(1);
    let said = said.says(&["credential", "the service account is inactive, its secret may well be right", "activate"]);
    said.says(&["env:VAULT_TOKEN"]).never_says(&["renew the credential", support::TOKEN]);
}

/// Safes of HR's, and who may do what on them.
fn vault_of_safes(dialect: &str, me: &[&str]) -> Company {
    let world = World::new();
    let mut arguments = vec!["--dialect", dialect];
    arguments.extend(me);
    let vault = world.server_with(&arguments);
    let company = Company { world, vault };
    company.hr(&people(2));
    company.world.write("hr/safes.csv", "id,name,text\nS1,Payroll,old\n");
    let named = format!("kind = \"scim\"\ndialect = \"{dialect}\"\n");
    let safes = "[[sync]]\nfrom = \"hr.safes\"\nto = \"vault.containers\"\nmatch = [{ source = \"name\", target = \"name\" }]\nattributes = { name = \"name\", description = \"text\" }\n";
    company.world.write("jobs/corp.toml", company.job_text(safes).replace("kind = \"scim\"\n", &named));
    company
}

#[test]
fn case_d6_a_container_that_is_not_owned_is_named_with_the_permission() {
    let company = vault_of_safes("delinea", &["--me", "svc"]);
    let safe = json!({"schemas": ["urn:ietf:params:scim:schemas:pam:1.0:Container"], "name": "Payroll",
        "owner": {"display": "somebody"}});
    assert_eq!(company.vault.send("POST", "/Containers", Some(safe)).0, 201);
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(5);
    let failed = errors(&company, &company.world.newest_run("corp"));
    let row = failed.iter().find(|row| row["resource"] == "vault.containers").unwrap();
    assert_eq!((&row["class"], &row["status"]), (&json!("permission"), &json!(403)), "{row:#}");
    assert_eq!(row["message"], "Owner permission on 'Payroll' is required.");
    assert!(row["remedy"].as_str().unwrap().contains("Owner"), "{row:#}");
}

#[test]
fn containers_are_kept_in_step_like_anything_else() {
    let company = vault_of_safes("delinea", &[]);
    company.settle();
    assert_eq!(company.vault.all("Containers")[0]["description"], "old");
    company.world.write("hr/safes.csv", "id,name,text\nS1,Payroll,new\nS2,Network,n\n");
    planned(&company);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(company.vault.all("Containers").len(), 2);
}
