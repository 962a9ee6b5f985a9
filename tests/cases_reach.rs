//! Certificates and ports that are wrong, each told apart by `check`, with what to do about it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::World;
use support::nobody::nobody;

/// A TLS server that is ended with the test.
struct Tls {
    child: Child,
    port: u16,
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").current_dir(folder).args(arguments).output().expect("openssl is needed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// An authority `ca.pem`, and certificates that it signed: `good` and `other` by their names, `old` by its time.
fn certificates(folder: &Path) {
    let key = ["req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj"];
    openssl(
        folder,
        &[&key[..], &["/CN=muster test authority", "-x509", "-days", "30", "-keyout", "ca.key", "-out", "ca.pem"]]
            .concat(),
    );
    for (name, host) in [("good", "localhost"), ("other", "elsewhere.example"), ("old", "localhost")] {
        let (request, key_file, certificate) = (format!("{name}.csr"), format!("{name}.key"), format!("{name}.pem"));
        openssl(folder, &[&key[..], &["/CN=server", "-keyout", &key_file, "-out", &request]].concat());
        std::fs::write(folder.join("names"), format!("subjectAltName=DNS:{host}\n")).unwrap();
        let days = if name == "old" { "-1" } else { "30" };
        let sign =
            ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-sha256", "-extfile", "names"];
        openssl(folder, &[&sign[..], &["-days", days, "-in", &request, "-out", &certificate]].concat());
    }
}

fn serve(folder: &Path, name: &str) -> Tls {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let child = Command::new("openssl")
        .current_dir(folder)
        .args([
            "s_server",
            "-quiet",
            "-www",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
            &certificate,
            "-key",
            &key,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is needed");
    let tls = Tls { child, port };
    for _ in 0..500 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return tls;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("openssl s_server does not listen");
}

/// The failure of the only system at an address.
#[track_caller]
fn failure(world: &World, url: &str, further: &str) -> Value {
    world.write(
        "jobs/reach.toml",
        format!(
            "name = \"reach\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.vault]\nkind = \"scim\"\nurl = \"{url}\"\n{further}\n\
             [[sync]]\nfrom = \"hr.users\"\nto = \"vault.users\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\n\
             attributes = {{ externalId = \"id\", userName = \"login\" }}\n[apply]\nretry_budget = \"1s\"\n"
        ),
    );
    world.write("hr/users.csv", "id,login\nE1,ada@corp.example\n");
    let said = world.muster(&["check", "reach", "--json"]).ended(1);
    let steps = said.json();
    let failed: Vec<&Value> = steps.as_array().unwrap().iter().filter(|step| step["failure"].is_object()).collect();
    assert_eq!(failed.len(), 1, "{steps:#}");
    failed[0]["failure"].clone()
}

#[test]
fn each_way_that_is_barred_has_its_own_stage_and_remedy() {
    let world = World::new();
    std::fs::create_dir_all(world.path().join("tls")).unwrap();
    let folder = world.path().join("tls");
    certificates(&folder);
    let (good, other, old) = (serve(&folder, "good"), serve(&folder, "other"), serve(&folder, "old"));
    let plain = world.server();
    let trusted = "ca_file = \"../tls/ca.pem\"";
    let at = |tls: &Tls| format!("https://localhost:{}/scim/v2", tls.port);
    let cases = [
        ("https://no-such-host.invalid/scim/v2".to_owned(), "", "resolve", "name service of this machine"),
        (format!("http://{}/scim/v2", nobody()), "", "connect", "firewall or proxy"),
        (at(&old), trusted, "tls", "have the certificate renewed"),
        (at(&other), trusted, "tls", "the name that the certificate is for"),
        (at(&good), "", "tls", "set ca_file"),
        (plain.url.replace("http://", "https://"), "", "tls", "speaks no TLS"),
        (at(&good).replace("https://", "http://"), "", "http", "write https://"),
    ];
    let mut remedies = Vec::new();
    for (url, further, stage, remedy) in cases {
        let failure = failure(&world, &url, further);
        assert_eq!(
            (failure["class"].as_str(), failure["stage"].as_str()),
            (Some("connection"), Some(stage)),
            "{failure:#}"
        );
        let told = failure["remedy"].as_str().unwrap().to_owned();
        assert!(told.contains(remedy), "{failure:#}");
        assert!(!remedies.contains(&told), "{told}");
        remedies.push(told);
    }
    // Trusted and of the right name, it is the next stage that fails: a page for people, no API.
    let failure = failure(&world, &at(&good), trusted);
    assert_eq!(failure["stage"], "http", "{failure:#}");
}
