//! The lifetime of a local run: it ends at a signal, or with the process that started it.
//!
//! The owner holds the other end of the local run's standard input. It closes however the owner ends,
//! including by `kill -9`, and then the local run ends and removes everything it owns. A byte on
//! standard input makes the local run independent of its owner.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use tokio::process::ChildStdin;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// The owner's end of the pipe. The local run ends when it is dropped.
#[derive(Debug, Default)]
pub struct Lifeline(Option<ChildStdin>);

impl Lifeline {
    /// Ties the local run with this standard input to `self`.
    pub fn hold(&mut self, input: Option<ChildStdin>) {
        self.0 = input;
    }

    /// Makes the local run independent of this process. It then runs until it is stopped.
    ///
    /// # Errors
    /// When the local run has already ended.
    pub fn let_go(self) -> std::io::Result<()> {
        let Some(input) = self.0 else { return Ok(()) };
        std::fs::File::from(input.into_owned_fd()?).write_all(b".")
    }
}

/// Receives SIGINT and SIGTERM after [`Signals::listen`].
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to receive the signals.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}

/// The owner of a local run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The process at the other end of standard input.
    StandardInput,
    /// No owner: only a signal ends the local run.
    None,
}

/// The reason why a local run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A signal was received. The sender removes the directory.
    Asked,
    /// The owner is gone. The local run removes its directory itself.
    Orphaned,
}

/// The events that end a local run.
pub(super) struct Ends {
    signals: Signals,
    orphaned: Arc<Notify>,
}

impl Ends {
    pub(super) fn listen(owner: Owner) -> std::io::Result<Self> {
        let orphaned = Arc::new(Notify::new());
        if owner == Owner::StandardInput {
            // A thread, because a read of standard input cannot be canceled: a task would delay the exit of
            // the process.
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
