//! When a local run ends: at a signal, or with the process that brought it up.
//!
//! The owner holds the other end of the local run's standard input. It closes however the owner ends,
//! also by `kill -9`, and then the local run goes with all that is its own; a byte lets it stay.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use tokio::process::ChildStdin;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The owner's end. The local run lives as long as it does.
#[derive(Debug, Default)]
pub struct Lifeline(Option<ChildStdin>);

impl Lifeline {
    /// Holds the local run whose standard input this is.
    pub fn hold(&mut self, input: Option<ChildStdin>) {
        self.0 = input;
    }

    /// Lets the local run live on without an owner, until somebody ends it.
    ///
    /// # Errors
    /// When the local run is gone.
    pub fn let_go(self) -> std::io::Result<()> {
        let Some(input) = self.0 else { return Ok(()) };
        std::fs::File::from(input.into_owned_fd()?).write_all(b".")
    }
}

/// SIGINT and SIGTERM, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}

/// Who owns a local run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The process at the other end of standard input.
    StandardInput,
    /// No process: only a signal ends it.
    None,
}

/// Why a local run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody asked, and removes its directory.
    Asked,
    /// Its owner is gone: nobody else removes its directory.
    Orphaned,
}

/// What ends a local run.
pub(super) struct Ends {
    signals: Signals,
    orphaned: Arc<Notify>,
}

impl Ends {
    pub(super) fn listen(owner: Owner) -> std::io::Result<Self> {
        let orphaned = Arc::new(Notify::new());
        if owner == Owner::StandardInput {
            // A thread, since a read of standard input cannot be given up: a task would hold the
            // end of the process up.
            let gone = Arc::clone(&orphaned);
            std::thread::spawn(move || {
                if !matches!(std::io::stdin().read(&mut [0]), Ok(1)) {
                    gone.notify_one();
                }
            });
        }
        Ok(Self {
            signals: Signals::listen()?,
            orphaned,
        })
    }

    pub(super) async fn next(&mut self) -> End {
        tokio::select! {
            () = self.signals.next() => End::Asked,
            () = self.orphaned.notified() => End::Orphaned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ends, Owner};
    use std::time::Duration;

    #[tokio::test]
    async fn a_local_run_without_an_owner_waits_for_a_signal_on_its_way_up_and_after() {
        let mut ends = Ends::listen(Owner::None).unwrap();
        for _ in ["on its way up", "when it is ready"] {
            let end = tokio::time::timeout(Duration::ZERO, ends.next()).await;
            assert!(end.is_err());
        }
    }
}
