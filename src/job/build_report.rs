//! What `[report]` means.

use super::operation_file::{EmailFile, ReportFile, WebhookFile, WhenWord};
use crate::model::notice_settings::{EmailSettings, MailLogin, MailServer, MailTls, NoticeWhen, WebhookSettings};
use crate::model::settings::ReportSettings;

/// Who is told; the error says what is wrong with an address.
pub(super) fn report(one: ReportFile) -> Result<ReportSettings, String> {
    Ok(ReportSettings { email: one.email.map(email).transpose()?, webhook: one.webhook.map(webhook) })
}

fn email(one: EmailFile) -> Result<EmailSettings, String> {
    let server = match one.server.as_deref() {
        Some(text) => MailServer::read(text, one.starttls)?,
        None if one.starttls == Some(true) => MailServer { tls: MailTls::StartTls, ..MailServer::default() },
        None => MailServer::default(),
    };
    Ok(EmailSettings {
        to: one.to.unwrap_or_default(),
        when: when(one.when),
        from: one.from,
        server,
        login: one.auth.map(|auth| MailLogin {
            user: auth.user.unwrap_or_default(),
            password: auth.password.map(|password| password.to_string()).unwrap_or_default(),
        }),
        ca_file: one.ca_file,
    })
}

fn webhook(one: WebhookFile) -> WebhookSettings {
    WebhookSettings {
        url: one.url.unwrap_or_default(),
        secret: one.secret.map(|secret| secret.to_string()).unwrap_or_default(),
        when: when(one.when),
        ca_file: one.ca_file,
        proxy: one.proxy,
    }
}

fn when(word: Option<WhenWord>) -> NoticeWhen {
    match word {
        Some(WhenWord::Daily) => NoticeWhen::Daily,
        Some(WhenWord::Never) => NoticeWhen::Never,
        Some(WhenWord::OnErrors) | None => NoticeWhen::OnErrors,
    }
}
