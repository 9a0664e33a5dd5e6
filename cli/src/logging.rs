//! Logs.
//!
//! Owns: where log lines go (stderr) and how they look.
//! Leaves to others: what is logged.
//! Always: refusals that the S3 library logs as errors are not logged (they are answers, not
//! failures of ours); secrets never reach a line, because their types print as `[redacted]`.

use std::io::IsTerminal;

use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{ConfigError, LogFormat, Origin, ProcessConfig};

/// Starts logging.
///
/// # Errors
/// `Value` if the filter cannot be read.
pub fn start(config: &ProcessConfig) -> Result<(), ConfigError> {
    let targets = filter(&config.log).map_err(|why| ConfigError::Value {
        key: "log",
        origin: Origin::Default,
        why,
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match config.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match json {
        true => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        false => layer.with_ansi(terminal).boxed(),
    };
    let filter = targets.and(filter_fn(holdfast_gateway::s3::loggable));
    // Fails only if a test started logging before; then its lines go where it wants them.
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    Ok(())
}

fn filter(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_| {
        format!(
            "{text:?} is not a log filter: write for instance info or info,holdfast_store=debug"
        )
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::filter;

    #[test]
    fn levels_are_set_by_module() {
        let usual = filter("info,holdfast_index=trace").unwrap();
        assert!(usual.would_enable("holdfast_store", &Level::INFO));
        assert!(!usual.would_enable("holdfast_store", &Level::DEBUG));
        assert!(usual.would_enable("holdfast_index", &Level::TRACE));
    }

    #[test]
    fn a_bad_filter_is_refused() {
        assert!(filter("holdfast=loud").is_err());
    }
}
