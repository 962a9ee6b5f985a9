//! One side of the job: asked for, tried, and settled.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::answers::{Answers, Field, Role, kind as parse_kind};
use super::ask::{Person, Question};
use super::place::Places;
use super::trial::{Trial, trial};
use crate::cli::check::text;
use crate::cli::context::Context;
use crate::connector::config::SystemConfig;
use crate::connector::secret::SecretRef;
use crate::job::proposal::{Side, SystemText, usual};
use crate::report::safe_text;

/// A side that is settled.
pub(super) struct Settled {
    pub(super) side: Side,
    /// Its table in the job file.
    pub(super) text: SystemText,
    /// Whether what it offers was seen, and not assumed.
    pub(super) is_tried: bool,
    /// What has to be typed before the next command.
    pub(super) to_type: Option<String>,
}

/// What settling a side takes.
pub(super) struct Session<'s> {
    pub(super) context: &'s Context,
    pub(super) places: &'s Places,
    /// Who can be asked, where anybody can.
    pub(super) person: Option<&'s mut Person>,
    /// Whether what can be assumed is asked for.
    pub(super) may_ask: bool,
    pub(super) untried: bool,
}

/// What to do about a side that failed.
enum Next {
    Change,
    Again,
    Go,
}

impl Session<'_> {
    /// Asks for what is not given, and tries it. `taken` is the name of the other system.
    pub(super) async fn settle(&mut self, role: Role, given: Option<Answers>, taken: Option<&str>) -> Result<Settled> {
        let writes = role == Role::To;
        let mut answers = given.unwrap_or_default();
        let mut is_asked_again = false;
        loop {
            answers = self.answered(role, answers, taken, is_asked_again).await?;
            let name = name(role, &answers.kind, taken);
            let mut settled = self.untried(&name, &answers, writes);
            if self.untried {
                return Ok(settled);
            }
            if let Some(told) = self.unset(&answers) {
                say!(
                    self.context,
                    "{}, so {name} is not tried: the file names what such systems usually have.",
                    safe_text::line(&told)
                );
                settled.to_type = export(&answers);
                match self.next("Change the answers, try again, or go on without trying?", "go").await? {
                    Some(Next::Change) => is_asked_again = true,
                    Some(Next::Again) => is_asked_again = false,
                    Some(Next::Go) | None => return Ok(settled),
                }
                continue;
            }
            let config = match answers.config(self.places, writes) {
                Ok(config) => config,
                Err(why) => bail!("{name}: {why}"),
            };
            let tried = self.tried(&name, config, writes).await?;
            say!(self.context, "{}", text(&tried.lines, self.context.screen()).trim_end());
            if !tried.has_failed() {
                settled.is_tried = true;
                settled.text.about.clear();
                settled.side.offered = tried.offered.unwrap_or_default();
                settled.side.looks = tried.looks;
                return Ok(settled);
            }
            match self.next("Change the answers, try again, or go on all the same?", "change").await? {
                Some(Next::Change) => is_asked_again = true,
                Some(Next::Again) => is_asked_again = false,
                Some(Next::Go) => {
                    // What was seen of it is more than what such systems usually have.
                    if let Some(offered) = tried.offered.filter(|offered| !offered.resources.is_empty()) {
                        (settled.side.offered, settled.side.looks) = (offered, tried.looks);
                        settled.text.about = vec!["It did not pass `muster check` when this was written.".to_owned()];
                    }
                    return Ok(settled);
                }
                None => {
                    if self.context.quiet {
                        eprintln!("{}", text(&tried.lines, self.context.screen()).trim_end());
                    }
                    bail!(
                        "{name} cannot be used as it is; nothing was written. Mend what FAILED above, or let --untried write the file without trying"
                    );
                }
            }
        }
    }

    /// The side as it is without being tried.
    fn untried(&self, name: &str, answers: &Answers, writes: bool) -> Settled {
        let mut text = answers.table(name, writes, |typed| self.places.written(typed));
        let usual_names =
            "It was not tried when this was written: the names below are those that such systems usually have.";
        text.about.push(usual_names.to_owned());
        let side = Side {
            system: name.to_owned(),
            kind: answers.kind.clone(),
            offered: usual(&answers.kind),
            looks: BTreeMap::new(),
        };
        Settled { side, text, is_tried: false, to_type: None }
    }

    async fn tried(&self, name: &str, mut config: SystemConfig, writes: bool) -> Result<Trial> {
        // The sandbox is tried on a database of its own, which goes with the folder.
        let scratch = tempfile::tempdir()?;
        if let SystemConfig::Sandbox(sandbox) = &mut config {
            sandbox.database = Some(scratch.path().join("sandbox.db"));
        }
        Ok(trial(self.context, name, &config, writes).await)
    }

    /// Every field of a side, given, asked or assumed.
    async fn answered(
        &mut self,
        role: Role,
        mut answers: Answers,
        taken: Option<&str>,
        is_asked_again: bool,
    ) -> Result<Answers> {
        let old = if is_asked_again { std::mem::take(&mut answers) } else { Answers::default() };
        if answers.kind.is_empty() {
            let (text, default) = match role {
                Role::From => ("Where do people come from?", "csv"),
                Role::To => ("Where are they to be provisioned?", "sandbox"),
            };
            let kinds = SystemConfig::KINDS.join(", ");
            let default = if old.kind.is_empty() { default.to_owned() } else { old.kind.clone() };
            let question = Question { text: format!("{text} ({kinds})"), default: Some(default), help: KINDS };
            answers.kind = self.put(&question, parse_kind).await?;
        }
        let name = name(role, &answers.kind, taken);
        for field in Field::of(&answers.kind).iter().copied() {
            if answers.fields.contains_key(&field) {
                continue;
            }
            let default = old.fields.get(&field).filter(|_| old.kind == answers.kind).cloned();
            let default = default.or_else(|| answers.assumed(field, &name));
            let is_assumed = !answers.asks(field) || (!self.may_ask && default.is_some()) || self.person.is_none();
            let value = if is_assumed {
                default.filter(|_| answers.asks(field) || field != Field::Auth).unwrap_or_default()
            } else {
                let (text, help) = words(&answers, field);
                let question = Question { text, default, help };
                let checked = answers.clone();
                self.put(&question, |typed| checked.check(field, typed)).await?
            };
            answers.fields.insert(field, value);
            answers.split_realm();
        }
        Ok(answers)
    }

    async fn put<T>(&mut self, question: &Question<'_>, check: impl Fn(&str) -> Result<T, String>) -> Result<T> {
        match self.person.as_deref_mut() {
            Some(person) => person.ask(question, check).await,
            None => bail!("{}: there is no terminal to ask at", question.text),
        }
    }

    /// What is to be done; `None` where nobody can be asked.
    async fn next(&mut self, text: &str, default: &str) -> Result<Option<Next>> {
        if !self.may_ask || self.person.is_none() {
            return Ok(None);
        }
        let question = Question {
            text: text.to_owned() + " (change, again, go)",
            default: Some(default.to_owned()),
            help: "change asks the questions about this system once more, with what you answered as defaults.\nagain tries the same once more: what failed may be mended by now, in another window.\ngo leaves it as it is; `muster check` tries it again later.",
        };
        let check = |typed: &str| match typed.to_lowercase().as_str() {
            "c" | "change" => Ok(Next::Change),
            "a" | "again" => Ok(Next::Again),
            "g" | "go" => Ok(Next::Go),
            _ => Err("answer change, again or go".to_owned()),
        };
        self.put(&question, check).await.map(Some)
    }

    /// Why the credential cannot be had, where it cannot.
    fn unset(&self, answers: &Answers) -> Option<String> {
        let secret = answers.secret()?;
        let reference = match &secret {
            SecretRef::File(file) => SecretRef::File(self.places.absolute(&file.display().to_string())),
            other => other.clone(),
        };
        self.context.secrets(&self.places.here).resolve(&reference).err()
    }
}

/// The line that sets a variable.
fn export(answers: &Answers) -> Option<String> {
    match answers.secret()? {
        SecretRef::Env(name) => Some(format!("export {name}=…")),
        _ => None,
    }
}

/// What a system is called in the job file.
fn name(role: Role, kind: &str, taken: Option<&str>) -> String {
    let name = match (role, kind) {
        (Role::From, "csv") => "hr",
        (_, "keycloak") | (Role::From, "scim" | "sandbox") => "idp",
        (_, "ldap") => "directory",
        (Role::To, "csv") => "desk",
        _ => "vault",
    };
    if taken == Some(name) { "target".to_owned() } else { name.to_owned() }
}

const KINDS: &str = "csv       a folder of CSV files, users.csv; as the target, work orders for people\n\
keycloak  a realm of Keycloak\n\
ldap      OpenLDAP, Active Directory and other directories\n\
openbao   OpenBao or HashiCorp Vault\n\
sandbox   the built-in server, to try things without a system\n\
scim      a service that speaks SCIM 2.0, as most vaults and identity providers do";

/// A question and its help.
fn words(answers: &Answers, field: Field) -> (String, &'static str) {
    let kind = answers.kind.as_str();
    let (text, help) = match (field, kind) {
        (Field::Address, "csv") => (
            "Folder of the CSV files",
            "A folder with users.csv, and groups.csv and memberships.csv where there are groups. As you see it from here; the job file gets it relative to itself.",
        ),
        (Field::Address, "ldap") => (
            "Address of the directory",
            "ldaps://ldap.example.com, or ldap://ldap.example.com, which is made safe by StartTLS.",
        ),
        (Field::Address, "keycloak") => ("Address of Keycloak", "What stands before /realms: https://idp.example.com"),
        (Field::Address, "openbao") => {
            ("Address of the server", "What stands before /v1: https://vault.example.com:8200")
        }
        (Field::Address, _) => {
            ("Address of the service", "What stands before /Users: https://vault.example.com/scim/v2")
        }
        (Field::Realm, _) => ("Realm", "The realm that is read and written, as the admin console shows it."),
        (Field::Base, _) => ("Base", "The entry that everything is below: dc=example,dc=com"),
        (Field::Dialect, _) => (
            "Product",
            "Whose service it is: aws, cato, delinea, entra, incydr, keycloak, okta, secret-server; generic where it is none of these. Quirks of products are known by their names.",
        ),
        (Field::User, "keycloak") => (
            "Client id",
            "A confidential client with service accounts; docs/systems/keycloak.md says which roles it needs.",
        ),
        (Field::User, "ldap") => (
            "DN or login of muster's account",
            "cn=muster,ou=services,dc=example,dc=com; on Active Directory also muster@corp.example.com. Empty: anonymous.",
        ),
        (Field::User, "openbao") => ("Role id", "The id of an AppRole. Empty: muster gets a token."),
        (Field::User, _) => {
            ("Login or client id", "For HTTP basic or OAuth client credentials. Empty: muster gets a bearer token.")
        }
        (Field::TokenUrl, _) => (
            "Token endpoint",
            "Where OAuth gives a token for client id and secret: https://idp.example.com/oauth/token. Empty: HTTP basic.",
        ),
        (Field::Auth, _) => (
            "Where its secret lies: env:NAME, file:PATH, credential:NAME",
            "Never the secret itself: it would be on the screen, and in the job file. env:NAME is a variable, file:PATH a file, credential:NAME what systemd hands over (LoadCredential). `none` where the service asks for none.",
        ),
        (Field::CaFile, _) => ("Certificates of an authority of your own", "A PEM file."),
    };
    (text.to_owned(), help)
}
