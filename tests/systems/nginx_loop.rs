//! The whole loop through a gateway: TLS by an own authority, 429 with Retry-After, 413, answers that come too late; and a
//! kill in the middle.

use std::time::{Duration, Instant};

use crate::stages::brought_into_step;
use crate::support::World;
use crate::support::company::{Company as Staff, people};
use crate::whole_loop::{Company, System, job};

/// How often the gateway answered with a status.
fn answered(status: &str) -> usize {
    let log = std::fs::read_to_string(crate::told("MUSTER_TEST_NGINX_LOG")).unwrap();
    log.lines().filter(|line| line.starts_with(status)).count()
}

#[test]
fn a_webhook_behind_tls_gets_its_messages_and_an_unknown_authority_gets_none() {
    let hooks = std::path::PathBuf::from(crate::told("MUSTER_TEST_NGINX_LOG")).with_file_name("hooks.log");
    let seen = || std::fs::read_to_string(&hooks).unwrap_or_default();
    let url = format!("{}/hook", crate::told("MUSTER_TEST_NGINX_URL").trim_end_matches("/v2"));
    let report =
        |further: &str| format!("[report]\nwebhook = {{ url = \"{url}\", secret = \"file:hook.key\"{further} }}\n");
    let company = Staff::with(60, &report(""));
    company.world.write("jobs/hook.key", "hunter2hunter2\n");
    company.settle();
    company.hr(&people(20));
    let before = seen();
    company.world.muster(&["run", "corp"]).ended(4).says(&["[connection, stage tls]", "ca_file"]);
    assert_eq!(seen(), before);
    company.job(&report(&format!(", ca_file = \"{}\"", crate::told("MUSTER_TEST_NGINX_CA"))));
    company.world.muster(&["check", "corp"]).ended(0).says(&["webhook", "no message was sent"]);
    company.world.muster(&["run", "corp"]).ended(4);
    let log = seen();
    let posts: Vec<&str> = log[before.len()..].lines().filter(|line| line.starts_with("POST TLSv1.")).collect();
    assert_eq!(posts.len(), 1, "{log}");
    assert!(posts[0].contains(" t=") && posts[0].contains(",v1="), "{log}");
}

#[test]
fn a_gateway_that_throttles_refuses_and_loses_requests_comes_to_the_same() {
    let told = |what: &str| crate::told(&format!("MUSTER_TEST_NGINX_{what}"));
    let token = told("TOKEN");
    let through = System { url: told("URL"), token: token.clone() };
    // Whether it holds is asked of the server itself.
    let behind = System { url: told("UPSTREAM"), token };
    let world = World::new();
    world.write("token", &through.token);
    world.write("ca.pem", std::fs::read(told("CA")).unwrap());
    let text = job(&through).replace("concurrency = 4", "concurrency = 8\nretry_budget = \"10m\"");
    let text = text.replacen("kind = \"scim\"", "kind = \"scim\"\nca_file = \"../ca.pem\"\npage_size = 40", 1);
    world.write("jobs/corp.toml", text);
    let mut company = Company::new("@corp.example");
    company.drop(&world);
    world.muster(&["check", "corp"]).ended(0).says(&["tls", "the certificate is trusted"]);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);

    let mut apply = world.command(&["apply", "corp"]).spawn().unwrap();
    let began = Instant::now();
    while behind.get("/Users?count=0").1["totalResults"].as_u64().unwrap_or_default() < 200 {
        assert!(began.elapsed() < Duration::from_secs(120) && apply.try_wait().unwrap().is_none(), "nothing comes");
        std::thread::sleep(Duration::from_millis(50));
    }
    apply.kill().unwrap();
    apply.wait().unwrap();

    brought_into_step(&world, "corp", "after a kill");
    company.is_what_the_target_holds(&behind);
    company.a_day();
    company.drop(&world);
    brought_into_step(&world, "corp", "a day of changes");
    company.is_what_the_target_holds(&behind);
    world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert!(world.orders("corp", &world.newest_run("corp")).is_empty());
    let seen = ["429", "413", "504"].map(|status| (status, answered(status)));
    println!("the gateway answered {seen:?} in {:.0} s", began.elapsed().as_secs_f64());
    assert!(seen.iter().all(|(_, times)| *times > 0), "{seen:?}");
}
