//! Where log events go: to standard error, as lines for people or as JSON for machines.

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{Directive, ParseError},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// What to log, as `info` or `warn,shardstore=debug`: a level, then levels by module.
    pub filter: String,
}

impl Default for Settings {
    /// Text from level info on.
    fn default() -> Self {
        Self { json: false, filter: "info".to_owned() }
    }
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log filter {filter:?} is not valid: write a level, as info, or warn,shardstore=debug")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something else in this process has set up its own logging.
    #[error("logging was already set up by other code in this process")]
    Taken,
}

static DONE: Mutex<bool> = Mutex::new(false);

/// Sets up logging for the process. The first call decides; later ones check their filter and
/// change nothing, so that every test may call it.
pub fn init(settings: Settings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|source| Error::Filter { filter: settings.filter, source })?
        .add_directive(silence());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if *done {
        return Ok(());
    }
    let lines = if settings.json {
        json(io::stderr).boxed()
    } else {
        fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| Error::Taken)?;
    *done = true;
    Ok(())
}

/// s3s logs signatures at debug and whole request bodies at error: it stays silent whatever
/// the filter says. The s3 crate logs what is worth logging of a request.
fn silence() -> Directive {
    "s3s=off".parse().expect("a constant directive")
}

/// One object a line: the event's fields at the top, the innermost span's under `span`, where
/// the request id is.
fn json<W>(writer: W) -> impl Layer<Registry> + Send + Sync
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer().json().flatten_event(true).with_span_list(true).with_writer(writer)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use super::*;
    use crate::{RequestId, request_id};

    #[test]
    fn the_first_call_decides_and_bad_filters_are_refused() {
        let settings = Settings::default();
        init(settings.clone()).expect("first");
        init(Settings { json: true, ..settings }).expect("no effect");
        let error = init(Settings { json: false, filter: "a=b=c".to_owned() });
        let error = error.expect_err("not a filter").to_string();
        assert!(error.contains("\"a=b=c\""), "{error}");
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The request id reaches every event inside its scope, at any level of the filter.
    #[tokio::test]
    async fn json_events_carry_the_request_id() {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = json(move || writer.clone()).with_filter(EnvFilter::new("warn"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let id = RequestId::generate();
        request_id::scope(id, async {
            tracing::info!("not logged");
            tracing::warn!(disk = 3, "disk is slow");
        })
        .await;
        drop(guard);
        let text = String::from_utf8(sink.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [&*format!("\"request_id\":\"{id}\""), "\"disk\":3", "\"disk is slow\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
