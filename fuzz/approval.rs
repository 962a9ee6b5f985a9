//! What the readers of approvals, signatures and approvers files have to do with any bytes: refuse them, or take what
//! they say. A signature that fits some bytes fits no others; what was read is written as what is signed.
//!
//! An input is an approval, its signature and an approvers file, with a zero byte between them.

use std::path::Path;

use chrono::{DateTime, Utc};
use muster::model::approval::Approval;
use muster::model::approvers::Approvers;
use muster::model::signature::signer;
use muster::store::approvals;

/// Panics where the readers do something else.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (bytes, signature, approvers) = (part(), part(), part());
    let path = Path::new("approval-1.json");
    match approvals::parse(path, bytes) {
        Ok(approval) => {
            let written = approval.to_bytes();
            let read = approvals::parse(path, &written).expect("what was written can be read");
            assert_eq!((&read, read.to_bytes()), (&approval, written.clone()));
            assert_eq!(Approval::digest_of(&read.decisions), Approval::digest_of(&approval.decisions));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let approvers = String::from_utf8_lossy(approvers);
    let approvers = Approvers::parse(&approvers, |_| None);
    let Ok(key) = signer(bytes, signature) else { return };
    let mut other = bytes.to_vec();
    other.push(b' ');
    assert!(signer(&other, signature).is_err(), "a signature is of one text");
    if let Ok(approvers) = approvers {
        let now: DateTime<Utc> = DateTime::UNIX_EPOCH;
        if let Ok(approver) = approvers.allowed(&key, now) {
            assert!(approver.key == key && !approver.name().is_empty());
        }
    }
}
