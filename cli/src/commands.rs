//! From the command line to what it says.
//!
//! Owns: reading the configuration of the role, starting logs and runtime.
//! Leaves to others: the roles and commands.
//! Always: nothing is touched before the configuration was understood.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use holdfast_protocol::admin::accounts::AccountRequest;
use holdfast_protocol::admin::check::CheckRequest;
use holdfast_protocol::admin::heal::HealRequest;
use serde_json::{Value, json};

use crate::args::{Account, Cli, Cluster, Command, Config, Drive, Heal, Index, Key, Scrub};
use crate::client::{Admin, account, commands as client, redundancy};
use crate::config::flags::{Client, Flags, Of};
use crate::config::{Group, Layers, ProcessConfig, Resolved};
use crate::error::CliError;
use crate::output::{Format, Table, line, write};
use crate::{gateway, logging, process, rebuild, server, shard_node};

/// Threads of the runtime end so soon after the last future.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// Does what the command line says.
///
/// # Errors
/// What went wrong; its exit code is the process's.
pub fn run(cli: Cli) -> Result<(), CliError> {
    let Cli {
        output,
        config,
        command,
    } = cli;
    match command.unwrap_or_else(|| Command::Server(Flags::default())) {
        Command::Server(flags) => serve(&resolve(flags, config)?, server::run),
        Command::Gateway(flags) => serve(&resolve(flags, config)?, gateway::run),
        Command::ShardNode(flags) => serve(&resolve(flags, config)?, shard_node::run),
        Command::Index(Index::Rebuild(flags)) => {
            let resolved = rebuild::resolve(&flags, config)?;
            let process = ProcessConfig::read(&resolved)?;
            logging::start(&process)?;
            let work = rebuild::run(&resolved, &flags, output);
            block_on(process::worker_threads(&process), work)
        }
        Command::Index(Index::Check(flags)) => ask(flags, config, async |admin| {
            client::index_check(&admin, output).await
        }),
        Command::Heal(heal) => heal_command(heal, config, output),
        Command::Scrub(scrub) => scrub_command(scrub, config, output),
        Command::Check(flags) => ask(flags.client, config, async |admin| {
            let request = CheckRequest {
                deep: flags.deep,
                heal: flags.heal,
            };
            redundancy::check(&admin, request, output).await
        }),
        Command::Inspect(flags) => ask(flags.client, config, async |admin| {
            redundancy::inspect(&admin, &flags.object, flags.write, output).await
        }),
        Command::Durability(flags) => ask(flags, config, async |admin| {
            redundancy::durability(&admin, output).await
        }),
        Command::Drive(Drive::List(flags)) => ask(flags, config, async |admin| {
            client::drive_list(&admin, output).await
        }),
        Command::Drive(Drive::Replace(flags)) => ask(flags.client, config, async |admin| {
            client::drive_replace(&admin, &flags.drive, output).await
        }),
        Command::Cluster(Cluster::Status(flags)) => ask(flags, config, async |admin| {
            client::cluster_status(&admin, output).await
        }),
        Command::Cluster(Cluster::Ready(flags)) => ask(flags, config, async |admin| {
            client::cluster_ready(&admin, output).await
        }),
        Command::Account(command) => account_command(command, config, output),
        Command::Key(command) => key_command(command, config, output),
        Command::Config(Config::Show(show)) => {
            let resolved = Layers::of_process(Vec::new(), config).resolve(show.role)?;
            config_show(&resolved, output)
        }
        Command::Version => match output {
            Format::Table => line(concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()),
            Format::Json => write(
                output,
                &json!({ "version": env!("CARGO_PKG_VERSION") }),
                |_| Table::new(&[]),
            ),
        },
    }
}

fn heal_command(heal: Heal, config: Option<PathBuf>, output: Format) -> Result<(), CliError> {
    match heal {
        Heal::Status(flags) => ask(flags, config, async |admin| {
            client::heal_status(&admin, output).await
        }),
        Heal::Run(flags) => ask(flags.client, config, async |admin| {
            let request = HealRequest {
                dry_run: flags.dry_run,
                limit: Some(flags.limit),
            };
            redundancy::heal_run(&admin, request, output).await
        }),
        Heal::Pause(flags) => ask(flags, config, async |admin| {
            redundancy::steer(&admin, "heal/pause", output).await
        }),
        Heal::Resume(flags) => ask(flags, config, async |admin| {
            redundancy::steer(&admin, "heal/resume", output).await
        }),
    }
}

fn scrub_command(scrub: Scrub, config: Option<PathBuf>, output: Format) -> Result<(), CliError> {
    let (flags, path) = match scrub {
        Scrub::Status(flags) => {
            return ask(flags, config, async |admin| {
                redundancy::scrub_status(&admin, output).await
            });
        }
        Scrub::Start(flags) => (flags, "scrub/start"),
        Scrub::Pause(flags) => (flags, "scrub/pause"),
        Scrub::Resume(flags) => (flags, "scrub/resume"),
    };
    ask(flags, config, async |admin| {
        redundancy::steer(&admin, path, output).await
    })
}

fn account_command(
    command: Account,
    config: Option<PathBuf>,
    output: Format,
) -> Result<(), CliError> {
    match command {
        Account::List(flags) => ask(flags, config, async |admin| {
            account::list(&admin, output).await
        }),
        Account::Show(flags) => ask(flags.client, config, async |admin| {
            account::show(&admin, &flags.account, output).await
        }),
        Account::Create(flags) => ask(flags.client, config, async |admin| {
            let request = AccountRequest {
                name: flags.name,
                email: flags.email,
                is_admin: flags.admin,
            };
            account::create(&admin, request, output).await
        }),
        Account::Delete(flags) => ask(flags.client, config, async |admin| {
            account::delete(&admin, &flags.account, output).await
        }),
    }
}

fn key_command(command: Key, config: Option<PathBuf>, output: Format) -> Result<(), CliError> {
    let (flags, active) = match command {
        Key::List(flags) => {
            return ask(flags.client, config, async |admin| {
                account::key_list(&admin, flags.account.as_deref(), output).await
            });
        }
        Key::Create(flags) => {
            return ask(flags.client, config, async |admin| {
                let secret = flags.secret_file.as_deref();
                account::key_create(&admin, &flags.account, flags.key, secret, output).await
            });
        }
        Key::Delete(flags) => {
            return ask(flags.client, config, async |admin| {
                account::key_delete(&admin, &flags.key, output).await
            });
        }
        Key::Enable(flags) => (flags, true),
        Key::Disable(flags) => (flags, false),
    };
    ask(flags.client, config, async |admin| {
        account::key_set(&admin, &flags.key, active, output).await
    })
}

fn resolve<R: Of>(flags: Flags<R>, config: Option<PathBuf>) -> Result<Resolved, CliError> {
    Ok(Layers::of_process(flags.given, config).resolve(R::ROLE)?)
}

fn serve<'a, F: Future<Output = Result<(), CliError>>>(
    resolved: &'a Resolved,
    role: impl FnOnce(&'a Resolved) -> F,
) -> Result<(), CliError> {
    let config = ProcessConfig::read(resolved)?;
    logging::start(&config)?;
    block_on(process::worker_threads(&config), role(resolved))
}

fn ask<F: Future<Output = Result<(), CliError>>>(
    flags: Flags<Client>,
    config: Option<PathBuf>,
    work: impl FnOnce(Admin) -> F,
) -> Result<(), CliError> {
    let admin = Admin::new(&resolve(flags, config)?)?;
    block_on(1, work(admin))
}

fn block_on<T>(
    threads: usize,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| CliError::failed("start threads")(error.into()))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_END);
    done
}

fn config_show(resolved: &Resolved, output: Format) -> Result<(), CliError> {
    let settings: Vec<Value> = resolved
        .entries()
        .map(|entry| {
            json!({
                "key": entry.setting.key,
                "value": entry.shown(),
                "from": entry.origin.to_string(),
            })
        })
        .collect();
    write(output, &settings, |settings| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = settings
            .iter()
            .map(|s| [text(&s["key"]), text(&s["value"]), text(&s["from"])]);
        rows.fold(Table::new(&["KEY", "VALUE", "FROM"]), Table::row)
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_server() {
        assert!(Cli::parse_from(["holdfast"]).command.is_none());
    }

    #[test]
    fn the_output_format_works_before_and_after_the_verb() {
        for line in [
            ["holdfast", "-o", "json", "heal", "status"],
            ["holdfast", "heal", "-o", "json", "status"],
            ["holdfast", "heal", "status", "-o", "json"],
        ] {
            assert_eq!(Cli::parse_from(line).output, Format::Json, "{line:?}");
        }
    }

    #[test]
    fn flags_of_a_role_are_its_settings() {
        let line = [
            "holdfast",
            "shard-node",
            "--data-dir",
            "a",
            "--data-dir",
            "b",
            "--listen",
            "h:1",
            "--join",
            "http://g:9001",
        ];
        let Some(Command::ShardNode(flags)) = Cli::parse_from(line).command else {
            panic!("not a shard node");
        };
        let given: Vec<(&str, Vec<&str>)> = flags
            .given
            .iter()
            .map(|(key, texts)| (key.as_str(), texts.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            given,
            [
                ("data_dir", vec!["a", "b"]),
                ("listen", vec!["h:1"]),
                ("join", vec!["http://g:9001"])
            ]
        );
        assert!(Cli::try_parse_from(["holdfast", "gateway", "--join", "x"]).is_err());
    }

    #[test]
    fn secrets_have_no_flag() {
        for line in [
            ["holdfast", "server", "--secret-key=x"],
            ["holdfast", "gateway", "--cluster-secret=x"],
        ] {
            assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
        }
    }
}
