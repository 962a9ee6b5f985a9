//! What a service manager is told while a command works, and what it may ask: an end, cleanly and soon.
//!
//! Source: sd_notify(3), systemd.service(5) on `WatchdogSec=` and `TimeoutStopSec=`.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Ending;
use crate::model::event::{Event, Reporter};
use crate::report::console::Console;
use crate::report::event_line::{Level, event_line};
use crate::run::Halt;

/// How long what is under way may take once a command is told to end. Service managers kill later.
const GRACE: Duration = Duration::from_secs(8);

/// Tells the service manager, where there is one, that the work has begun and goes on.
pub(super) struct Status;

impl Reporter for Status {
    fn event(&self, event: &Event) {
        if let Some((Level::Info | Level::Warning | Level::Error, text)) = event_line(event) {
            tell(&[NotifyState::Status(&text)]);
        }
    }
}

/// Heeds SIGTERM and Ctrl-C from now on, and keeps the service manager's watchdog content.
///
/// Told to end, nothing new is begun; what has not ended of itself after eight seconds is left to the next run, which looks
/// up what was under way.
pub(super) fn begin(halt: &Halt, console: &Arc<Console>) {
    tell(&[NotifyState::Ready]);
    if let Some(patience) = sd_notify::watchdog_enabled() {
        tokio::spawn(async move {
            loop {
                tell(&[NotifyState::Watchdog]);
                tokio::time::sleep(patience / 3).await;
            }
        });
    }
    let (halt, console) = (halt.clone(), console.clone());
    let (Ok(mut end), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    tokio::spawn(async move {
        let by = tokio::select! {
            _ = end.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        halt.raise(by);
        tell(&[NotifyState::Stopping, NotifyState::Status("told to end")]);
        let seconds = GRACE.as_secs();
        console.aside(|| eprintln!("muster: {by}: nothing new is begun; what is under way may take {seconds} s"));
        tokio::select! {
            () = tokio::time::sleep(GRACE) => {}
            _ = interrupt.recv() => {}
        }
        console.end();
        eprintln!("muster: ended while something was under way; the next run looks it up before it sends anything");
        std::process::exit(i32::from(Ending::Failed.status()));
    });
}

/// Nobody listens, or not any more: that keeps no job from its work.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}
