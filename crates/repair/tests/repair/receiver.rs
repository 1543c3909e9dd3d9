//! A webhook on a port of its own that answers as the test says.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    Refuse,
    /// To the same address: who follows it comes back.
    Redirect,
    /// The connection is closed without an answer.
    Close,
    /// The event is taken, and the answer is lost.
    TakeAndClose,
    Hang,
}

/// A request, in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) method: String,
    pub(crate) content_type: String,
    pub(crate) authorization: Option<String>,
    pub(crate) id: String,
    pub(crate) event: Value,
    pub(crate) answer: Answer,
}

impl Arrival {
    pub(crate) fn key(&self) -> &str {
        self.event["detail"]["object"]["key"].as_str().expect("a key")
    }

    pub(crate) fn sequencer(&self) -> &str {
        self.event["detail"]["object"]["sequencer"].as_str().expect("a sequencer")
    }

    /// Kind, and what else tells events apart: `Object Deleted/DeleteObject`.
    pub(crate) fn kind(&self) -> String {
        let kind = self.event["detail-type"].as_str().expect("a type");
        match self.event["detail"]["deletion-type"].as_str() {
            Some(deletion) => format!("{kind}/{deletion}"),
            None => kind.to_owned(),
        }
    }
}

type Script = Box<dyn FnMut() -> Answer + Send>;

struct State {
    script: Mutex<Script>,
    arrivals: Mutex<Vec<Arrival>>,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

impl Receiver {
    pub(crate) async fn start(script: impl FnMut() -> Answer + Send + 'static) -> Self {
        let state =
            Arc::new(State { script: Mutex::new(Box::new(script)), arrivals: Mutex::default() });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepting = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = accepting.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    let _ = serving.await;
                });
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state.arrivals.lock().clone()
    }

    /// Keys and kinds that were taken, each event once, in the order of their first arrival.
    pub(crate) fn taken(&self) -> Vec<(String, String)> {
        let mut seen = std::collections::BTreeSet::new();
        let taken = |it: &Arrival| matches!(it.answer, Answer::Take | Answer::TakeAndClose);
        let mut arrivals = self.arrivals();
        arrivals.retain(|it| taken(it) && seen.insert(it.id.clone()));
        arrivals.iter().map(|it| (it.key().to_owned(), it.kind())).collect()
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { std::future::pending().await };
    let text = |name: &str| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let answer = (state.script.lock())();
    state.arrivals.lock().push(Arrival {
        method: head.method.to_string(),
        content_type: text("content-type").unwrap_or_default(),
        authorization: text("authorization"),
        id: text("x-shardlake-event-id").unwrap_or_default(),
        event: serde_json::from_slice(&body.to_bytes()).expect("JSON"),
        answer,
    });
    let respond = |status: u16| {
        let response = Response::builder().status(status).header("location", "/hook");
        Ok(response.body(Full::default()).expect("a response"))
    };
    match answer {
        Answer::Take => respond(204),
        Answer::Refuse => respond(500),
        Answer::Redirect => respond(307),
        // The connection's task dies, and the connection with it.
        Answer::Close | Answer::TakeAndClose => panic!("by request of the test"),
        Answer::Hang => std::future::pending().await,
    }
}
