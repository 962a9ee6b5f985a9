//! What directories say in words: Active Directory's numbers (MS-ADTS section 3.1.1.3.1.9, MS-ERREF section 2.2), and what
//! others put into their messages. `statuses` are result codes of LDAP here.

use super::ldap_results::WRITES;
use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

pub(super) const ROWS: &[Row] = &[
    // Active Directory tells by a number why a bind is refused.
    Row {
        name: "ad-wrong-password",
        statuses: &[49],
        messages: &["data 52e"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the login or the password is wrong",
        remedy: "correct the password where its reference points to, or `user`, then `muster check`; do not repeat it blindly: the directory locks accounts after some wrong passwords",
        ..ANY
    },
    Row {
        name: "ad-no-such-account",
        statuses: &[49],
        messages: &["data 525"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "there is no such account",
        remedy: "correct `user`: the account's DN, or its login with the domain: muster@corp.example.com",
        ..ANY
    },
    Row {
        name: "ad-account-disabled",
        statuses: &[49],
        messages: &["data 533"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the account that muster uses is disabled",
        remedy: "enable the service account in the directory, then `muster check`",
        ..ANY
    },
    Row {
        name: "ad-account-expired",
        statuses: &[49],
        messages: &["data 701"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the account that muster uses has expired",
        remedy: "set a later accountExpires for the service account, then `muster check`",
        ..ANY
    },
    Row {
        name: "ad-password-expired",
        statuses: &[49],
        messages: &["data 532", "data 773"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the password of the account that muster uses has expired, or must be changed first",
        remedy: "set a new password for the service account, without \"must change at next logon\", and put it where the reference points to",
        ..ANY
    },
    Row {
        name: "ad-logon-not-allowed",
        statuses: &[49],
        messages: &["data 530", "data 531"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the account that muster uses may not log on at this time, or from this machine",
        remedy: "widen logonHours or userWorkstations of the service account in the directory",
        ..ANY
    },
    Row {
        name: "ad-account-locked",
        statuses: &[49],
        messages: &["data 775"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the account that muster uses is locked out",
        remedy: "unlock the service account in the directory, and find out who uses it with a wrong password",
        ..ANY
    },
    Row {
        name: "ad-too-many-groups",
        statuses: &[49],
        messages: &["data 568"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the account that muster uses is in more groups than a login can carry",
        remedy: "take the service account out of groups that it does not need, then `muster check`",
        ..ANY
    },
    Row {
        name: "ad-bind-needed",
        messages: &["data 57", "000004dc", "successful bind must be completed"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the directory answers nobody who has not logged in",
        remedy: "set `auth` for this system",
        ..ANY
    },
    Row {
        name: "ad-password-needs-tls",
        asked: WRITES,
        statuses: &[53],
        messages: &["0000001f"],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the directory takes a password only over a session that nobody can listen to",
        remedy: "write ldaps:// in url, or set starttls = true",
        ..ANY
    },
    Row {
        name: "ad-password-refused",
        asked: WRITES,
        statuses: &[19, 53],
        messages: &[
            "0000052d",
            "00000056",
            "password*polic",
            "password*complex",
            "password*too short",
            "password*quality",
            "password*history",
        ],
        class: Class::Data,
        says: "the password does not fit the directory's rules, or the account has none and is to be enabled",
        remedy: "map a password that fits the domain's rules, or leave unicodePwd out: a new account then gets a random one",
        ..ANY
    },
    Row {
        name: "ad-not-unique",
        asked: WRITES,
        messages: &["00000524", "0000202f", "000021c7", "000021c8", "00002071"],
        class: Class::Conflict,
        says: "a login or name that has to be unique is taken",
        remedy: "find the other entry with this sAMAccountName, userPrincipalName or name; link it (`muster link`) or correct the value at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "not-unique",
        asked: WRITES,
        statuses: &[19, 53],
        messages: &[
            "not unique",
            "non-unique",
            "attribute uniqueness",
            "same attribute value",
            "already exists",
            "another entry",
        ],
        class: Class::Conflict,
        says: "a value that the directory keeps unique is taken",
        remedy: "find the other entry with this value; link it (`muster link`) or correct the value at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "ad-no-such-member",
        asked: WRITES,
        messages: &["00000525"],
        class: Class::Stale,
        says: "who is to become a member is not in the directory",
        remedy: "the next run correlates it anew; nothing has to be done unless it comes back",
        ..ANY
    },
    Row {
        name: "ad-already-a-member",
        asked: WRITES,
        messages: &["00000562"],
        class: Class::Conflict,
        says: "it is a member already",
        remedy: "nothing has to be done",
        ..ANY
    },
    Row {
        name: "ad-no-member",
        asked: WRITES,
        messages: &["00000561"],
        class: Class::Stale,
        says: "it is no member",
        remedy: "nothing has to be done",
        ..ANY
    },
    Row {
        name: "ad-primary-group",
        asked: WRITES,
        messages: &["0000056a", "00000528"],
        class: Class::Unsupported,
        says: "it is the account's primary group, whose members are not kept in `member`",
        remedy: "give the account another primary group in the directory first, or leave this group out of the sync",
        ..ANY
    },
    Row {
        name: "ad-owned-by-system",
        asked: WRITES,
        messages: &["0000209a", "attribute*owned by*sam", "system only attribute"],
        class: Class::Unsupported,
        says: "only the directory itself writes this attribute",
        remedy: "take the attribute out of the mapping",
        ..ANY
    },
    Row {
        name: "ad-protected",
        asked: &[Asked::Delete],
        messages: &["00002015", "iscriticalsystemobject", "critical system object"],
        class: Class::Unsupported,
        says: "the directory does not let this entry go: it has entries below it, or it is one of its own",
        remedy: "look at it in the directory; remove what is below it, or leave it out of the sync",
        ..ANY
    },
    Row {
        name: "memory-limit",
        messages: &["entry is too large", "exceeds the administrative limit", "mdb_map_full", "no space left"],
        class: Class::Capacity,
        says: "the directory has no room for this",
        remedy: "raise the database's size limit (OpenLDAP: maxsize), then `muster retry`",
        ..ANY
    },
];
