//! Somebody outside wants a command to end: a signal of the service manager, Ctrl-C.

use std::sync::Arc;

use tokio::sync::watch;

/// Told once, seen wherever something new would begin: what is under way at a target ends by itself.
#[derive(Clone, Debug)]
pub struct Halt(Arc<watch::Sender<Option<&'static str>>>);

impl Default for Halt {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Halt {
    /// Begin nothing more; `by` says who told so, for people: `SIGTERM`.
    pub fn raise(&self, by: &'static str) {
        self.0.send_replace(Some(by));
    }

    /// Who told to end, where somebody did.
    pub fn by(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits until somebody does.
    pub async fn raised(&self) -> &'static str {
        let mut told = self.0.subscribe();
        match told.wait_for(Option::is_some).await.ok().and_then(|by| *by) {
            Some(by) => by,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }
}
