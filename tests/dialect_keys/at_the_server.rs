//! What the built-in server answers when it plays a product, asked by hand.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::support::{Server, TOKEN};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PAM: &str = "urn:ietf:params:scim:schemas:pam:1.0:";

/// Arguments of every server here: more users than any product shows on a page or takes in a group at once, one free
/// seat more, and an account that owns nothing.
pub(crate) const ARGUMENTS: [&str; 6] = ["--seed-users", "120", "--seats", "users=125", "--me", "svc"];

/// A rehearsal: its name, and what is asked in it.
pub(crate) type Rehearsal = (&'static str, fn(&Talk));

/// The rehearsal that shows a key of the server's file.
pub(crate) fn rehearsal(top: &str) -> Option<Rehearsal> {
    Some(match top {
        "max_results" | "filters" | "comparisons" => ("lists", lists),
        "shows_members" | "members_at_once" | "replaces_members" | "removes_by_values_only" | "nests_groups" => {
            ("groups", groups)
        }
        "required" | "immutable" | "changeable" | "federated" | "gives_groups" | "falls_back_to_email" => {
            ("users", users)
        }
        "disables_deleted_users" | "privileged_access" | "uncreatable" | "unchangeable" | "needs_owner" | "rights" => {
            ("safes", safes)
        }
        "errors_in_a_row" => ("refusals", refusals),
        "messages" => ("messages", messages),
        _ => return None,
    })
}

/// Questions to a server, and what it answered.
pub(crate) struct Talk<'a> {
    server: &'a Server,
    /// Names of the messages that the product has words for.
    pub(crate) sayings: Vec<String>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    heard: RefCell<Vec<String>>,
}

impl<'a> Talk<'a> {
    pub(crate) fn with(server: &'a Server, sayings: Vec<String>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, sayings, client, runtime, heard: RefCell::default() }
    }

    /// What was answered, with the ids that the server made called by one name.
    pub(crate) fn heard(self) -> Vec<String> {
        self.heard.into_inner().iter().map(|line| super::nameless(line)).collect()
    }

    fn send(&self, method: &str, address: &str, body: Option<&Value>) -> (u16, Value) {
        self.runtime.block_on(async {
            let mut request = self.client.request(method.parse().unwrap(), address).bearer_auth(TOKEN);
            if let Some(body) = body {
                request = request.header("content-type", "application/scim+json").body(body.to_string());
            }
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
        })
    }

    /// Asks, and remembers how it was answered. A refusal is followed by something that is answered: some switch
    /// themselves off after so many in a row.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method, &format!("{}{path}", self.server.url), body.as_ref());
        let told: Vec<String> = ["detail", "scimType", "userName", "active", "title", "totalResults", "itemsPerPage"]
            .iter()
            .filter_map(|name| answer.get(name).map(|value| format!("{name}={value}")))
            .chain(answer["members"].as_array().map(|members| format!("{} members", members.len())))
            .collect();
        self.heard.borrow_mut().push(format!("{method} {path}: {status} {}", told.join(" ")));
        if status >= 400 {
            self.send("GET", &format!("{}/ServiceProviderConfig", self.server.url), None);
        }
        answer
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None)
    }

    /// Creates, and gives the id; that of nobody where it was refused.
    fn make(&self, endpoint: &str, body: Value) -> String {
        self.ask("POST", &format!("/{endpoint}"), Some(body))["id"].as_str().unwrap_or("nobody").to_owned()
    }

    fn change(&self, path: &str, operation: Value) {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        self.ask("PATCH", path, Some(body));
    }
}

fn whole(login: &str) -> Value {
    json!({"schemas": [USER], "userName": login, "emails": [{"value": format!("{login}@corp.example")}],
        "displayName": login, "name": {"givenName": "G", "familyName": "F"}, "phoneNumbers": [{"value": "1"}],
        "active": true})
}

fn lists(talk: &Talk) {
    talk.get("/Users?count=200");
    for (endpoint, attributes) in [
        ("Users", &["userName", "externalId", "id", "emails", "emails.value", "displayName", "title"][..]),
        ("Groups", &["displayName", "externalId", "id", "members", "members.value"]),
        ("Containers", &["name", "displayName"]),
        ("PrivilegedData", &["name", "description"]),
        ("ContainerPermissions", &["container.value", "user.value", "group.value"]),
        ("PrivilegedDataPermissions", &["privilegedData.value", "user.value", "group.value"]),
    ] {
        for attribute in attributes {
            talk.get(&format!("/{endpoint}?filter={attribute}%20eq%20%22x%22"));
        }
    }
    for condition in ["userName%20co%20%22x%22", "userName%20pr", "userName%20eq%20%22x%22%20or%20id%20eq%20%22y%22"] {
        talk.get(&format!("/Users?filter={condition}"));
    }
}

fn users(talk: &Talk) {
    for lacks in ["userName", "emails", "displayName", "name", "familyName", "givenName"] {
        let mut body = whole(&format!("no-{lacks}"));
        body.as_object_mut().unwrap().remove(lacks);
        body["name"].as_object_mut().map(|name| name.remove(lacks));
        talk.make("Users", body);
    }
    let jane = format!("/Users/{}", talk.make("Users", whole("jane")));
    let taken = json!({"userName": "jane"});
    let mut other = whole("joan");
    other["userName"] = taken["userName"].clone();
    talk.make("Users", other);
    let changes = |talk: &Talk| {
        for (path, value) in [
            ("userName", json!("janet")),
            ("displayName", json!("Janet")),
            ("name.familyName", json!("Smith")),
            ("emails", json!([{"value": "other@corp.example"}])),
            ("phoneNumbers", json!([{"value": "2"}])),
            ("externalId", json!("E1")),
            ("title", json!("Boss")),
            ("active", json!(false)),
            ("roles", json!([{"value": "Admin"}])),
        ] {
            talk.change(&jane, json!({"op": "replace", "path": path, "value": value}));
            let held = talk.get(&jane);
            talk.heard.borrow_mut().push(format!("{path} is {}", held[path.split('.').next().unwrap()]));
        }
        talk.change(&jane, json!({"op": "add", "path": format!("{ENTERPRISE}:organization"), "value": "Default"}));
    };
    changes(talk);
    // One who belongs to another directory.
    talk.change(&jane, json!({"op": "add", "path": format!("{PAM}LinkedObject:nativeIdentifier"), "value": "CN=jane"}));
    for (path, value) in [
        ("displayName", json!("Joan")),
        ("name.familyName", json!("Jones")),
        ("emails", json!([{"value": "third@corp.example"}])),
    ] {
        talk.change(&jane, json!({"op": "replace", "path": path, "value": value}));
    }
}

fn groups(talk: &Talk) {
    let mut ids = Vec::new();
    while ids.len() < 101 {
        let page = talk.get(&format!("/Users?startIndex={}&count=50", ids.len() + 1));
        let rows = page["Resources"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| json!({"value": row["id"]})));
    }
    let team = format!("/Groups/{}", talk.make("Groups", json!({"schemas": [GROUP], "displayName": "T"})));
    talk.change(&team, json!({"op": "add", "path": "members", "value": ids[..101]}));
    talk.change(&team, json!({"op": "add", "path": "members", "value": ids[..3]}));
    talk.get(&team);
    let first = ids[0]["value"].as_str().unwrap();
    talk.change(&team, json!({"op": "remove", "path": format!("members[value eq \"{first}\"]")}));
    talk.change(&team, json!({"op": "remove", "path": "members", "value": ids[1..2]}));
    talk.change(&team, json!({"op": "replace", "path": "members", "value": ids[..1]}));
    talk.change(&team, json!({"op": "remove", "path": "members"}));
    let inner = talk.make("Groups", json!({"schemas": [GROUP], "displayName": "Inner"}));
    talk.change(&team, json!({"op": "add", "path": "members", "value": [{"value": inner}]}));
}

fn safes(talk: &Talk) {
    talk.get("/Containers");
    let named = |kind: &str, name: &str| json!({"schemas": [format!("{PAM}{kind}")], "name": name, "type": "x"});
    let jane = talk.make("Users", whole("jane"));
    let safe = talk.make("Containers", named("Container", "Safe"));
    let mut owned = named("Container", "Owned");
    owned["owner"] = json!({"display": "somebody"});
    let owned = talk.make("Containers", owned);
    talk.get(&format!("/Containers/{owned}"));
    let data = talk.make("PrivilegedData", named("PrivilegedData", "root"));
    for right in ["View", "Edit", "List", "Owner", "Add Secret", "view"] {
        let grant = json!({"schemas": [format!("{PAM}ContainerPermission")], "container": {"value": safe},
            "user": {"value": jane}, "rights": [right]});
        let id = talk.make("ContainerPermissions", grant);
        talk.change(
            &format!("/ContainerPermissions/{id}"),
            json!({"op": "replace", "path": "rights", "value": ["List", "View"]}),
        );
        talk.ask("DELETE", &format!("/ContainerPermissions/{id}"), None);
    }
    let grant = json!({"schemas": [format!("{PAM}PrivilegedDataPermission")], "privilegedData": {"value": data},
        "user": {"value": jane}, "rights": ["View"]});
    let id = talk.make("PrivilegedDataPermissions", grant);
    talk.change(
        &format!("/PrivilegedDataPermissions/{id}"),
        json!({"op": "replace", "path": "rights", "value": ["List"]}),
    );
    talk.ask("DELETE", &format!("/Users/{jane}"), None);
    talk.get(&format!("/Users/{jane}"));
    let grant = json!({"schemas": [format!("{PAM}ContainerPermission")], "container": {"value": safe},
        "user": {"value": jane}, "rights": ["View"]});
    talk.make("ContainerPermissions", grant);
}

fn refusals(talk: &Talk) {
    for _ in 0..22 {
        let (status, said) = talk.send("GET", &format!("{}/Users/nobody", talk.server.url), None);
        talk.heard.borrow_mut().push(format!("{status} {said}"));
    }
}

fn messages(talk: &Talk) {
    for message in &talk.sayings {
        talk.server.faults(json!({"rules": [{"when": {"nth": 1},
            "action": {"says": {"message": message, "about": "it"}}}]}));
        talk.get("/Users?count=1");
    }
}
