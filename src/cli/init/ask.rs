//! Questions on a terminal, one at a time: plain lines, that any terminal shows and any screen reader reads.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Result, bail};
use tokio::sync::mpsc;

use crate::report::safe_text;

/// One question.
pub(super) struct Question<'q> {
    pub(super) text: String,
    /// What an empty answer means.
    pub(super) default: Option<String>,
    /// What `?` shows.
    pub(super) help: &'q str,
}

/// The person at the terminal.
#[derive(Default)]
pub(super) struct Person {
    /// What is typed; nothing is read before something is asked.
    lines: Option<mpsc::Receiver<String>>,
}

impl Person {
    /// Whoever sits at the terminal; `None` where there is none.
    pub(super) fn here() -> Option<Self> {
        (std::io::stdin().is_terminal() && std::io::stderr().is_terminal()).then(Self::default)
    }

    /// Asks until an answer will do.
    ///
    /// # Errors
    /// The end of the input.
    pub(super) async fn ask<T>(
        &mut self,
        question: &Question<'_>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T> {
        loop {
            let default = match question.default.as_deref() {
                None => String::new(),
                Some("") => " [none]".to_owned(),
                Some(default) => format!(" [{}]", safe_text::line(default)),
            };
            let mut screen = std::io::stderr();
            let _ = write!(screen, "{}{default}: ", safe_text::line(&question.text));
            let _ = screen.flush();
            let Some(line) = self.lines.get_or_insert_with(typed).recv().await else {
                eprintln!("");
                bail!("the input ended before all was answered; nothing was written");
            };
            let answer = match (line.trim(), &question.default) {
                ("?", _) => {
                    eprintln!("  {}", question.help.replace('\n', "\n  "));
                    continue;
                }
                ("", Some(default)) => default.clone(),
                (answer, _) => answer.to_owned(),
            };
            match check(&answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => eprintln!("  {}", safe_text::line(&why)),
            }
        }
    }
}

/// The lines that are typed. A thread of its own reads them: nothing waits for it at the end, when it still waits for one.
fn typed() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if send.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}
