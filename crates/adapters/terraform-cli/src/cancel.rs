//! A stop request, from the code that receives the signal to the code that runs the child process.

use tokio::sync::watch;

/// Creates the pair: the handle requests the stop, and [`crate::Terraform`] gets the [`Cancel`].
impl CancelHandle {
    /// Creates a handle without a request, and the [`Cancel`] that receives its request.
    #[must_use]
    pub fn new() -> (Self, Cancel) {
        let (sender, receiver) = watch::channel(false);
        (
            Self { sender },
            Cancel {
                receiver: Some(receiver),
            },
        )
    }

    /// Requests the stop. A repeated request has no effect: a child process gets one SIGTERM, never
    /// two.
    pub fn cancel(&self) {
        self.sender.send_replace(true);
    }
}

/// Requests a stop. Dropping it without a request means that the stop is never requested.
#[derive(Debug)]
pub struct CancelHandle {
    sender: watch::Sender<bool>,
}

/// Receives the request of a handle. Clones share one handle.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    receiver: Option<watch::Receiver<bool>>,
}

impl Cancel {
    /// Creates a value that never receives a request.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Returns whether the stop was requested.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.receiver
            .as_ref()
            .is_some_and(|receiver| *receiver.borrow())
    }

    /// Returns when the stop is requested. Never returns if the handle was dropped without a
    /// request.
    pub async fn cancelled(&self) {
        if let Some(mut receiver) = self.receiver.clone()
            && receiver.wait_for(|asked| *asked).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
