//! Checks of who is told, and by which way.

use url::Url;

use super::place::entry_path;
use super::problem::Problem;
use super::validate::Checked;
use crate::model::notice_settings::{MailServer, MailTls, address_problem, is_this_machine};

/// Addresses that a mail server takes.
pub(super) fn addresses(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let Some(email) = &checked.file.report.email else { return };
    if email.to.as_ref().is_some_and(Vec::is_empty) {
        problems.push(checked.places.at("report.email.to", "mail to nobody; name an address, or leave `email` out"));
    }
    let to = email.to.iter().flatten().enumerate();
    let to = to.map(|(number, address)| (entry_path("report.email.to", number), address));
    for (path, address) in to.chain(email.from.iter().map(|from| ("report.email.from".to_owned(), from))) {
        if let Some(why) = address_problem(address) {
            problems.push(checked.places.at(&path, format!("`{}` is no mail address: {why}", address.escape_debug())));
        }
    }
}

/// A server that can be spoken to, and a password that nobody overhears.
pub(super) fn mail_server(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let Some(email) = &checked.file.report.email else { return };
    let server = match email.server.as_deref().map(|text| MailServer::read(text, email.starttls)) {
        None => {
            let tls = if email.starttls == Some(true) { MailTls::StartTls } else { MailTls::Never };
            MailServer { tls, ..MailServer::default() }
        }
        Some(Ok(server)) => server,
        Some(Err(why)) => {
            problems.push(checked.places.at("report.email.server", why));
            return;
        }
    };
    if email.auth.is_some() && server.tls == MailTls::Never && !server.is_this_machine() {
        let message = "the password would be sent in the clear; leave `starttls` out, or use smtps://";
        problems.push(checked.places.at("report.email.starttls", message));
    }
    if email.auth.as_ref().and_then(|auth| auth.user.as_ref()).is_some_and(String::is_empty) {
        problems.push(checked.places.at("report.email.auth.user", "an empty login; name one, or leave `auth` out"));
    }
}

/// An address that is posted to over TLS.
pub(super) fn webhook(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let Some(webhook) = &checked.file.report.webhook else { return };
    if let Some(url) = &webhook.url
        && let Err(why) = web_address(url, "https://HOST/PATH")
    {
        problems.push(checked.places.at("report.webhook.url", why));
    }
    if let Some(proxy) = &webhook.proxy {
        let is_proxy = Url::parse(proxy).is_ok_and(|url| {
            let is_bare = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && url.path() == "/"
        });
        if !is_proxy {
            let message = "this is no proxy; write http://HOST:PORT, without a credential";
            problems.push(checked.places.at("report.webhook.proxy", message));
        }
    }
}

/// What is wrong with an address that is posted to. It is not repeated: a token may stand in it.
fn web_address(text: &str, like: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| format!("this is no address; write {like}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("this is no address of the web; write {like}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential may not stand in an address; the signature proves who sent a message".to_owned());
    }
    if url.scheme() == "http" && !url.host_str().is_some_and(is_this_machine) {
        return Err("http would send every name in the clear; use https".to_owned());
    }
    Ok(())
}
