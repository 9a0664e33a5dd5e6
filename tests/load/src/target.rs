//! The servers that are loaded, each with what belongs to it.

use std::sync::atomic::AtomicBool;

use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::flags::Flags;
use crate::server::{Launch, Server};
use crate::sign::Credentials;

/// One server, running before or started for the run.
#[derive(Debug)]
pub struct Target {
    /// Its name in tables.
    pub name: String,
    /// Where it speaks S3.
    pub endpoint: Endpoint,
    /// Who we are to it.
    pub credentials: Credentials,
    /// Its processes; their descendants count too.
    pub pids: Vec<i32>,
    /// Where its sync counters are.
    pub metrics: Vec<Endpoint>,
    /// The child, if we started it.
    pub server: Option<Server>,
}

/// Resolves the flags to targets and starts the servers that are to be started.
///
/// # Errors
/// `Usage` if per-target flags do not fit the number of targets, and whatever starting gives.
pub fn targets(flags: &Flags, interrupted: &AtomicBool) -> Result<Vec<Target>, LoadError> {
    let count = flags.endpoint.len() + flags.start.len();
    let names = per_target("--name", &flags.name, count)?;
    let access_keys = per_target("--access-key", &flags.access_key, count)?;
    let secret_keys = per_target("--secret-key", &flags.secret_key, count)?;
    let pids = lists(&per_target(
        "--server-pid",
        &joined(&flags.server_pid, count),
        count,
    )?);
    let urls = lists(&per_target(
        "--metrics-url",
        &joined(&flags.metrics_url, count),
        count,
    )?);
    let endpoints = flags.endpoint.iter().map(|url| Endpoint::parse(url));
    let endpoints: Vec<Endpoint> = endpoints.collect::<Result<_, _>>()?;

    let mut all = Vec::new();
    for index in 0..count {
        let credentials = Credentials::new(access_keys[index].clone(), secret_keys[index].clone());
        let server = match index.checked_sub(flags.endpoint.len()) {
            None => None,
            Some(nth) => Some(Server::start(&Launch {
                command: &flags.start[nth],
                credentials: &credentials,
                work_dir: &flags.work_dir.clone().unwrap_or_else(std::env::temp_dir),
                ready_timeout: flags.ready_timeout,
                interrupted,
            })?),
        };
        let endpoint = match &server {
            Some(server) => Endpoint::parse(&server.s3_url)?,
            None => endpoints[index].clone(),
        };
        let mut metrics = endpoints_of(&urls[index])?;
        if let Some(admin) = server
            .as_ref()
            .and_then(|server| server.admin_url.as_deref())
            && metrics.is_empty()
        {
            metrics.push(Endpoint::parse(&format!(
                "{}/metrics",
                admin.trim_end_matches('/')
            ))?);
        }
        let mut roots = pids_of(&pids[index])?;
        roots.extend(server.as_ref().map(Server::pid));
        let letter = u8::try_from(index).map_or('?', |nth| char::from(b'A' + nth % 26));
        let given = &names[index];
        let name = if given.is_empty() {
            letter.to_string()
        } else {
            given.clone()
        };
        all.push(Target {
            name,
            endpoint,
            credentials,
            pids: roots,
            metrics,
            server,
        });
    }
    Ok(all)
}

/// With one target all values of a list belong to it.
fn joined(values: &[String], count: usize) -> Vec<String> {
    if count == 1 && !values.is_empty() {
        vec![values.join(",")]
    } else {
        values.to_vec()
    }
}

/// One value for each of `count` targets: none given, one for all keys, or as many as targets.
fn per_target(flag: &str, values: &[String], count: usize) -> Result<Vec<String>, LoadError> {
    match values {
        [] => Ok(vec![String::new(); count]),
        [one] if flag.ends_with("-key") => Ok(vec![one.clone(); count]),
        _ if values.len() == count => Ok(values.to_vec()),
        _ => Err(LoadError::Usage(format!(
            "{flag} is given {} times for {count} targets: once for each, in order (- for none)",
            values.len()
        ))),
    }
}

/// The parts of comma-separated values; `-` is none.
fn lists(values: &[String]) -> Vec<Vec<String>> {
    let parts = |value: &String| {
        value
            .split(',')
            .filter(|part| !matches!(*part, "" | "-"))
            .map(str::to_owned)
            .collect()
    };
    values.iter().map(parts).collect()
}

fn endpoints_of(urls: &[String]) -> Result<Vec<Endpoint>, LoadError> {
    urls.iter().map(|url| Endpoint::parse(url)).collect()
}

fn pids_of(texts: &[String]) -> Result<Vec<i32>, LoadError> {
    let parse = |text: &String| {
        let pid = text.parse().ok().filter(|&pid: &i32| pid > 0);
        pid.ok_or_else(|| LoadError::Usage(format!("--server-pid: {text:?} is not a process id")))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use clap::Parser as _;

    use super::targets;
    use crate::flags::Flags;

    fn resolve(line: &str) -> Result<Vec<super::Target>, crate::error::LoadError> {
        let flags = Flags::parse_from(line.split_whitespace());
        targets(&flags, &AtomicBool::new(false))
    }

    #[test]
    fn per_target_flags_belong_to_the_targets_in_their_order() {
        let all = resolve(
            "x --endpoint http://127.0.0.1:1 --endpoint http://127.0.0.1:2 --server-pid 10,11 \
             --server-pid 12 --metrics-url - --metrics-url http://127.0.0.1:3/metrics \
             --access-key k --secret-key one --secret-key two",
        )
        .unwrap();
        assert_eq!((all[0].name.as_str(), all[1].name.as_str()), ("A", "B"));
        assert_eq!(
            (all[0].pids.as_slice(), all[1].pids.as_slice()),
            (&[10, 11][..], &[12][..])
        );
        assert_eq!((all[0].metrics.len(), all[1].metrics.len()), (0, 1));
        assert_eq!(all[1].credentials.access_key(), "k");
        assert_eq!(all[1].credentials.secret_key(), "two");
    }

    #[test]
    fn one_target_takes_all_process_ids() {
        let all = resolve("x --endpoint http://127.0.0.1:1 --server-pid 1 --server-pid 2");
        assert_eq!(all.unwrap()[0].pids, [1, 2]);
    }

    #[test]
    fn flags_that_do_not_fit_the_targets_are_refused() {
        for line in [
            "x --endpoint http://127.0.0.1:1 --endpoint http://127.0.0.1:2 --server-pid 1",
            "x --endpoint http://127.0.0.1:1 --name a --name b",
            "x --endpoint http://127.0.0.1:1 --server-pid init",
            "x --endpoint http://192.0.2.1:1",
        ] {
            assert!(resolve(line).is_err(), "{line}");
        }
    }
}
