//! Credentials stay where they were put: no file and no stream of muster ever holds one, in whatever writing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::company::{Company, people, person};
use support::{Said, TOKEN, World, files_below};

/// Characters that percent encoding and Base64 change, so that each writing of it is another.
const PASSWORD: &str = "p&ss w/rd+%\u{e9}=\"tail\"";
const CLIENT_SECRET: &str = "cl!ent:s3cret~with@all";

/// A secret as it stands, percent-encoded in both customs, quoted as in JSON, and in Base64 at each of its three phases.
fn writings(secret: &str) -> Vec<Vec<u8>> {
    let percent: String = secret
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let form = percent.replace("%20", "+");
    let json = serde_json::to_string(secret).unwrap();
    let mut all = vec![secret.to_owned(), percent.to_lowercase(), form, percent, json.trim_matches('"').to_owned()];
    for phase in 0..3 {
        // The first and the last group depend on what stands beside the secret.
        let coded = base64(&[&b"..."[..phase], secret.as_bytes()].concat());
        all.push(coded[4..coded.len() - 4].to_owned());
    }
    all.into_iter().map(String::into_bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, i| word << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]);
            text.push(if i <= group.len() { digit } else { '=' });
        }
    }
    text
}

fn holds(text: &[u8], secret: &[u8]) -> bool {
    memchr::memmem::find(text, secret).is_some()
}

#[track_caller]
fn kept(name: &str, text: &[u8]) {
    for secret in [TOKEN, PASSWORD, CLIENT_SECRET] {
        for writing in writings(secret) {
            let writing_text = String::from_utf8_lossy(&writing).into_owned();
            assert!(!holds(text, &writing), "{name} holds a credential, written {writing_text}");
        }
    }
}

/// Runs a command as talkative as it gets, and looks at what it said.
fn said(company: &Company, args: &[&str]) -> Said {
    let mut command = company.world.command(args);
    command.arg("--verbose").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command.env("VAULT_PASSWORD", PASSWORD).env("CLIENT_SECRET", CLIENT_SECRET);
    let said = Said::from(command.output().unwrap());
    kept(&format!("what {args:?} said"), format!("{}{}", said.out, said.err).as_bytes());
    said
}

fn files_keep(folder: &Path) {
    for file in files_below(folder) {
        kept(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for secret in [TOKEN, PASSWORD, CLIENT_SECRET] {
        for before in ["", "muster:", "ab"] {
            let header = base64(format!("{before}{secret}").as_bytes());
            assert!(
                writings(secret).iter().any(|w| holds(header.as_bytes(), w)),
                "{secret} after `{before}`: {header}"
            );
        }
    }
}

#[test]
fn no_file_and_no_stream_of_a_whole_life_holds_a_credential() {
    let company = Company::of(6);
    let state = company.world.state();
    said(&company, &["check", "corp"]).ended(0);
    said(&company, &["run", "corp"]).ended(3);
    said(&company, &["approve", "corp", "--all", "--comment", "first"]).ended(0);
    // Errors of every kind, one of which says the credential back, as some servers do.
    let echo = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "400",
        "detail": format!("bad header: Authorization: Bearer {TOKEN}"),
    });
    company.vault.faults(json!({ "rules": [
        { "method": "POST", "prefix": "/Users", "when": { "nth": 2 },
          "action": { "status": { "code": 400, "body": echo.to_string() } } },
        { "method": "POST", "prefix": "/Users", "when": { "nth": 3 },
          "action": { "status": { "code": 500 } } },
    ] }));
    let applied = said(&company, &["apply", "corp"]);
    assert_eq!(applied.status, 5, "{applied:#?}");
    for args in [
        &["report", "corp"][..],
        &["report", "corp", "--format", "json"],
        &["review", "corp"],
        &["status", "corp"],
        &["list", "corp"],
        &["log"],
        &["log", "--format", "json"],
    ] {
        said(&company, args);
    }
    // A target that is gone, and credentials that are refused, in each way to show one.
    company.hr(&people(6).into_iter().chain([person(9)]).collect::<Vec<_>>());
    for auth in [
        r#"{ bearer = "env:CLIENT_SECRET" }"#,
        r#"{ user = "muster", password = "env:VAULT_PASSWORD" }"#,
        r#"{ client_id = "muster", client_secret = "env:CLIENT_SECRET", token_url = "http://127.0.0.1:9/token" }"#,
    ] {
        let text =
            company.job_text("[apply]\nretry_budget = \"1s\"\n").replace(r#"{ bearer = "env:VAULT_TOKEN" }"#, auth);
        company.world.write("jobs/other.toml", text.replace("name = \"corp\"", "name = \"other\""));
        for command in ["check", "run", "export"] {
            let said = said(&company, &[command, "other"]);
            assert_eq!(said.status, 1, "{auth} {command}: {said:#?}");
        }
    }
    files_keep(&state);
}

/// Files and folders below a folder that others than their owner may use in one of these ways.
fn open_to(rights: u32, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let details = fs::metadata(&path).unwrap();
        if details.permissions().mode() & rights != 0 {
            found.push(format!("{} {:o}", path.display(), details.permissions().mode()));
        }
        if details.is_dir() {
            found.extend(open_to(rights, &path));
        }
    }
    found
}

#[test]
fn what_muster_makes_is_for_its_owner_alone_whatever_the_umask() {
    let world = World::new();
    world.write("hr/users.csv", "id,login\nE1,one@corp.example\nE2,two@corp.example\n");
    world.write("desk/users.csv", "id,login\n");
    let sync = |to: &str, key: &str, name: &str| {
        format!(
            "[[sync]]\nfrom = \"hr.users\"\nto = \"{to}.users\"\nmatch = [{{ source = \"id\", target = \"{key}\" }}]\n\
             [sync.attributes]\n{key} = \"id\"\n{name} = \"login\"\n"
        )
    };
    let job = format!(
        "name = \"open\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.vault]\nkind = \"sandbox\"\n\
         [systems.desk]\nkind = \"csv\"\npath = \"../desk\"\n{}{}",
        sync("vault", "externalId", "userName"),
        sync("desk", "id", "login"),
    );
    world.write("jobs/open.toml", job);
    let muster = |args: &[&str], status: i32| {
        let plain = world.command(args);
        let mut open = Command::new("/bin/sh");
        open.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
        open.current_dir(world.path()).env_clear();
        open.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Said::from(open.output().unwrap()).ended(status)
    };
    muster(&["run", "open"], 3);
    muster(&["review", "open", "--output", "copy.csv"], 0);
    muster(&["approve", "open", "--all", "--comment", "all"], 0);
    muster(&["apply", "open"], 0);
    // A run that takes the snapshots of a held one over, and makes folders for them.
    world.write("hr/users.csv", "id,login\nE1,\n");
    muster(&["run", "open"], 4);
    assert_eq!(open_to(0o077, &world.state()), [""; 0]);
    assert_eq!(fs::metadata(world.path().join("copy.csv")).unwrap().permissions().mode() & 0o777, 0o600);
}
