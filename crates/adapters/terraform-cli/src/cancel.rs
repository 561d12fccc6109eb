//! The wish to stop, handed from whoever hears the signal to whoever runs the child.

use tokio::sync::watch;

/// Makes a pair: the handle asks for the stop, the [`Cancel`] is given to [`crate::Terraform`].
impl CancelHandle {
    /// A handle that has not asked for anything yet, and the side that listens to it.
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

    /// Asks for the stop. Asking again changes nothing: a child gets one SIGTERM, never two.
    pub fn cancel(&self) {
        self.sender.send_replace(true);
    }
}

/// The side that asks; dropping it without asking means "never".
#[derive(Debug)]
pub struct CancelHandle {
    sender: watch::Sender<bool>,
}

/// The side that listens. Clones listen to the same handle.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    receiver: Option<watch::Receiver<bool>>,
}

impl Cancel {
    /// A listener that is never asked to stop.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Whether the stop was asked for already.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.receiver
            .as_ref()
            .is_some_and(|receiver| *receiver.borrow())
    }

    /// Ends when the stop is asked for, and never when nobody can ask any more.
    pub async fn cancelled(&self) {
        if let Some(mut receiver) = self.receiver.clone()
            && receiver.wait_for(|asked| *asked).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
