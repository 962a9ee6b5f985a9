//! What the result codes of LDAP mean (RFC 4511 section 4.1.9 and appendix A.2; RFC 4528 for 122, RFC 4533 for 4096): one row a meaning, the
//! first row that fits is taken. `statuses` are result codes here.

use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

const READS: &[Asked] = &[Asked::Discovery, Asked::List, Asked::Object];
pub(super) const WRITES: &[Asked] = &[Asked::Write, Asked::Delete];

/// Codes for one kind of question first, then codes.
pub(super) const ROWS: &[Row] = &[
    // The same code for different questions.
    Row {
        name: "size-limit",
        asked: READS,
        statuses: &[4],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server cut the list off at its size limit: what came is not everything, and nothing of it is used",
        remedy: "let the account of `auth` read without a size limit (OpenLDAP: limits dn.exact=… size.prtotal=unlimited; 389 Directory Server: nsSizeLimit = -1), or set a base or filter that fits",
        ..ANY
    },
    Row {
        name: "time-limit",
        asked: READS,
        statuses: &[3],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server stopped at its time limit: what came is not everything, and nothing of it is used",
        remedy: "let the account of `auth` search without a time limit, or index the attributes of the filter at the server",
        ..ANY
    },
    Row {
        name: "page-limit",
        asked: READS,
        statuses: &[11],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the search is larger than the server lets this account ask for",
        remedy: "set a smaller page_size for this system, raise the limit at the server (OpenLDAP: size.pr; 389 Directory Server: nsslapd-lookthroughlimit), or index the attributes of the filter",
        ..ANY
    },
    Row {
        name: "no-such-base",
        asked: &[Asked::Discovery, Asked::List],
        statuses: &[32],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the base of the search is not there, or the account may not see it",
        remedy: "correct `base`, or let the account of `auth` read there",
        ..ANY
    },
    Row {
        name: "no-such-parent",
        asked: &[Asked::Write],
        statuses: &[32],
        class: Class::Stale,
        says: "the entry, or the one that it is to be placed below, is not there, or may not be seen",
        remedy: "see whether the base of this resource exists and the account of `auth` may read it; an entry that is gone is correlated anew by the next run",
        ..ANY
    },
    Row {
        name: "denied-everywhere",
        asked: &[Asked::Discovery, Asked::List],
        statuses: &[50],
        class: Class::Permission,
        recourse: Recourse::Stop,
        says: "the account of `auth` may not read this",
        remedy: "give it the right to search and read below the base",
        ..ANY
    },
    Row {
        name: "busy-while-reading",
        asked: READS,
        statuses: &[51, 52],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the server is busy or not available",
        remedy: "wait until it is up",
        ..ANY
    },
    Row {
        name: "failed-while-reading",
        asked: READS,
        statuses: &[1, 80],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the server failed inside",
        remedy: "see the server's own log",
        ..ANY
    },
    Row {
        name: "refresh-required",
        asked: READS,
        statuses: &[4096],
        class: Class::Unsupported,
        says: "the server cannot tell what changed since then (RFC 4533)",
        remedy: "the next export reads everything; where it is often so, keep a longer session log (OpenLDAP: syncprov-sessionlog)",
        ..ANY
    },
    // Codes alone.
    Row {
        name: "operations-error",
        statuses: &[1],
        class: Class::Server,
        says: "the server cannot do this in this state of the session",
        remedy: "see the server's own log; Active Directory says this of a session that has not logged in",
        ..ANY
    },
    Row {
        name: "protocol-error",
        statuses: &[2],
        class: Class::Unsupported,
        says: "the server does not understand the request",
        remedy: "see whether the server speaks LDAP version 3 and knows StartTLS; older ones want ldaps://",
        ..ANY
    },
    Row {
        name: "time-limit-of-a-change",
        statuses: &[3],
        class: Class::Server,
        says: "the server stopped at its time limit; whether the change was stored has to be looked up",
        remedy: "see what slows the server down, then `muster retry`",
        ..ANY
    },
    Row {
        name: "size-limit-of-a-change",
        statuses: &[4],
        class: Class::Configuration,
        says: "the request is larger than the server takes",
        remedy: "set a smaller member_batch for this system",
        ..ANY
    },
    Row {
        name: "compared",
        statuses: &[5, 6],
        class: Class::Server,
        says: "the server answered another question than the one that was asked",
        remedy: "see whether something stands between muster and the directory",
        ..ANY
    },
    Row {
        name: "method-not-supported",
        statuses: &[7],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server does not take logins with a password",
        remedy: "let the server accept simple binds over TLS for this account",
        ..ANY
    },
    Row {
        name: "tls-needed",
        statuses: &[8, 13],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server wants a session that nobody can listen to",
        remedy: "write ldaps:// in url, or set starttls = true",
        ..ANY
    },
    Row {
        name: "referral",
        statuses: &[10],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server points to another one, where no credential is sent",
        remedy: "write the server that the referral names as url, or correct `base`; a read-only replica refers writes to its supplier",
        ..ANY
    },
    Row {
        name: "administrative-limit",
        statuses: &[11],
        class: Class::Capacity,
        says: "the request is larger than the server lets this account ask for",
        remedy: "set a smaller member_batch for this system, or raise the limit at the server",
        ..ANY
    },
    Row {
        name: "control-unavailable",
        statuses: &[12],
        class: Class::Unsupported,
        says: "the server does not know a control that the request needs",
        remedy: "see which controls the server offers (supportedControl of its root entry); paged results are needed for long lists",
        ..ANY
    },
    Row {
        name: "bind-in-progress",
        statuses: &[14],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server wants a login in several steps",
        remedy: "let the server accept simple binds over TLS for this account",
        ..ANY
    },
    Row {
        name: "no-such-attribute",
        asked: WRITES,
        statuses: &[16],
        class: Class::Stale,
        says: "the entry does not hold what is to be taken away",
        remedy: "the next run plans it anew from what it holds then",
        ..ANY
    },
    Row {
        name: "attribute-not-known",
        statuses: &[16, 17],
        class: Class::Configuration,
        says: "the server's schema has no such attribute",
        remedy: "compare the mapping with the server's schema, or load the schema that has it",
        ..ANY
    },
    Row {
        name: "inappropriate-matching",
        statuses: &[18],
        class: Class::Unsupported,
        says: "the server cannot search by this attribute",
        remedy: "muster reads without this filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "constraint",
        statuses: &[19],
        class: Class::Data,
        says: "a value breaks a rule of the server",
        remedy: "read the server's message; correct the value at the source, or the rule that makes it: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "value-exists",
        statuses: &[20],
        class: Class::Conflict,
        says: "the entry holds this value already",
        remedy: "the next run plans it anew from what it holds then",
        ..ANY
    },
    Row {
        name: "invalid-syntax",
        statuses: &[21],
        class: Class::Data,
        says: "a value does not fit the syntax of its attribute",
        remedy: "correct the value at the source, or the rule that makes it: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "gone",
        statuses: &[32],
        class: Class::Stale,
        says: "the entry is not there any more, or may not be seen",
        remedy: "the next run correlates it anew; nothing has to be done unless it comes back",
        ..ANY
    },
    Row {
        name: "alias",
        statuses: &[33],
        class: Class::Data,
        says: "an alias points to nothing",
        remedy: "mend the alias in the directory, or name the real entry",
        ..ANY
    },
    Row {
        name: "alias-not-followed",
        statuses: &[36],
        class: Class::Permission,
        says: "an alias may not be followed by the account of `auth`",
        remedy: "let the account read what the alias points to, or name the real entry",
        ..ANY
    },
    Row {
        name: "invalid-dn",
        statuses: &[34],
        class: Class::Data,
        says: "a name is no distinguished name that this server takes",
        remedy: "correct `base`, or the value that becomes part of the name",
        ..ANY
    },
    Row {
        name: "inappropriate-authentication",
        statuses: &[48],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the server does not let this account log in this way: it has no password, or anonymous sessions are off",
        remedy: "set `auth` to an account that has a password",
        ..ANY
    },
    Row {
        name: "invalid-credentials",
        statuses: &[49],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the login or the password is wrong, or the account is locked",
        remedy: "correct the password where its reference points to, or `user`; see in the directory whether the account is locked; then `muster check`",
        ..ANY
    },
    Row {
        name: "denied",
        statuses: &[50],
        class: Class::Permission,
        says: "the account of `auth` may not do this here",
        remedy: "give it the right to write this entry and its attributes (OpenLDAP: access to … by … write; Active Directory: delegate control of the container), then `muster retry`",
        ..ANY
    },
    Row {
        name: "busy",
        statuses: &[51],
        class: Class::Throttled,
        recourse: Recourse::Retry,
        says: "the server is busy",
        remedy: "set a lower rate under [apply]",
        ..ANY
    },
    Row {
        name: "unavailable",
        statuses: &[52],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the server is shutting down or not available",
        remedy: "wait until it is up; what was not sent stays approved",
        ..ANY
    },
    Row {
        name: "unwilling",
        statuses: &[53],
        class: Class::Unsupported,
        says: "the server is not willing to do this",
        remedy: "read the server's message; a replica may be read-only, a database may be frozen, and Active Directory refuses what its rules for accounts do not allow",
        ..ANY
    },
    Row {
        name: "loop",
        statuses: &[54],
        class: Class::Configuration,
        says: "the server went round in a circle of aliases or servers",
        remedy: "mend the circle in the directory",
        ..ANY
    },
    Row {
        name: "naming",
        statuses: &[64],
        class: Class::Data,
        says: "an entry of this kind may not have this name, or may not stand there",
        remedy: "set the `rdn` of this resource to an attribute that its object classes allow, or another `base`",
        ..ANY
    },
    Row {
        name: "object-class",
        statuses: &[65],
        class: Class::Data,
        says: "the entry would lack an attribute that its object classes require, or hold one that they do not allow",
        remedy: "map what the server's message names, or add the object class that allows it to `classes`",
        ..ANY
    },
    Row {
        name: "has-children",
        statuses: &[66],
        class: Class::Conflict,
        says: "there are entries below this one, so that it cannot go or move",
        remedy: "remove or move what is below it first, then `muster retry`",
        ..ANY
    },
    Row {
        name: "named-by-it",
        statuses: &[67],
        class: Class::Unsupported,
        says: "the entry is named by this value, which only a rename changes",
        remedy: "set the `rdn` of this resource to the attribute that its entries are named by: muster renames then",
        ..ANY
    },
    Row {
        name: "entry-exists",
        statuses: &[68],
        class: Class::Conflict,
        says: "there is an entry of this name already",
        remedy: "find the other entry; link it (`muster link`) or correct the value that names it at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "class-change",
        statuses: &[69],
        class: Class::Unsupported,
        says: "the object class that makes an entry what it is cannot be changed",
        remedy: "take objectClass out of the mapping",
        ..ANY
    },
    Row {
        name: "several-servers",
        statuses: &[71],
        class: Class::Unsupported,
        says: "the entry would have to move to another server or database",
        remedy: "move it by hand, or keep it below the base that it is in",
        ..ANY
    },
    Row {
        name: "other",
        statuses: &[80],
        class: Class::Server,
        says: "the server failed inside; whether the change was stored has to be looked up",
        remedy: "see the server's own log, then `muster retry`",
        ..ANY
    },
    Row {
        name: "cancelled",
        statuses: &[88, 118, 119, 120, 121],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the request was called off",
        remedy: "`muster retry`",
        ..ANY
    },
    Row {
        name: "assertion-failed",
        statuses: &[122],
        class: Class::Stale,
        says: "the entry changed after it was read",
        remedy: "the next run plans it anew from what it holds then",
        ..ANY
    },
];

/// For a change of members that would leave a group without any (result code 65).
pub(crate) const LAST_MEMBER: (&str, &str) = (
    "the group would be left without a member, which its object class does not allow",
    "set `empty_member` of groups to a DN that may stand in (the server refused the one that was tried), delete the group, or leave one member",
);
