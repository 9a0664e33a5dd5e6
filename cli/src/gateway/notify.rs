//! Who can be told of events, from the settings.
//!
//! Owns: reading the settings `notify_*`; a task for each target.
//! Leaves to others: targets themselves (`gateway` crate).
//! Always: what is wrong stops the start, naming the setting; a token is in no message.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_gateway::auth::Secret;
use holdfast_gateway::notify::{Allowed, Queue, Target, Targets, Tls, Webhook};
use holdfast_gateway::object::Service;
use holdfast_seam::{Task, World};
use ipnet::IpNet;

use super::config::GatewayConfig;
use super::metrics::Metrics;
use crate::error::CliError;

const NAME_LEN_MAX: usize = 64;
const TOKEN_LEN_MAX: usize = 8 << 10;

/// The targets that are configured.
///
/// # Errors
/// `Usage`.
pub fn targets(config: &GatewayConfig) -> Result<Targets, CliError> {
    let allowed = allowed(&config.notify_allow)?;
    let mut tokens = tokens(&config.notify_token_file)?;
    let tls = tls(config)?;
    let mut targets: BTreeMap<String, Arc<dyn Target>> = BTreeMap::new();
    for (at, text) in config.notify_webhook.iter().enumerate() {
        let (name, url) = pair("--notify-webhook", (at + 1, text.as_str()), "NAME=URL")?;
        let token = tokens.remove(name);
        let webhook = Webhook::new(url, token, allowed.clone(), tls.as_ref())
            .map_err(|why| usage(&format!("--notify-webhook {name}: {why}")))?;
        if targets.insert(name.to_owned(), Arc::new(webhook)).is_some() {
            return Err(usage(&format!("--notify-webhook {name} is given twice")));
        }
    }
    match tokens.keys().next() {
        None => Ok(Targets::new(&config.region, targets)),
        Some(name) => Err(usage(&format!(
            "--notify-token-file {name}: there is no --notify-webhook of this name"
        ))),
    }
}

/// TLS, if a webhook has it.
fn tls(config: &GatewayConfig) -> Result<Option<Tls>, CliError> {
    let is_tls = |text: &&String| text.contains("=https://");
    if config.notify_webhook.iter().find(is_tls).is_none() {
        return Ok(None);
    }
    let tls = Tls::new(config.notify_ca_file.as_deref());
    tls.map(Some)
        .map_err(|why| usage(&format!("--notify-ca-file: {why}")))
}

/// Where events wait for the targets that are configured.
///
/// # Errors
/// `Usage`.
pub fn queue(config: &GatewayConfig, metrics: &Metrics) -> Result<Queue, CliError> {
    let targets = targets(config)?;
    let max = config.notify_queue_max;
    Ok(Queue::new(targets, max, metrics.notify.clone()))
}

/// Starts a task for each target, and one that counts what waits for others.
pub fn tell(service: &Service, events: &Queue, world: &World) -> Vec<Task> {
    let start = |(name, _): (&str, _)| {
        let work = service.clone().watch_events(name.to_owned());
        world.spawn.task("events", Box::pin(work))
    };
    let mut tasks: Vec<Task> = events.targets().all().map(start).collect();
    let service = service.clone();
    let orphans = async move {
        if let Err(error) = service.count_orphans().await {
            tracing::warn!(%error, "events of targets that are not configured were not counted");
        }
    };
    tasks.push(world.spawn.task("events of nobody", Box::pin(orphans)));
    tasks
}

fn allowed(networks: &[String]) -> Result<Allowed, CliError> {
    let read = |text: &String| {
        text.parse::<IpNet>().map_err(|_| {
            usage(&format!(
                "--notify-allow {text}: it is not a network such as 10.1.0.0/16"
            ))
        })
    };
    let networks: Result<Vec<IpNet>, CliError> = networks.iter().map(read).collect();
    Ok(Allowed::new(networks?))
}

fn tokens(files: &[String]) -> Result<BTreeMap<String, Secret>, CliError> {
    let mut tokens = BTreeMap::new();
    for (at, text) in files.iter().enumerate() {
        let (name, path) = pair("--notify-token-file", (at + 1, text.as_str()), "NAME=PATH")?;
        let bad = |why: &str| usage(&format!("--notify-token-file {name}: {path}: {why}"));
        let token = std::fs::read_to_string(path).map_err(|error| bad(&error.to_string()))?;
        let token = token.trim();
        let is_plain = token.bytes().all(|c| c.is_ascii_graphic());
        if token.is_empty() || token.len() > TOKEN_LEN_MAX || !is_plain {
            return Err(bad("it holds no token"));
        }
        tokens.insert(name.to_owned(), Secret::new(token));
    }
    Ok(tokens)
}

fn pair<'a>(
    setting: &str,
    (number, text): (usize, &'a str),
    form: &str,
) -> Result<(&'a str, &'a str), CliError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let is_name = |name: &str| (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(plain);
    match text.split_once('=') {
        Some((name, value)) if is_name(name) && !value.is_empty() => Ok((name, value)),
        // Of what cannot be read nobody knows which part is a secret.
        _ => Err(usage(&format!(
            "{setting}: what is given as its {number}. value must be {form}, with a name of at \
             most {NAME_LEN_MAX} letters, digits and -_."
        ))),
    }
}

fn usage(why: &str) -> CliError {
    CliError::Usage(why.to_owned())
}

#[cfg(test)]
mod tests {
    //! Facts about what is said of settings that are wrong.
    use super::*;

    #[test]
    fn what_is_refused_is_not_repeated() {
        for text in [
            "https://user:SECRET@x/",
            "https://x/?token=SECRET",
            "SECRET",
            "=SECRET",
            "a b=http://SECRET/",
        ] {
            let refused = pair("--notify-webhook", (2, text), "NAME=URL").unwrap_err();
            let said = refused.to_string();
            assert!(
                said.contains("2. value") && said.contains("NAME=URL"),
                "{said}"
            );
            assert!(!said.contains("SECRET"), "{said}");
        }
        let read = pair("--notify-webhook", (1, "a=http://x/?b=c"), "NAME=URL");
        assert_eq!(read.unwrap(), ("a", "http://x/?b=c"));
    }
}
