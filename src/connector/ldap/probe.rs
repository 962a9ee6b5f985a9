//! The stages of reaching a directory, for `check`.

use std::time::{Duration, Instant};

use ldap3::Ldap;

use super::layout::{DN, ENABLED, ID, Layout};
use super::search::{self, Search};
use super::{LdapSystem, lookup, members, nearest};
use crate::connector::failure_table::Asked;
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Failure, Stage};

pub(super) async fn probe(system: &LdapSystem, needs: &Needs) -> Vec<Step> {
    let mut ask = Probe { system, needs, steps: Vec::new() };
    // The first failure ends the probe; it has been written down as a step by then.
    let _ = ask.go().await;
    ask.steps
}

struct Probe<'a> {
    system: &'a LdapSystem,
    needs: &'a Needs,
    steps: Vec<Step>,
}

struct Ended;

impl Probe<'_> {
    async fn go(&mut self) -> Result<(), Ended> {
        let mut ldap = self.reach().await?;
        let system = self.system;
        let link = &system.link;
        let started = Instant::now();
        let credential = link.credential().unwrap_or_else(|| "no credential".to_owned());
        let login = link.log_in(&mut ldap).await;
        drop(ldap);
        // Without a login, whether the server wants one shows with the first question.
        let layout = match login {
            Err(failure) => return self.take(Stage::Login, credential, Err(failure), started),
            Ok(()) => system.layout().await,
        };
        let layout = match layout {
            Ok(layout) => layout,
            Err(failure) => {
                let stage = failure.stage.unwrap_or(Stage::Login);
                return self.take(stage, credential, Err(failure), started);
            }
        };
        let told = if link.user().is_some() { "accepted" } else { "none is set, and none is asked for" };
        self.take(Stage::Login, credential, Ok(format!("{told}; {}", layout.root.told(layout.flavour))), started)?;
        let allowed = self.read_what_is_needed(layout).await;
        let there = self.compare_schema(layout);
        allowed.and(there)
    }

    async fn reach(&mut self) -> Result<Ldap, Ended> {
        let link = &self.system.link;
        let (place, host) = (link.place(), link.host().to_owned());
        let started = Instant::now();
        let addresses = link.resolve().await;
        let mut names: Vec<String> = addresses.iter().flatten().map(|address| address.ip().to_string()).collect();
        names.sort();
        names.dedup();
        let told = addresses.as_ref().map(|_| names.join(", ")).map_err(Clone::clone);
        self.take(Stage::Resolve, format!("resolve {host}"), told, started)?;

        let started = Instant::now();
        let stream = link.connect(&addresses.unwrap_or_default()).await;
        let told = |stream: &tokio::net::TcpStream| {
            stream.peer_addr().map_or_else(|_| "connected".to_owned(), |peer| format!("connected to {peer}"))
        };
        let told = stream.as_ref().map(told).map_err(Clone::clone);
        self.take(Stage::Connect, format!("tcp {place}"), told, started)?;
        let Ok(stream) = stream else { return Err(Ended) };

        let started = Instant::now();
        let ldap = link.secure(stream).await;
        let what = if self.system.config.starttls { format!("StartTLS {host}") } else { format!("tls {host}") };
        match ldap {
            Ok(ldap) => {
                if link.uses_tls() {
                    self.take(Stage::Tls, what, Ok("the certificate is trusted".to_owned()), started)?;
                }
                Ok(ldap)
            }
            Err(failure) => {
                let stage = failure.stage.unwrap_or(Stage::Connect);
                self.take(stage, what, Err(failure), started)?;
                Err(Ended)
            }
        }
    }

    /// Permission: one entry of each list that the job reads. One list that may not be read hides nothing of the others.
    async fn read_what_is_needed(&mut self, layout: &Layout) -> Result<(), Ended> {
        let mut lists: Vec<&str> =
            self.needs.reads.keys().chain(&self.needs.writes).map(|name| list_of(name)).collect();
        if lists.is_empty() {
            lists.push("users");
        }
        lists.sort_unstable();
        lists.dedup();
        let mut allowed = Ok(());
        for list in lists {
            let Some(of) = layout.types.get(list) else { continue };
            let started = Instant::now();
            let what = format!("search {} for {}", of.base, of.filter);
            let link = &self.system.link;
            let result = async {
                // A base that is not there and one that is empty look the same to a search with a limit.
                let base = Search::entry(&of.base, &["1.1"]);
                let there = search::all(link, &base, Asked::List).await?;
                if there.is_empty() {
                    let mut failure = self.system.failure(
                        crate::model::failure::Class::Configuration,
                        format!("there is no `{}`, the base of {list}, or it may not be seen", of.base),
                        "correct `base`, or let the account of `auth` read there",
                    );
                    failure.status = Some(32);
                    return Err(failure);
                }
                match search::some(link, &of.search(layout.asked(of, &[])), Asked::List).await? {
                    Some(entry) if of.id(&entry).is_none() => {
                        let key = of.key.as_ref().map_or(DN, |key| key.attribute.as_str());
                        Err(self.system.failure(
                            crate::model::failure::Class::Permission,
                            format!("{} has no {key}, or it may not be read: without it an entry has no id", entry.dn),
                            "let the account of `auth` read this attribute, or set another `key` for this resource",
                        ))
                    }
                    Some(_) => Ok(format!("may read {list}")),
                    None => Ok(format!("may search {list}, and finds none")),
                }
            };
            let result = result.await;
            allowed = allowed.and(self.take(Stage::Permission, what, result, started));
        }
        allowed
    }

    /// Whether everything that the job names exists.
    fn compare_schema(&mut self, layout: &Layout) -> Result<(), Ended> {
        let started = Instant::now();
        let mut problems = Vec::new();
        let known = layout.names();
        let names = self.needs.reads.keys().chain(&self.needs.writes);
        for name in names.filter(|name| !known.contains(&name.as_str())) {
            problems.push(self.system.no_such_resource(layout, name));
        }
        for (resource, columns) in &self.needs.reads {
            let Some(of) = layout.types.get(resource) else { continue };
            for column in columns {
                let is_own = matches!(column.as_str(), ID | DN) || (column == ENABLED && of.switch.is_some());
                if is_own {
                    continue;
                }
                if let Err(mut failure) = lookup::known(self.system, layout, resource, column) {
                    // One of the usual columns may be meant as well.
                    let own = of.columns([]);
                    if let Some(near) = nearest(own.iter().map(String::as_str), column)
                        .filter(|near| strsim::jaro_winkler(near, column) > 0.9)
                    {
                        failure.remedy = format!("write `{near}`, if that is meant");
                    }
                    problems.push(failure);
                }
            }
        }
        let what = "compare with the job".to_owned();
        if problems.is_empty() {
            let told = if layout.schema.is_known() {
                "everything that the job names is there"
            } else {
                "the account may not read the schema: whether the attributes exist is not known"
            };
            return self.take(Stage::Schema, what, Ok(told.to_owned()), started);
        }
        for mut failure in problems {
            failure.stage = Some(Stage::Schema);
            self.steps.push(Step {
                stage: Stage::Schema,
                what: what.clone(),
                result: Err(failure),
                took: Duration::ZERO,
            });
        }
        Err(Ended)
    }

    fn take(
        &mut self,
        stage: Stage,
        what: String,
        result: Result<String, Failure>,
        started: Instant,
    ) -> Result<(), Ended> {
        let failed = result.is_err();
        self.steps.push(step(stage, what, result, started));
        if failed { Err(Ended) } else { Ok(()) }
    }
}

/// Associations are read from their groups.
fn list_of(resource: &str) -> &str {
    if members::ends_of(resource).is_some() { "groups" } else { resource }
}
