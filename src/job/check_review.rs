//! Checks of who decides.

use super::approvers;
use super::file::{RequireFile, RequireWord};
use super::problem::Problem;
use super::validate::Checked;

pub(super) fn rule(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if let Some(RequireFile::Operations(operations)) = &checked.file.review.require
        && operations.is_empty()
    {
        let message =
            "an empty list would have every order approved by rule; write \"blocked-or-held\" if that is meant";
        problems.push(checked.places.at("review.require", message));
    }
}

pub(super) fn approvers(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let review = &checked.file.review;
    let Some(named) = &review.approvers else {
        // Without signatures a reviewer is a name that anybody can take: two of them may be one person.
        for (asked, key) in [(review.reviewers.unwrap_or(1) > 1, "reviewers"), (review.four_eyes, "four_eyes")] {
            if asked {
                let message = format!("`{key}` without `approvers` would count names that anybody can take");
                let hint = Some("name an OpenSSH allowed_signers file in `approvers`, so that people sign".to_owned());
                problems.push(Problem { hint, ..checked.places.at(&format!("review.{key}"), message) });
            }
        }
        return;
    };
    if !matches!(&review.require, None | Some(RequireFile::Word(RequireWord::Always))) {
        let message = "an approval by rule carries no signature, and `approvers` asks for one";
        let hint = Some("write require = \"always\", or leave `approvers` out".to_owned());
        problems.push(Problem { hint, ..checked.places.at("review.require", message) });
    }
    let file = checked.folder.join(named);
    if named.as_os_str().is_empty() || !file.is_file() {
        let message = format!("the approvers file `{}` is not there", named.display());
        let hint = Some("it is an OpenSSH allowed_signers file, beside the job file or with its full path".to_owned());
        problems.push(Problem { hint, ..checked.places.at("review.approvers", message) });
        return;
    }
    // Which moment a time without a zone means is asked where approvals are verified; here it only has to be one.
    match approvers::read(&file, |time| Some(time.and_utc())) {
        Ok(approvers) => {
            let (people, asked) = (approvers.people(), review.reviewers.unwrap_or(1));
            if (asked as usize) > people {
                let message = format!("{asked} reviewers are asked for, and `{}` names {people}", named.display());
                problems.push(checked.places.at("review.reviewers", message));
            }
        }
        Err(faults) => {
            for fault in faults {
                problems.push(checked.places.at("review.approvers", format!("{}: {fault}", named.display())));
            }
        }
    }
}
