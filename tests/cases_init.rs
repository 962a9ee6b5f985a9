//! A first job file, by questions: written, right at once, and never with a secret in it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{Said, TOKEN, World, files_below};

/// HR's files of two people and a leaver, two groups, and who is in which.
fn hr(world: &World) {
    let users = "login,employeeNumber,e-mail,First Name,lastName,Abteilung,aktiv,cost'Center\n\
        ada,E1,ada@corp.example,Ada,Lovelace,Engines,ja,4711\n\
        grace,E2,grace@corp.example,Grace,Hopper,Compilers,ja,4711\n\
        mary,E3,mary@corp.example,Mary,Somerville,Stars,nein,4711\n";
    world.write("hr/people.csv", users);
    world.write("hr/groups.csv", "id,name\nG1,readers\nG2,writers\n");
    world.write("hr/memberships.csv", "group,user\nG1,E1\nG2,E1\nG2,E2\n");
    world.write("hr/badges.csv", "id,door\nB1,north\n");
}

/// The file without the `#` before each example.
fn with_every_example(text: &str) -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(bare).collect()
}

#[test]
fn files_into_the_sandbox_run_at_once_and_every_example_is_a_good_one() {
    let world = World::new();
    hr(&world);
    let said = world.muster(&["init", "people", "--from", "csv:hr", "--to", "sandbox", "--yes"]).ended(0);
    said.says(&["jobs/people.toml is written", "muster check people", "muster run people", "read memberships.csv"]);
    let written = world.read("jobs/people.toml");
    for line in [
        "path = \"../hr\"",
        "keys = { people = [\"employeeNumber\"] }",
        "ignore = [\"hr.badges\"]",
        "scope = [\"aktiv.lowerAscii() == 'ja'\"]",
        "externalId = \"employeeNumber\"",
        "emails = \"e-mail\"",
        "\"name.givenName\" = \"First Name\"",
        "\"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department\" = \"Abteilung\"",
        "# Nothing is taken of: cost'Center.",
    ] {
        assert!(written.contains(line), "`{line}` is not in\n{written}");
    }
    world.muster(&["check", "people"]).ended(0).never_says(&["warning"]);
    world.settle("people");
    let export = world.state().join("export/people").join(world.newest_run("people")).join("vault");
    let users = std::fs::read_to_string(export.join("users.csv")).unwrap();
    assert!(users.contains("Hopper") && !users.contains("Somerville"), "{users}");
    assert_eq!(std::fs::read_to_string(export.join("memberships.csv")).unwrap().lines().count(), 4);

    // What is there stays, whoever asks for it, and a person goes on from it by taking a `#` away.
    world.muster(&["init", "people", "--from", "csv:hr", "--to", "sandbox"]).ended(2).says(&["is there already"]);
    assert_eq!(world.read("jobs/people.toml"), written);
    world.write("jobs/more.toml", with_every_example(&written));
    world.muster(&["schedule", "more"]).ended(0).says(&["03:05"]);
}

#[test]
fn files_into_a_service_are_provisioned_as_proposed() {
    let world = World::new();
    let vault = world.server();
    hr(&world);
    let to = format!("scim:{}", vault.url);
    // As a job file would have the folder, too.
    let init = ["init", "--from", "csv:../hr", "--to", &to, "--auth", "env:VAULT_TOKEN"];
    let said = world.muster(&init).ended(0).says(&["login", "proof", "externalId = employeeNumber"]);
    said.never_says(&[TOKEN, "FAILED", "not tried"]);
    world.settle("people");
    let grace = vault.user("grace").unwrap();
    assert_eq!((&grace["externalId"], &grace["name"]["givenName"]), (&"E2".into(), &"Grace".into()), "{grace}");
    assert_eq!(grace["emails"][0]["value"], "grace@corp.example", "{grace}");
    assert_eq!(vault.all("Groups").iter().flat_map(|group| group["members"].as_array().unwrap()).count(), 3);

    // A variable that is not set yet is no mistake: what to type is told, and the file names the usual attributes.
    let mut command = world.command(&["init", "later", "--from", "csv:hr", "--to", &to, "--auth", "env:NOT_YET"]);
    Said::from(command.output().unwrap()).ended(0).says(&["env:NOT_YET", "is not set", "export NOT_YET=…"]);
    assert!(world.read("jobs/later.toml").contains("userName = \"login\""));
    // An address where nobody answers is one, unless it is meant so.
    let nobody = ["init", "nobody", "--from", "csv:hr", "--to", "scim:http://127.0.0.1:1/x", "--auth", "none"];
    world.muster(&nobody).ended(1).says(&["FAILED", "connect", "not tried", "--untried"]);
    assert!(!world.path().join("jobs/nobody.toml").exists());
    world.muster(&[&nobody[..], &["--untried"]].concat()).ended(0).never_says(&["FAILED"]);
    world.muster(&["check", "nobody"]).ended(1).says(&["vault", "connect"]);
}

#[test]
fn what_is_wrong_is_told_with_its_option_and_no_secret_is_repeated() {
    let world = World::new();
    hr(&world);
    let scim = "scim:https://vault.example.com/scim/v2";
    let wrong: &[(&[&str], &[&str])] = &[
        (&[], &["--from KIND:ADDRESS", "--to KIND:ADDRESS"]),
        (&["--from", "csv:hr", "--to", scim], &["no terminal", "--auth to=… of scim"]),
        (
            &["--from", "keycloak:https://idp.example.com", "--to", "ldap"],
            &["--realm from=", "--auth from=", "--to ldap:ADDRESS", "--base to="],
        ),
        (
            &["--from", "csv:hr", "--to", "scim:https://muster:hunter2@vault.example.com"],
            &["--to: a credential may not stand in an address"],
        ),
        (&["--from", "csv:hr", "--to", "https://muster:hunter2@vault.example.com"], &["--to: say what kind"]),
        (&["--from", "csv:hr", "--to", "hunter2"], &["--to: this is no kind of system"]),
        (&["--from", "cvs:hr", "--to", "sandbox"], &["--from:", "did you mean `csv`?"]),
        (
            &["--from", "csv:hr", "--to", "scim:http://vault.example.com", "--auth", "hunter2"],
            &["--to: http would send", "--auth: this is no reference", "changed"],
        ),
        (
            &["--from", "csv:hr", "--to", scim, "--auth", "env:hunter2!"],
            &["--auth: what stands behind env: is no name"],
        ),
        (&["--from", "csv:hr", "--to", scim, "--auth", "env:A=hunter2"], &["--auth:", "environment variable"]),
        (
            &["--from", "csv:hr", "--to", scim, "--auth", "env:A", "--dialect", "delinae"],
            &["--dialect:", "did you mean `delinea`?"],
        ),
        (&["--from", scim, "--to", scim, "--auth", "env:A"], &["--auth: both systems", "from= or to="]),
        (&["--from", "csv:hr", "--to", "sandbox", "--realm", "corp"], &["--realm: neither"]),
        (
            &["--from", "csv:hr", "--to", "sandbox", "--map", "userName=logn"],
            &["no column `logn`", "did you mean `login`?"],
        ),
        (&["../x", "--from", "csv:hr", "--to", "sandbox"], &["`../x` cannot name a job"]),
    ];
    for (args, words) in wrong {
        let said = world.muster(&[&["init"], *args].concat()).ended(2).says(words);
        said.never_says(&["hunter2"]);
    }
    // A folder that is not there, or has nothing in it, is told as `check` tells it.
    world
        .muster(&["init", "--from", "csv:nowhere", "--to", "sandbox"])
        .ended(1)
        .says(&["FAILED", "nowhere cannot be read"]);
    world.write("empty/readme.txt", "");
    world
        .muster(&["init", "--from", "csv:empty", "--to", "sandbox"])
        .ended(1)
        .says(&["no csv file", "put users.csv there"]);
    let left: Vec<_> =
        files_below(world.path()).into_iter().filter(|file| !file.starts_with(world.path().join("hr"))).collect();
    assert_eq!(left, [world.path().join("empty/readme.txt")]);
    assert!(!world.path().join("jobs").exists());
}

#[test]
fn columns_of_any_name_are_quoted_and_rows_are_not_needed() {
    let world = World::new();
    let many: String = (0..500).map(|n| format!(",column {n}")).collect();
    let header =
        "id,\"E-\"\"Mail\"\"\",\"sur\nname\",true,\"email'); drop(\",\"\u{202e}x\",\u{1b}[31m,\"a # b = '\",login";
    world.write("drop/staff.csv", format!("{header}{many}\n"));
    world.write("drop/my file.csv", "a,b\n1,2\n");
    let map = ["--map", "nickName=true", "--map", "title=a # b = '"];
    let init = ["init", "odd", "--from", "csv:drop", "--to", "sandbox"];
    // A rule that is no rule is told before anything is tried.
    world.muster(&[&init[..], &map[2..]].concat()).ended(2).says(&["the rule of `title`"]);
    let said = world.muster(&init).ended(0).says(&["hr.staff → vault.users"]);
    said.never_says(&["\u{1b}", "\u{202e}"]);
    let written = world.read("jobs/odd.toml");
    assert!(!written.contains(['\u{1b}', '\u{202e}']) && written.contains("and 4"), "{written}");
    assert!(written.contains("\"name.familyName\" = \"row['sur\\\\U0000000aname']\""), "{written}");
    let row: String = (0..500).map(|n| format!(",{n}")).collect();
    world.write("drop/staff.csv", format!("{header}{many}\n1,a@x,Lovelace,t,b,c,d,e,ada{row}\n"));
    world.settle("odd");
}

#[test]
fn a_folder_as_the_target_gets_work_orders_and_a_stated_rule_goes_before_names() {
    let world = World::new();
    hr(&world);
    world.write("badges/cards.csv", "number,holder,mail\n");
    let init = ["init", "badges", "--from", "csv:hr", "--to", "csv:badges", "--map", "holder=lastName.upperAscii()"];
    world.muster(&init).ended(0).says(&["write work orders", "hr.people → desk.cards"]);
    let written = world.read("jobs/badges.toml");
    for line in ["orders = \"../badges/orders\"", "number = \"employeeNumber\"", "holder = \"lastName.upperAscii()\""] {
        assert!(written.contains(line), "`{line}` is not in\n{written}");
    }
    world.muster(&["run", "badges"]).ended(3).says(&["2 new orders"]);
}

#[test]
fn whoever_is_switched_off_is_told_to_a_folder_too() {
    let world = World::new();
    let staff = |ada: &str| format!("id,login,enabled\nE1,ada,{ada}\nE2,grace,true\n");
    world.write("hr/users.csv", staff("true"));
    world.write("desk/users.csv", staff("true"));
    world.muster(&["init", "desk", "--from", "csv:hr", "--to", "csv:desk"]).ended(0);
    world.muster(&["run", "desk"]).ended(0);
    world.write("hr/users.csv", staff("false"));
    world.muster(&["run", "desk"]).ended(3).says(&["1 new order"]);
}

#[test]
fn the_examples_of_its_help_write_job_files() {
    let help = World::new().muster(&["init", "--help"]).ended(0);
    let examples = help.out.split("Examples:").nth(1).unwrap().replace("\\\n", "");
    let examples: Vec<&str> = examples.lines().map(str::trim).filter(|line| line.starts_with("muster init ")).collect();
    assert!(examples.len() > 3, "{}", help.out);
    for example in examples {
        let world = World::new();
        hr(&world);
        // Nobody is reached by a name that is only an example.
        let mut args: Vec<&str> = example.split_whitespace().skip(1).collect();
        args.push("--untried");
        world.muster(&args).ended(0).says(&["jobs/people.toml is written"]);
        world.muster(&["schedule", "people"]).ended(0);
        assert!(world.read("jobs/people.toml").contains("# It was not tried when this was written"), "{example}");
    }
}

/// Types answers at a terminal; what is left unanswered meets the end of the input.
fn typed(world: &World, args: &str, answers: &str) -> Said {
    let plain = world.command(&[]);
    let command = format!("{} {args}", plain.get_program().to_string_lossy());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &command, "/dev/null"]).current_dir(world.path()).env_clear();
    terminal.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_person_at_a_terminal_is_asked_one_thing_after_the_other() {
    let world = World::new();
    let vault = world.server();
    world.write("hr/users.csv", "id,kuerzel,family\n1,ada,Lovelace\n");
    // Nobody answers at the first address; the credential is typed for a reference, and a help is asked for.
    let answers = format!(
        "../x\nteam\n\nnowhere\nchange\n\nhr\nscim\nhttp://127.0.0.1:1/x\n\n\n?\nhunter2\nenv:VAULT_TOKEN\nchange\n\n{}\n\n\n\nkurzel\nkuerzel\n\n",
        vault.url
    );
    let said = typed(&world, "init", &answers).ended(0);
    said.says(&[
        "`../x` cannot name a job",
        "nowhere cannot be read",
        "Never the secret itself",
        "this is no reference",
        "FAILED",
        "[env:VAULT_TOKEN]",
        "Which column of hr.users is `userName` of vault.users?",
        "did you mean `kuerzel`?",
        "jobs/team.toml is written",
    ]);
    assert!(!world.read("jobs/team.toml").contains("hunter2"));
    world.settle("team");
    assert_eq!(vault.user("ada").unwrap()["name"]["familyName"], "Lovelace");

    // Whoever ends it, or says no, leaves nothing behind.
    for answers in ["other\ncsv\nhr\n", "other\ncsv\nhr\nsandbox\n\nno\n"] {
        typed(&world, "init", answers).ended(1).says(&["nothing was written"]);
        assert_eq!(files_below(&world.path().join("jobs")), [world.path().join("jobs/team.toml")]);
    }
}
