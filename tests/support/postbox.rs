//! Who is told: a mail server that keeps what it gets, and a service of the web that does. As much of both as a plain
//! `cargo test` needs; `tests/systems` has a real mail server.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub raw: String,
}

impl Mail {
    /// A header, unfolded; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.raw.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.unwrap_or_default()
    }

    pub fn subject(&self) -> String {
        self.header("Subject")
    }

    /// The part of a media type, decoded.
    pub fn part(&self, kind: &str) -> String {
        let start = self.raw.find(&format!("Content-Type: {kind}")).unwrap_or_else(|| panic!("{kind}: {}", self.raw));
        let part = self.raw[start..].split("\r\n\r\n").nth(1).unwrap();
        let body = &self.raw[self.raw.find(part).unwrap()..];
        unquoted(body.split("\r\n--").next().unwrap())
    }

    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    pub fn html(&self) -> String {
        self.part("text/html")
    }
}

/// Quoted-printable (RFC 2045 section 6.7) read back.
fn unquoted(text: &str) -> String {
    let text = text.replace("=\r\n", "").replace("\r\n", "\n");
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// A mail server on this machine, without TLS.
pub struct Postbox {
    port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// What it says to these addresses instead of taking them.
    refusals: Arc<Mutex<Vec<(String, String)>>>,
}

impl Postbox {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let refusals: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (kept, refused) = (mails.clone(), refusals.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = talk(stream, &kept, &refused);
            }
        });
        Self { port, mails, refusals }
    }

    /// Its address, as a job file names it.
    pub fn server(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// `[report] email` of a job file that mails there.
    pub fn email(&self, when: &str) -> String {
        format!("email = {{ to = [\"iam@example.com\"], when = \"{when}\", server = \"{}\" }}\n", self.server())
    }

    /// From here on an address is refused so: `451 later`; an empty answer takes it again.
    pub fn refuse(&self, address: &str, answer: &str) {
        let mut refusals = self.refusals.lock().unwrap();
        refusals.retain(|(refused, _)| refused != address);
        if !answer.is_empty() {
            refusals.push((address.to_owned(), answer.to_owned()));
        }
    }

    /// What arrived since the last time.
    pub fn collect(&self) -> Vec<Mail> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }

    /// The one mail that arrived since the last time.
    #[track_caller]
    pub fn one(&self) -> Mail {
        let mut mails = self.collect();
        let subjects: Vec<String> = mails.iter().map(Mail::subject).collect();
        assert_eq!(mails.len(), 1, "{subjects:?}");
        mails.remove(0)
    }

    /// Fails if anything arrived since the last time.
    #[track_caller]
    pub fn none(&self) {
        let subjects: Vec<String> = self.collect().iter().map(Mail::subject).collect();
        assert!(subjects.is_empty(), "{subjects:?}");
    }
}

fn talk(stream: TcpStream, kept: &Mutex<Vec<Mail>>, refused: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    out.write_all(b"220 postbox ESMTP\r\n")?;
    let mut mail = Mail { from: String::new(), to: Vec::new(), raw: String::new() };
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let said = line.trim_end().to_owned();
        line.clear();
        let address = |said: &str| said.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match said.split([' ', ':']).next().unwrap().to_ascii_uppercase().as_str() {
            "EHLO" => "250-postbox\r\n250 8BITMIME".to_owned(),
            "MAIL" => {
                mail = Mail { from: address(&said), to: Vec::new(), raw: String::new() };
                "250 ok".to_owned()
            }
            "RCPT" => {
                let to = address(&said);
                match refused.lock().unwrap().iter().find(|(refused, _)| *refused == to) {
                    Some((_, answer)) => answer.clone(),
                    None => {
                        mail.to.push(to);
                        "250 ok".to_owned()
                    }
                }
            }
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let mut part = String::new();
                while reader.read_line(&mut part)? > 0 && part != ".\r\n" {
                    mail.raw.push_str(part.strip_prefix('.').unwrap_or(&part));
                    part.clear();
                }
                kept.lock().unwrap().push(mail.clone());
                "250 kept".to_owned()
            }
            "NOOP" => "250 ok".to_owned(),
            "QUIT" => {
                out.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => "500 what".to_owned(),
        };
        out.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// A message as a service of the web got it.
#[derive(Clone, Debug)]
pub struct Post {
    pub head: String,
    pub body: String,
}

impl Post {
    pub fn header(&self, name: &str) -> String {
        let name = format!("{}: ", name.to_ascii_lowercase());
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&name));
        line.map(|line| line[name.len()..].to_owned()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A service of the web on this machine.
pub struct Hook {
    pub url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    answer: Arc<Mutex<String>>,
}

impl Hook {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let posts: Arc<Mutex<Vec<Post>>> = Arc::default();
        let answer = Arc::new(Mutex::new("204 No Content\r\n".to_owned()));
        let (kept, says) = (posts.clone(), answer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = taken(stream, &kept, &says);
            }
        });
        Self { url, posts, answer }
    }

    /// Status and headers of its answers from here on, each with its line end.
    pub fn answers(&self, answer: &str) {
        *self.answer.lock().unwrap() = answer.to_owned();
    }

    /// What arrived since the last time.
    pub fn collect(&self) -> Vec<Post> {
        std::mem::take(&mut self.posts.lock().unwrap())
    }
}

fn taken(mut stream: TcpStream, kept: &Mutex<Vec<Post>>, says: &Mutex<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    let mut post = Post { head, body: String::new() };
    let length: usize = post.header("Content-Length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    post.body = String::from_utf8(body).unwrap();
    if post.head.starts_with("POST ") {
        kept.lock().unwrap().push(post);
    }
    let answer = says.lock().unwrap().clone();
    stream.write_all(format!("HTTP/1.1 {answer}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
}
