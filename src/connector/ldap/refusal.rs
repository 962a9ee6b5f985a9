//! Turns a result that is no success into a failure.

use ldap3::{LdapError, LdapResult};

use crate::connector::classify::row_among;
use crate::connector::failure_table::{Asked, Row, ldap_rows};
use crate::model::causes;
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};

/// The row that fits a result.
fn row_for(asked: Asked, code: u32, message: &str) -> Option<&'static Row> {
    row_among(ldap_rows(), asked, u16::try_from(code).ok()?, None, Some(message))
}

/// What was asked of a server, for people: `search below ou=people,dc=example,dc=com`.
pub(super) struct Question<'a> {
    pub(super) system: &'a str,
    pub(super) asked: Asked,
    pub(super) what: &'a str,
}

impl Question<'_> {
    /// The failure that a result means which is no success.
    pub(super) fn refused(&self, result: &LdapResult) -> Failure {
        let row = row_for(self.asked, result.rc, &result.text);
        let (class, recourse, says, remedy) = row.map_or(
            (
                Class::Server,
                Recourse::GiveUp,
                "the server refuses the request",
                "read the server's message, and its own log",
            ),
            |row| (row.class, row.recourse, row.says, row.remedy),
        );
        let mut cause = format!("{} was answered with result code {}: {says}", self.what, result.rc);
        if !result.refs.is_empty() {
            cause.push_str(&format!(" ({})", result.refs.join(", ")));
        }
        if result.rc == 32 && !result.matched.is_empty() {
            cause.push_str(&format!(" (there is `{}`, and not what is below it)", result.matched));
        }
        let mut failure = Failure::new(class, recourse, self.system, cause, remedy);
        failure.message = Some(result.text.trim_end_matches('\0').to_owned()).filter(|text| !text.is_empty());
        failure.status = u16::try_from(result.rc).ok();
        failure.effect = match self.asked {
            Asked::Write | Asked::Delete if matches!(result.rc, 3 | 80) => Effect::Unknown,
            _ => Effect::None,
        };
        failure.stage = match (class, self.asked) {
            (Class::Credential, _) => Some(Stage::Login),
            (Class::Permission, _) => Some(Stage::Permission),
            _ => None,
        };
        failure
    }

    /// The failure of a request that had no result.
    pub(super) fn lost(&self, error: &LdapError) -> Failure {
        let is_change = matches!(self.asked, Asked::Write | Asked::Delete);
        let unknown = if is_change { Effect::Unknown } else { Effect::None };
        let (class, recourse, effect, why, remedy) = match error {
            LdapError::LdapResult { result } => return self.refused(result),
            LdapError::Timeout { .. } => (
                Class::Connection,
                Recourse::Retry,
                unknown,
                "the server was silent for too long".to_owned(),
                "see whether the server is slow or a firewall swallows its answers; timeout_seconds can be raised",
            ),
            LdapError::FilterParsing => (
                Class::Configuration,
                Recourse::Stop,
                Effect::None,
                "the filter cannot be read".to_owned(),
                "correct the `filter` of this resource in the job file",
            ),
            LdapError::AddNoValues => (
                Class::Data,
                Recourse::GiveUp,
                Effect::None,
                "an attribute has no value".to_owned(),
                "correct the value at the source, or the rule that makes it: the next run plans it anew",
            ),
            // It never left.
            LdapError::OpSend { .. } => (
                Class::Connection,
                Recourse::Retry,
                Effect::None,
                "the server has ended the session".to_owned(),
                "see whether the server, or a firewall before it, ends sessions",
            ),
            other => (
                Class::Connection,
                Recourse::Retry,
                unknown,
                format!("the session ended before an answer came: {}", causes::in_one_line(other)),
                "see whether the server, or a firewall before it, ends sessions",
            ),
        };
        let mut failure = Failure::new(class, recourse, self.system, format!("{}: {why}", self.what), remedy);
        failure.effect = effect;
        if class == Class::Connection {
            failure.stage = Some(Stage::Connect);
        }
        failure
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use Asked::{List, Write};
    use Class::*;

    use super::*;

    fn result(rc: u32, text: &str) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: text.to_owned(), refs: Vec::new(), ctrls: Vec::new() }
    }

    #[test]
    fn what_the_server_says_is_kept_and_a_change_without_an_answer_stays_open() {
        let write = Question { system: "ad", asked: Write, what: "modify cn=a,dc=x" };
        let mut refused = result(10, "see there\0");
        refused.refs = vec!["ldap://other/dc=x".to_owned()];
        let failure = write.refused(&refused);
        assert!(
            failure.cause.contains("ldap://other/dc=x") && failure.cause.starts_with("modify cn=a,dc=x"),
            "{failure}"
        );
        assert_eq!(
            (failure.message.as_deref(), failure.status, failure.effect),
            (Some("see there"), Some(10), Effect::None)
        );
        assert_eq!(write.refused(&result(80, "")).effect, Effect::Unknown);
        assert_eq!(write.refused(&result(4711, "")).class, Server);
        let lost = write.lost(&LdapError::EndOfStream);
        assert_eq!((lost.class, lost.recourse, lost.effect), (Connection, Recourse::Retry, Effect::Unknown));
        let read = Question { system: "ad", asked: List, what: "search below dc=x" };
        assert_eq!(read.lost(&LdapError::EndOfStream).effect, Effect::None);
    }
}
