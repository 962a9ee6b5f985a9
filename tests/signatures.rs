//! Where a job names approvers, an approval is a signature: of the right people, of exactly these bytes, in time.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use support::Said;
use support::company::{Company, people};

const REVIEW: &str = "[review]\napprovers = \"approvers.pub\"\n";
const TWO: &str = "[review]\napprovers = \"approvers.pub\"\nreviewers = 2\n";

/// A company with keys for its people, of whom these approve, and a first run that waits.
struct Signed {
    company: Company,
    run: String,
}

impl Signed {
    fn new(review: &str, approvers: &[&str]) -> Self {
        let company = Company::of(4);
        let signed = Signed { company, run: String::new() };
        for name in ["jane", "joe", "eve", "tester"] {
            signed.key(name, &["-t", "ed25519"]);
        }
        signed.approvers(approvers);
        signed.company.job(review);
        signed.company.world.muster(&["run", "corp"]).ended(3);
        let run = signed.company.world.newest_run("corp");
        Self { run, ..signed }
    }

    fn key(&self, name: &str, kind: &[&str]) {
        self.company.world.write("keys/.keep", "");
        let file = self.path(&format!("keys/{name}"));
        let status = Command::new("ssh-keygen").args(["-q", "-N", "", "-C", name, "-f"]).arg(file).args(kind).status();
        assert!(status.unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.company.world.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.company.world.run_file("corp", &self.run, name)
    }

    /// Each as `name` or `name options`.
    fn approvers(&self, lines: &[&str]) {
        let line = |line: &&str| {
            let (name, options) = line.split_once(' ').unwrap_or((line, ""));
            let key = self.company.world.read(&format!("keys/{name}.pub"));
            format!("{name}@corp.example {options} {key}").replace("  ", " ")
        };
        self.company.world.write("jobs/approvers.pub", lines.iter().map(line).collect::<String>());
    }

    fn muster(&self, args: &[&str]) -> Said {
        self.company.world.muster(args)
    }

    fn approve(&self, who: &str) -> Said {
        self.muster(&["approve", &self.run, "--all", "--comment", "HR-1", "--sign", &format!("keys/{who}")])
    }

    /// `ssh-keygen -Y`, in the scratch folder, with a file on its standard input.
    fn ssh_keygen(&self, args: &[&str], input: Option<PathBuf>) -> bool {
        let input = input.map_or_else(Stdio::null, |file| fs::File::open(file).unwrap().into());
        let mut command = Command::new("ssh-keygen");
        command.current_dir(self.company.world.path()).arg("-Y").args(args).stdin(input);
        command.output().unwrap().status.success()
    }

    fn sent(&self) -> usize {
        self.company.vault.all("Users").len() + self.company.vault.all("Groups").len()
    }

    /// Nothing of the run is applied, and the command says why.
    #[track_caller]
    fn refused(&self, why: &[&str]) {
        for command in [["apply", self.run.as_str()], ["run", "corp"]] {
            self.muster(&command).ended(1).says(why);
        }
        assert_eq!(self.sent(), 0, "something was sent");
    }
}

#[test]
fn every_kind_of_key_signs_and_ssh_keygen_agrees() {
    let signed = Signed::new("", &["jane"]);
    for (name, kind) in [("p256", ["ecdsa", "256"]), ("p384", ["ecdsa", "384"]), ("rsa", ["rsa", "3072"])] {
        signed.key(name, &["-t", kind[0], "-b", kind[1]]);
    }
    signed.key("p521", &["-t", "ecdsa", "-b", "521"]);
    let names = ["jane", "p256", "p384", "rsa"];
    signed.approvers(&[&names[..], &["p521"]].concat());
    signed.company.job(REVIEW);
    // The job asks for it now, though the run began without: nothing is sealed unsigned.
    let unsigned = signed.muster(&["approve", &signed.run, "--all", "--comment", "x"]).ended(2);
    unsigned.says(&["signed by one of", "approvers.pub", "--sign KEY", "--prepare FILE"]);
    let sign = |name: &str| {
        let key = format!("keys/{name}");
        signed.muster(&["approve", &signed.run, "--first", "3", "--comment", "some", "--sign", &key])
    };
    sign("eve").ended(1).says(&["the key SHA256:", "is not listed there"]);
    sign("p521").ended(1).says(&["ecdsa-sha2-nistp521 keys are not taken"]);
    sign("nobody").ended(1).says(&["ssh-keygen did not sign with keys/nobody", "nothing was sealed"]);
    assert!(!signed.file("approval-1.json").exists());
    for (number, name) in names.iter().enumerate() {
        let who = format!("{name}@corp.example");
        sign(name).says(&["approved, by", &who]);
        let file = format!("approval-{}.json", number + 1);
        let signature = signed.file(&format!("{file}.sig"));
        let verify = ["verify", "-f", "jobs/approvers.pub", "-I", &who, "-n", "muster", "-s"];
        assert!(signed.ssh_keygen(&[&verify[..], &[signature.to_str().unwrap()]].concat(), Some(signed.file(&file))));
    }
    signed.muster(&["log", "--format", "json"]).says(&["\"p384@corp.example\""]);
    signed.muster(&["apply", "corp"]).ended(0);
    assert_eq!(signed.sent(), 7);
}

#[test]
fn a_review_is_signed_elsewhere_and_counts_once() {
    let signed = Signed::new(REVIEW, &["jane"]);
    let prepare = ["approve", &signed.run, "--all", "--comment", "HR-1", "--prepare", "review.json"];
    signed.muster(&prepare).ended(3).says(&["11 orders", "nothing is sealed yet", "ssh-keygen -Y sign -n muster"]);
    signed.muster(&prepare).ended(2).says(&["is there already"]);
    assert!(!signed.file("approval-1.json").exists());
    let seal = |file: &str| {
        let signature = format!("{file}.sig");
        signed.muster(&["approve", "corp", "--seal", file, "--signature", &signature])
    };
    let sign = |key: &str, namespace: &str, file: &str| {
        let _ = fs::remove_file(signed.path(&format!("{file}.sig")));
        assert!(signed.ssh_keygen(&["sign", "-f", &format!("keys/{key}"), "-n", namespace, file], None));
    };
    seal("review.json").ended(1).says(&["cannot read review.json.sig"]);
    // Another purpose, another person, other bytes, a longer time.
    sign("jane", "file", "review.json");
    seal("review.json").ended(1).says(&["it was made for `file`", "-n muster"]);
    sign("eve", "muster", "review.json");
    seal("review.json").ended(1).says(&["is not listed there"]);
    let text = signed.company.world.read("review.json");
    signed.company.world.write("other.json", text.replace("HR-1", "HR-2"));
    sign("jane", "muster", "review.json");
    fs::copy(signed.path("review.json.sig"), signed.path("other.json.sig")).unwrap();
    seal("other.json").ended(1).says(&["it does not fit what is signed"]);
    let review: serde_json::Value = serde_json::from_str(&text).unwrap();
    let until = review["expires"].as_str().unwrap();
    signed.company.world.write("long.json", text.replace(until, &until.replacen("20", "21", 1)));
    sign("jane", "muster", "long.json");
    seal("long.json").ended(1).says(&["longer than `review.expires` allows"]);
    assert!(!signed.file("approval-1.json").exists());
    seal("review.json").ended(0).says(&["11 orders approved, by jane@corp.example", "approval-1.json"]);
    seal("review.json").ended(1).says(&["it is sealed already"]);
    assert_eq!(fs::read(signed.file("approval-1.json")).unwrap(), text.as_bytes(), "what was signed is what is kept");
    signed.muster(&["apply", "corp"]).ended(0);

    // A later run has nothing of it, by whichever way the files come there.
    let mut staff = people(4);
    staff[0].family = "Married".into();
    signed.company.hr(&staff);
    signed.muster(&["run", "corp"]).ended(3);
    let later = Signed { run: signed.company.world.newest_run("corp"), company: signed.company };
    let replay = ["approve", &later.run, "--seal", "review.json", "--signature", "review.json.sig"];
    later.muster(&replay).ended(1).says(&["it is a review of run", &later.run]);
    let first = Signed { run: signed.run, company: later.company };
    let copied =
        [fs::read(first.file("approval-1.json")).unwrap(), fs::read(first.file("approval-1.json.sig")).unwrap()];
    let later = Signed { run: later.run, company: first.company };
    let put = || {
        fs::write(later.file("approval-1.json"), &copied[0]).unwrap();
        fs::write(later.file("approval-1.json.sig"), &copied[1]).unwrap();
    };
    put();
    later.muster(&["apply", &later.run]).ended(3);
    later.approve("jane").ended(0);
    put();
    later.muster(&["apply", &later.run]).ended(1).says(&["belongs to run", &first.run]);
    let user = later.company.vault.user("user0001@corp.example").unwrap();
    assert_eq!(user["name"]["familyName"], "Family1");
}

#[test]
fn a_signature_is_verified_again_when_it_is_acted_upon() {
    let signed = Signed::new(REVIEW, &["jane", "joe"]);
    signed.approve("jane").ended(0);
    let (file, signature) = (signed.file("approval-1.json"), signed.file("approval-1.json.sig"));
    let good = fs::read_to_string(&signature).unwrap();
    fs::remove_file(&signature).unwrap();
    signed.refused(&["approval 1", "approval-1.json.sig is gone", "approve again"]);
    let at = good.len() / 2;
    let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
    fs::write(&signature, [&good[..at], other, &good[at + 1..]].concat()).unwrap();
    signed.refused(&["approval 1", "proves nothing"]);
    // Another approver's own signature of the same bytes is still not what was sealed.
    fs::copy(&file, signed.path("copy")).unwrap();
    assert!(signed.ssh_keygen(&["sign", "-f", "keys/joe", "-n", "muster", "copy"], None));
    fs::copy(signed.path("copy.sig"), &signature).unwrap();
    signed.refused(&["it was sealed as jane@corp.example's, and its signature is joe@corp.example's"]);
    fs::write(&signature, &good).unwrap();
    for (line, why) in [
        (None, "the key SHA256:"),
        (Some("jane valid-before=\"20200101Z\""), "the key of jane@corp.example was valid only until 2020-01-01"),
        (Some("jane valid-after=\"20990101Z\""), "the key of jane@corp.example is valid only from 2099-01-01"),
        (Some("jane namespaces=\"git,file\""), "for namespaces=\"git,file\" only"),
    ] {
        signed.approvers(&[&["joe"][..], line.as_slice()].concat());
        signed.refused(&["approval 1", "approvers.pub", why]);
    }
    signed.approvers(&["joe"]);
    signed.approve("joe").ended(0).says(&["11 orders approved, by joe@corp.example"]);
    // What is left of the other's word is told, and joe's counts.
    signed.muster(&["apply", "corp"]).ended(1).says(&["approval 1", "is not listed there"]);
    assert_eq!(signed.sent(), 7);
}

#[test]
fn two_reviewers_are_two_people() {
    let signed = Signed::new(TWO, &["jane", "joe"]);
    signed.approve("jane").ended(3).says(&["11 orders approved in part", "another reviewer's approval: 11 orders"]);
    signed.muster(&["review", "corp"]).says(&["[pending-review, approved by 1 of 2: jane@corp.example]"]);
    signed.muster(&["status", "corp"]).says(&["1 of 2 reviewers approved 11 orders"]);
    signed.approve("jane").ended(3).says(&["approved in part"]);
    signed.muster(&["apply", "corp"]).ended(3);
    // Neither less asked for later, nor a forged state, makes one of them enough.
    signed.company.job(REVIEW);
    signed.muster(&["run", "corp", "--mode", "complete"]).ended(3);
    let db = rusqlite::Connection::open(signed.company.world.state().join("muster.db")).unwrap();
    let forge = |state: &str| {
        let set = "approved_by = 2, approval_expires = '2999-01-01T00:00:00Z'";
        db.execute(&format!("UPDATE orders SET state = '{state}', {set}"), []).unwrap();
    };
    forge("approved");
    signed.muster(&["apply", "corp"]).ended(1).says(&["1 of 2 reviewers approved 11 orders", "another one has to"]);
    forge("pending-review");
    assert_eq!(signed.sent(), 0);
    // One who is against it is enough.
    let orders = signed.company.world.orders("corp", &signed.run);
    let group = orders.iter().find(|o| o["resource"] == "vault.groups").unwrap()["id"].as_str().unwrap();
    signed
        .muster(&["reject", &signed.run, "--order", group, "--comment", "no", "--sign", "keys/joe"])
        .says(&["1 order rejected"]);
    signed.approve("joe").says(&["orders approved, by joe@corp.example"]);
    signed.muster(&["apply", "corp"]).ended(0);
    assert_eq!(signed.sent(), 6);
}

#[test]
fn a_hold_is_accepted_by_as_many() {
    let signed = Signed::new(TWO, &["jane", "joe"]);
    signed.company.hr(&people(60));
    signed.muster(&["run", "corp"]).ended(3);
    for who in ["jane", "joe"] {
        signed.muster(&["approve", "corp", "--all", "--comment", "all", "--sign", &format!("keys/{who}")]);
    }
    signed.muster(&["apply", "corp"]).ended(0);
    let off = "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n";
    signed.company.job(&format!("{TWO}{off}"));
    signed.company.hr(&people(50));
    signed.muster(&["run", "corp"]).ended(4);
    let held = Signed { run: signed.company.world.newest_run("corp"), company: signed.company };
    let names: Vec<String> = {
        let said = held.muster(&["review", &held.run]);
        let words =
            said.out.split_whitespace().filter(|word| word.starts_with("vault.") && word.matches('/').count() == 2);
        words.map(|word| word.trim_end_matches(':').to_owned()).collect()
    };
    let mut accept = vec!["approve", &held.run, "--comment", "known"];
    for name in &names {
        accept.extend(["--accept", name]);
    }
    let by = |who: &'static str| held.muster(&[&accept[..], &["--sign", who]].concat());
    by("keys/jane").ended(4).says(&["another reviewer's acceptance"]);
    by("keys/jane").ended(4);
    // An edited limit moves what is planned next; what waits still waits for people.
    held.company.job(&format!("{REVIEW}{off}"));
    held.muster(&["apply", "corp"]).ended(4);
    held.company.job(&format!("{TWO}{off}"));
    // From here on nothing is exported: what was held is what goes on.
    let lists = json!({"rules": [{"method": "GET", "contains": "startIndex", "action": {"delay": {"ms": 0}}}]});
    held.company.vault.faults(lists);
    by("keys/joe").ended(3);
    held.approve("jane");
    held.approve("joe").ended(0);
    // Without the file that holds one of the acceptances there are not enough.
    fs::rename(held.file("approval-1.json"), held.path("away")).unwrap();
    fs::rename(held.file("approval-2.json"), held.path("away2")).unwrap();
    held.muster(&["apply", &held.run]).ended(1).says(&["do not accept that", "muster log --verify"]);
    fs::rename(held.path("away"), held.file("approval-1.json")).unwrap();
    fs::rename(held.path("away2"), held.file("approval-2.json")).unwrap();
    held.muster(&["apply", &held.run]).ended(0);
    let (_, counts) =
        support::send("GET", &format!("http://{}/_faults", held.company.vault.address()), Some(support::TOKEN), None);
    assert_eq!(counts["rules"][0]["seen"], 0, "{counts}");
    let active = held.company.vault.all("Users").iter().filter(|user| user["active"] == true).count();
    assert_eq!(active, 50);
}

#[test]
fn whoever_started_a_run_approves_nothing_of_it() {
    let signed = Signed::new(&format!("{REVIEW}four_eyes = true\n"), &["tester", "jane"]);
    signed.approve("tester").ended(1).says(&["tester started the run", "review.four_eyes"]);
    assert!(!signed.file("approval-1.json").exists());
    // It is asked again when it is acted upon, also where the job began to ask only then.
    signed.company.job(REVIEW);
    signed.approve("tester").ended(1).says(&["tester started the run"]);
    signed.company.job(&format!("{REVIEW}four_eyes = true\n"));
    signed.approve("jane").ended(0);
    signed.muster(&["apply", "corp"]).ended(0);

    let later = Signed::new(REVIEW, &["tester"]);
    later.approve("tester").ended(0);
    later.company.job(&format!("{REVIEW}four_eyes = true\n"));
    later.refused(&["approval 1", "tester started the run"]);
}

#[test]
fn a_job_file_that_forgets_its_approvers_opens_nothing() {
    let signed = Signed::new(REVIEW, &["jane"]);
    for review in ["", "[review]\nrequire = \"blocked-or-held\"\n", "[review]\nexpires = \"1000d\"\n"] {
        signed.company.job(review);
        let unsigned = signed.muster(&["approve", &signed.run, "--all", "--comment", "x"]);
        assert!(unsigned.err.contains("review.approvers"), "{}", unsigned.err);
        signed.muster(&["run", "corp"]).ended(3);
        signed.muster(&["apply", "corp"]).ended(3);
    }
    fs::remove_file(signed.path("jobs/corp.toml")).unwrap();
    signed.muster(&["approve", &signed.run, "--all", "--comment", "x"]).ended(1).says(&["corp.toml is gone"]);
    assert!(!signed.file("approval-1.json").exists());
    signed.company.job(REVIEW);
    signed.approve("jane").ended(0);
    signed.company.job("");
    signed.refused(&["the job file names none any more"]);
    signed.company.job(REVIEW);
    signed.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn settings_that_would_promise_more_than_they_keep_are_refused() {
    let signed = Signed::new(REVIEW, &["jane"]);
    signed
        .company
        .world
        .write("jobs/patterns.pub", format!("*@corp.example {}", signed.company.world.read("keys/joe.pub")));
    for (review, why) in [
        ("[review]\nreviewers = 2\n", "`reviewers` without `approvers`"),
        ("[review]\nfour_eyes = true\n", "`four_eyes` without `approvers`"),
        ("[review]\nreviewers = 0\n", "0 is too small"),
        (TWO, "2 reviewers are asked for, and `approvers.pub` names 1"),
        (
            "[review]\napprovers = \"approvers.pub\"\nrequire = [\"delete\"]\n",
            "an approval by rule carries no signature",
        ),
        ("[review]\napprovers = \"patterns.pub\"\n", "patterns.pub: line 1: `*@corp.example` is a pattern"),
    ] {
        signed.company.job(review);
        signed.muster(&["run", "corp"]).ended(2).says(&["corp.toml:", why]);
    }
    signed.company.job("");
    let needless = ["approve", "corp", "--all", "--comment", "x", "--sign", "keys/jane"];
    assert!(signed.muster(&needless).err.contains("review.approvers"));
}
