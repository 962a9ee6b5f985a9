//! The ways of telling people, as a job names them, with their secrets.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::context::Context;
use crate::connector::secret::SecretRef;
use crate::job::Job;
use crate::model::failure::Step;
use crate::model::failure::{Failure, Stage};
use crate::model::notice_settings::{EmailSettings, MailTls, NoticeWhen, WebhookSettings, address_problem};
use crate::notify::letter::Letter;
use crate::notify::smtp::{self, Login, MailWay};
use crate::notify::told::Waiting;
use crate::notify::webhook::{self, WebhookWay};
use crate::run::Conductor;

/// This machine's name.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// References to secrets of a job's ways.
pub(super) fn secrets(job: &Job) -> Vec<SecretRef> {
    let password = job.report.email.iter().filter_map(|email| email.login.as_ref()).map(|login| &login.password);
    let key = job.report.webhook.iter().map(|webhook| &webhook.secret);
    password.chain(key).filter_map(|text| text.parse().ok()).collect()
}

/// Files of certificates that a job's ways read.
pub(super) fn ca_files(job: &Job) -> Vec<PathBuf> {
    let mail = job.report.email.iter().filter_map(|email| email.ca_file.clone());
    mail.chain(job.report.webhook.iter().filter_map(|webhook| webhook.ca_file.clone())).collect()
}

/// Sends mails; each with why it was not sent to those who are left in `to`, or without, where it was.
pub(super) async fn mail(
    context: &Context,
    conductor: &Conductor,
    mails: Vec<Waiting>,
) -> Vec<(Waiting, Option<Failure>)> {
    let Some(email) = conductor.job.report.email.as_ref().filter(|_| !mails.is_empty()) else { return Vec::new() };
    let way = mail_way(context, &conductor.job, email);
    let letters = mails.iter().map(|one| Letter {
        from: &way.from,
        to: &one.to,
        id: &one.id,
        at: one.at,
        subject: &one.subject,
        text: &one.text,
        html: &one.html,
    });
    let ends = smtp::send(&way, &letters.collect::<Vec<_>>()).await;
    let of = |(mut one, end): (Waiting, smtp::Delivery)| {
        if end.failure.is_some() {
            one.to = end.left;
        }
        (one, end.failure)
    };
    mails.into_iter().zip(ends).map(of).collect()
}

/// Posts messages, likewise. Where one has no answer, the others are not tried.
pub(super) async fn post(
    context: &Context,
    conductor: &Conductor,
    posts: Vec<Waiting>,
) -> Vec<(Waiting, Option<Failure>)> {
    let Some(settings) = conductor.job.report.webhook.as_ref().filter(|_| !posts.is_empty()) else { return Vec::new() };
    let way = webhook_way(context, &conductor.job, settings);
    let mut ends = Vec::new();
    let mut silent: Option<Failure> = None;
    for one in posts {
        let end = match &silent {
            Some(failure) => Err(failure.clone()),
            None => webhook::send(&way, &one.id, &one.text, context.now()).await,
        };
        silent = end.as_ref().err().filter(|failure| failure.status.is_none()).cloned();
        ends.push((one, end.err()));
    }
    ends
}

/// Tries the ways of a job: each step of them by the way's name, with the stages that come to nothing where one fails.
pub(super) async fn check(context: &Context, job: &Job) -> Vec<(&'static str, Vec<Step>, Vec<Stage>)> {
    let mut tried = Vec::new();
    if let Some(email) = job.report.email.as_ref().filter(|email| email.when != NoticeWhen::Never) {
        let tls = email.server.tls;
        let mut stages = vec![Stage::Resolve, Stage::Connect, Stage::Tls, Stage::Login, Stage::Permission];
        stages.retain(|stage| match stage {
            Stage::Connect => tls != MailTls::FromTheStart,
            Stage::Tls => tls != MailTls::Never,
            Stage::Login => email.login.is_some(),
            _ => true,
        });
        tried.push(("email", smtp::check(&mail_way(context, job, email)).await, stages));
    }
    if let Some(settings) = job.report.webhook.as_ref().filter(|webhook| webhook.when != NoticeWhen::Never) {
        tried.push(("webhook", webhook::check(&webhook_way(context, job, settings)).await, Vec::new()));
    }
    tried
}

fn mail_way(context: &Context, job: &Job, email: &EmailSettings) -> MailWay {
    let host = host();
    let own = format!("muster@{host}");
    let is_usable = address_problem(&own).is_none();
    MailWay {
        server: email.server.clone(),
        hello: if is_usable { host } else { "localhost".to_owned() },
        from: email.from.clone().unwrap_or(if is_usable { own } else { "muster@localhost".to_owned() }),
        login: email.login.as_ref().map(|login| Login {
            user: login.user.clone(),
            reference: login.password.clone(),
            password: secret(context, &job.folder, &login.password),
        }),
        ca_file: email.ca_file.as_ref().map(|file| job.folder.join(file)),
    }
}

fn webhook_way(context: &Context, job: &Job, webhook: &WebhookSettings) -> WebhookWay {
    WebhookWay {
        url: webhook.url.clone(),
        reference: webhook.secret.clone(),
        secret: secret(context, &job.folder, &webhook.secret),
        ca_file: webhook.ca_file.as_ref().map(|file| job.folder.join(file)),
        proxy: webhook.proxy.clone(),
    }
}

fn secret(context: &Context, folder: &Path, reference: &str) -> Result<SecretString, String> {
    let reference: SecretRef = reference.parse().map_err(|error| format!("{error}"))?;
    context.secrets(folder).resolve(&reference)
}
