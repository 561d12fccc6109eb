//! A small HTTP server: an axum router on a bound listener, with a shutdown that does not wait for clients.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A response extension that closes the connection instead of sending the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutConnection;

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `router` on `listener` until [`Server::shutdown`].
    ///
    /// # Errors
    /// When the listener has no local address.
    pub(crate) fn start(listener: TcpListener, router: Router) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = Some(tokio::spawn(accept(listener, router, stopped)));
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// Returns the listening address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and closes open connections.
    pub(crate) async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // The runtime has already reported a panic of the task.
            task.await.ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Send small responses immediately: the client is on the same machine.
                stream.set_nodelay(true).ok();
                let router = TowerToHyperService::new(router.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    answer(router.clone(), request)
                });
                connections.spawn(async move {
                    let serve = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = serve.await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
        }
    }
    connections.shutdown().await;
}

/// Turns a response marked [`CutConnection`] into an error, for which hyper closes the connection.
async fn answer(
    router: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let Ok(response) = router.call(request.map(Body::new)).await;
    if response.extensions().get::<CutConnection>().is_some() {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(response)
}
