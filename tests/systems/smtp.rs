//! Messages through a real mail server: STARTTLS by an own authority, a login, and what it refuses.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::company::{Company, people};
use crate::told;

/// The mail server, and the mails that were seen already.
struct Server {
    port: u16,
    home: PathBuf,
    seen: usize,
}

impl Server {
    fn told() -> Self {
        let mut server = Self {
            port: told("MUSTER_TEST_SMTP_PORT").parse().unwrap(),
            home: told("MUSTER_TEST_SMTP_HOME").into(),
            seen: 0,
        };
        server.collect();
        server
    }

    /// What arrived since the last time, as another program read it.
    fn collect(&mut self) -> Vec<Value> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.home.join("box")).unwrap().map(|e| e.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let new = files.split_off(self.seen);
        self.seen += new.len();
        new.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
    }

    #[track_caller]
    fn one(&mut self) -> Value {
        let mut mails = self.collect();
        assert_eq!(mails.len(), 1, "{mails:#?}");
        mails.remove(0)
    }

    /// `[report]` of a job that mails there.
    fn report(&self, to: &str, further: &str) -> String {
        format!(
            "[report]\nemail = {{ to = [\"{to}\"], from = \"muster@müller.example\", server = \"smtp://localhost:{}\", \
             starttls = true, auth = {{ user = \"muster\", password = \"env:SMTP_PASSWORD\" }}, {further} }}\n",
            self.port
        )
    }

    fn own_authority(&self) -> String {
        format!("ca_file = \"{}\"", self.home.join("ca.pem").display())
    }
}

/// Runs a command with the password of the mail server.
fn muster(company: &Company, password: &str, args: &[&str]) -> crate::support::Said {
    let mut command = company.world.command(args);
    command.env("SMTP_PASSWORD", password);
    command.output().unwrap().into()
}

#[test]
fn mail_goes_encrypted_and_with_a_login_and_hostile_names_are_inert() {
    let mut server = Server::told();
    let password = told("MUSTER_TEST_SMTP_PASSWORD");
    let company = Company::with(60, &server.report("iam@example.com", &server.own_authority()));
    let run = |status: i32| muster(&company, &password, &["run", "corp"]).ended(status);
    muster(&company, &password, &["check", "corp"]).ended(0).says(&[
        "STARTTLS",
        "encrypted",
        "muster is logged in",
        "NOOP",
    ]);
    company.settle();
    company.hr(&people(20));
    run(4);
    let mail = server.one();
    assert_eq!((&mail["tls"], &mail["login"], &mail["defects"]), (&json!(true), &json!(true), &json!([])));
    assert!(mail["subject"].as_str().unwrap().starts_with("muster: corp held: "), "{mail:#}");
    assert!(mail["text"].as_str().unwrap().contains(" --accept "), "{mail:#}");
    run(4);
    assert!(server.collect().is_empty());

    let mut staff = people(60);
    staff.extend(people(61).pop());
    let hostile = "Ünal 田中 <script>alert(1)</script>\u{1b}[2J\u{202e}";
    staff[60].id = hostile.to_owned();
    company.hr(&staff);
    company.vault.faults(json!({"rules": [{"method": "POST", "action": {"status": {"code": 403}}}]}));
    run(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "ok"]).ended(0);
    muster(&company, &password, &["apply", "corp"]).ended(5);
    let mail = server.one();
    assert!(mail["subject"].as_str().unwrap().contains("errors: 1 order failed (permission)"), "{mail:#}");
    for part in ["text", "html"] {
        let text = mail[part].as_str().unwrap();
        assert!(text.contains("Ünal"), "{part}: {text}");
        assert!(
            !text.contains(['\u{1b}', '\u{202e}']) && text.contains("<script>a") != (part == "html"),
            "{part}: {text}"
        );
    }
    assert_eq!(mail["from"], "muster@xn--mller-kva.example");
    let names: Vec<&str> =
        mail["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| **name == "To" || **name == "Subject").count(), 2, "{names:?}");
    assert!(!names.contains(&"Bcc"), "{names:?}");
}

#[test]
fn what_the_mail_server_refuses_is_told_and_sent_at_the_next_run() {
    let mut server = Server::told();
    let password = told("MUSTER_TEST_SMTP_PASSWORD");
    let own = server.own_authority();
    let company = Company::with(2, &server.report("iam@example.com", &own));
    company.settle();
    company.vault.faults(json!({"rules": [{"action": "drop-before"}]}));
    let mut run = |job: &str, password: &str, told: &[&str]| {
        company.job(job);
        muster(&company, password, &["run", "corp"]).ended(1).says(told).never_says(&[password]);
        server.collect()
    };
    let report = |to: &str, further: &str| Server::told().report(to, further);
    // Somebody else's authority, the machine's own, a wrong password.
    let other = own.replace("ca.pem", "other-ca.pem");
    let job = report("iam@example.com", &other);
    assert!(
        run(&job, &password, &["[connection, stage tls]", "set ca_file", "tried again at the next run"]).is_empty()
    );
    assert!(run(&job, &password, &["[connection, stage tls]"]).is_empty(), "it goes on waiting");
    let job = report("iam@example.com", &own);
    let refused = ["[credential, stage login, status 535]", "env:SMTP_PASSWORD"];
    assert!(run(&job, "not-the-password", &refused).is_empty());
    // Without STARTTLS this server takes nothing.
    let clear = job.replace("starttls = true", "starttls = false");
    assert!(run(&clear, &password, &["email: ", "takes no login by PLAIN or LOGIN here"]).is_empty());
    // An address that asks to come again.
    let later = Server::told().home.join("later");
    std::fs::write(&later, "").unwrap();
    assert!(run(&job, &password, &["try again later", "[server, stage permission, status 451]"]).is_empty());
    std::fs::remove_file(&later).unwrap();
    // From the start, on the port beside.
    let port = Server::told().port;
    let smtps = job.replace(&format!("smtp://localhost:{port}"), &format!("smtps://localhost:{}", port + 1));
    let mails = run(&smtps.replace("starttls = true, ", ""), &password, &[]);
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0]["subject"].as_str().unwrap().contains("vault could not be exported"), "{mails:#?}");
    assert!(run(&job, &password, &[]).is_empty(), "it was told");
}
