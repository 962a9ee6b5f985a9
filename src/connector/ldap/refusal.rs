//! Turns a result that is no success into a failure.

use std::error::Error;

use ldap3::{LdapError, LdapResult};

use crate::connector::classify::fits;
use crate::connector::failure_table::{Asked, Row, ldap_rows};
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};

/// The row that fits a result.
fn row_for(asked: Asked, code: u32, message: &str) -> Option<&'static Row> {
    let code = u16::try_from(code).ok()?;
    let message = message.to_lowercase();
    ldap_rows().find(|row| {
        (row.asked.is_empty() || row.asked.contains(&asked))
            && (row.statuses.is_empty() || row.statuses.contains(&code))
            && (row.messages.is_empty() || row.messages.iter().any(|pattern| fits(pattern, &message)))
    })
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
                format!("the session ended before an answer came: {}", chain(other)),
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

/// An error with all its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use Asked::{Delete, Discovery, List, Object, Write};
    use Class::*;

    use super::*;

    /// Question, result code, message, the row that must be taken, its class.
    const SAMPLES: &[(Asked, u32, &str, &str, Class)] = &[
        (
            Discovery,
            49,
            "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data 52e, v1db1",
            "ad-wrong-password",
            Credential,
        ),
        (Discovery, 49, "AcceptSecurityContext error, data 525, v1db1", "ad-no-such-account", Credential),
        (
            Discovery,
            49,
            "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1",
            "ad-account-disabled",
            Credential,
        ),
        (Discovery, 49, "AcceptSecurityContext error, data 701, v1db1", "ad-account-expired", Credential),
        (Discovery, 49, "AcceptSecurityContext error, data 532, v1db1", "ad-password-expired", Credential),
        (Discovery, 49, "AcceptSecurityContext error, data 773, v1db1", "ad-password-expired", Credential),
        (Discovery, 49, "AcceptSecurityContext error, data 530, v1db1", "ad-logon-not-allowed", Credential),
        (Discovery, 49, "AcceptSecurityContext error, data 775, v1db1", "ad-account-locked", Credential),
        (
            List,
            1,
            "000004DC: LdapErr: In order to perform this operation a successful bind must be completed on the connection.",
            "ad-bind-needed",
            Credential,
        ),
        (
            Write,
            53,
            "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0",
            "ad-password-refused",
            Data,
        ),
        (
            Write,
            19,
            "0000052D: Constraint violation - check_password_restrictions: the password does not meet the complexity criteria!",
            "ad-password-refused",
            Data,
        ),
        (Write, 19, "Password fails quality checking policy", "ad-password-refused", Data),
        (Write, 68, "00002071: samldb: samAccountName already in use", "ad-not-unique", Conflict),
        (Write, 19, "0000202F: samldb: userPrincipalName in use", "ad-not-unique", Conflict),
        (Write, 19, "some attributes not unique", "not-unique", Conflict),
        (Write, 19, "non-unique attributes found with (|(uid=zz))", "not-unique", Conflict),
        (
            Write,
            19,
            "Another entry with the same attribute value already exists (attribute: \"uid\")",
            "not-unique",
            Conflict,
        ),
        (Write, 32, "00000525: member not found", "ad-no-such-member", Stale),
        (Write, 68, "00000562: already a member", "ad-already-a-member", Conflict),
        (Write, 53, "00000561: no member", "ad-no-member", Stale),
        (Write, 53, "00000528: samldb: primary group", "ad-primary-group", Unsupported),
        (Write, 53, "0000209A: SvcErr: system only attribute", "ad-owned-by-system", Unsupported),
        (Delete, 53, "00002015: not a leaf", "ad-protected", Unsupported),
        (Write, 80, "MDB_MAP_FULL: Environment mapsize limit reached", "memory-limit", Capacity),
        (List, 4, "", "size-limit", Configuration),
        (List, 3, "", "time-limit", Configuration),
        (List, 11, "", "page-limit", Configuration),
        (List, 32, "", "no-such-base", Configuration),
        (Write, 32, "", "no-such-parent", Stale),
        (List, 50, "", "denied-everywhere", Permission),
        (Object, 51, "", "busy-while-reading", Server),
        (Object, 80, "", "failed-while-reading", Server),
        (Write, 1, "", "operations-error", Server),
        (Discovery, 2, "", "protocol-error", Unsupported),
        (Write, 3, "", "time-limit-of-a-change", Server),
        (Write, 4, "", "size-limit-of-a-change", Configuration),
        (Write, 5, "", "compared", Server),
        (Write, 6, "", "compared", Server),
        (Discovery, 7, "", "method-not-supported", Configuration),
        (Discovery, 8, "BindSimple: Transport encryption required.", "tls-needed", Configuration),
        (Discovery, 13, "", "tls-needed", Configuration),
        (Write, 10, "", "referral", Configuration),
        (Write, 11, "", "administrative-limit", Capacity),
        (List, 12, "", "control-unavailable", Unsupported),
        (Discovery, 14, "", "bind-in-progress", Configuration),
        (Write, 16, "", "no-such-attribute", Stale),
        (List, 16, "", "attribute-not-known", Configuration),
        (Write, 17, "foo: attribute type undefined", "attribute-not-known", Configuration),
        (List, 18, "", "inappropriate-matching", Unsupported),
        (Write, 19, "", "constraint", Data),
        (Write, 20, "", "value-exists", Conflict),
        (Write, 21, "", "invalid-syntax", Data),
        (Delete, 32, "", "gone", Stale),
        (Write, 33, "", "alias", Data),
        (Write, 36, "", "alias", Data),
        (Write, 34, "", "invalid-dn", Data),
        (Discovery, 48, "", "inappropriate-authentication", Credential),
        (Discovery, 49, "", "invalid-credentials", Credential),
        (Write, 50, "no write access to parent", "denied", Permission),
        (Write, 51, "", "busy", Throttled),
        (Write, 52, "", "unavailable", Server),
        (Write, 53, "shadow context; no update referral", "unwilling", Unsupported),
        (Write, 54, "", "loop", Configuration),
        (Write, 64, "", "naming", Data),
        (Write, 65, "object class 'person' requires attribute 'sn'", "object-class", Data),
        (Delete, 66, "", "has-children", Conflict),
        (Write, 67, "", "named-by-it", Unsupported),
        (Write, 68, "", "entry-exists", Conflict),
        (Write, 69, "", "class-change", Unsupported),
        (Write, 71, "", "several-servers", Unsupported),
        (Write, 80, "", "other", Server),
        (List, 88, "", "cancelled", Server),
        (Write, 122, "", "assertion-failed", Stale),
    ];

    fn result(rc: u32, text: &str) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: text.to_owned(), refs: Vec::new(), ctrls: Vec::new() }
    }

    #[test]
    fn every_row_of_the_table_is_taken_by_its_sample() {
        let mut taken = std::collections::BTreeSet::new();
        for (asked, code, message, name, class) in SAMPLES {
            let row = row_for(*asked, *code, message).unwrap();
            assert_eq!((row.name, row.class), (*name, *class), "{code} {message}");
            taken.insert(row.name);
        }
        for row in ldap_rows() {
            assert!(taken.contains(row.name), "no sample for {}", row.name);
            assert!(!row.says.is_empty() && !row.remedy.is_empty(), "{}", row.name);
            assert!(row.messages.iter().all(|pattern| *pattern == pattern.to_lowercase()), "{}", row.name);
        }
        // RFC 4511 section 4.1.9, without those that are reserved or mean success.
        let codes = (1..=14).chain(16..=21).chain(32..=36).chain(48..=54).chain(64..=71).chain([80]);
        for code in codes.filter(|code| ![9, 35, 70].contains(code)) {
            assert!(row_for(Write, code, "").is_some(), "{code}");
        }
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
