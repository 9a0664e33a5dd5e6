//! Settings as flags.
//!
//! Owns: turning the settings of a role into arguments, and what was given back into texts.
//! Leaves to others: what the texts mean ([`super::layers`]).
//! Always: a flag that was not given leaves no trace, so that the layers below are seen.

use std::marker::PhantomData;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

use super::{Role, Setting, variable};

/// A role as a type.
pub trait Of: Clone + std::fmt::Debug {
    /// The role.
    const ROLE: Role;
}

macro_rules! roles {
    ($($(#[doc = $doc:literal])* $name:ident),*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub struct $name;
        impl Of for $name {
            const ROLE: Role = Role::$name;
        }
    )*};
}
roles! {
    /// `holdfast server`.
    Server,
    /// `holdfast gateway`.
    Gateway,
    /// `holdfast shard-node`.
    ShardNode,
    /// Commands that speak to a cluster.
    Client
}

/// The flags that were given, by key.
#[derive(Clone, Debug)]
pub struct Flags<R> {
    /// Key and texts.
    pub given: Vec<(String, Vec<String>)>,
    role: PhantomData<R>,
}

impl<R> Default for Flags<R> {
    fn default() -> Self {
        Self {
            given: Vec::new(),
            role: PhantomData,
        }
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let mut help: Vec<&str> = setting.doc.iter().map(|line| line.trim()).collect();
    let (default, name) = (setting.default, variable(setting.key));
    let more = match default {
        "" => format!("[{name}]"),
        default => format!("[{name}, default {default}]"),
    };
    help.push(&more);
    Arg::new(setting.key)
        .long(setting.flag().trim_start_matches("--").to_owned())
        .value_name(setting.kind.name)
        .value_parser(ValueParser::string())
        .help(help.join(" "))
        .action(match setting.kind.many {
            true => ArgAction::Append,
            false => ArgAction::Set,
        })
}

impl<R: Of> clap::Args for Flags<R> {
    fn augment_args(command: Command) -> Command {
        let settings = R::ROLE.settings().filter(|setting| setting.has_flag());
        command.args(settings.map(argument))
    }
    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<R: Of> FromArgMatches for Flags<R> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for setting in R::ROLE.settings().filter(|setting| setting.has_flag()) {
            if let Some(texts) = matches.get_many::<String>(setting.key) {
                let texts = texts.cloned().collect();
                self.given.push((setting.key.to_owned(), texts));
            }
        }
        Ok(())
    }
}
