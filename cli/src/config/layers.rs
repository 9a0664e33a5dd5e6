//! Where settings come from, and which source wins.
//!
//! Owns: reading file, environment and flags; their order (default < file < environment < flag);
//! refusing what nobody knows, with the nearest known name.
//! Leaves to others: the types of the settings ([`super::value`]), the settings themselves.
//! Always: a message names the source; a secret's value is in none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::value::Value;
use super::{ConfigError, PREFIX, Role, Setting, every_setting, variable};

/// Variables that are no settings: the file's own, and those of the project's tests.
const OTHER_VARIABLES: [&str; 2] = ["HOLDFAST_CONFIG", "HOLDFAST_BIN"];
const TEST_PREFIX: &str = "HOLDFAST_TEST_";

/// Which source a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// A variable.
    Variable(String),
    /// The file that a variable names.
    VariableFile(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::VariableFile(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting, what it is set to, and by whom.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// Its texts.
    pub texts: Vec<String>,
    /// Who gave them.
    pub origin: Origin,
}

impl Entry {
    /// The value for people: secrets are not shown.
    pub fn shown(&self) -> String {
        match self.setting.kind.secret && !self.texts.is_empty() {
            true => "[redacted]".to_owned(),
            false => self.texts.join(","),
        }
    }
}

/// The settings of a role, each with the source that won.
#[derive(Clone, Debug)]
pub struct Resolved {
    entries: BTreeMap<&'static str, Entry>,
}

impl Resolved {
    /// All settings, by key.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// `Value`, naming the source, if the text is not one; `NoSetting` if the role has no such
    /// setting.
    pub fn get<T: Value>(&self, key: &'static str) -> Result<T, ConfigError> {
        let entry = self
            .entries
            .get(key)
            .ok_or(ConfigError::NoSetting { key })?;
        T::read(&entry.texts).map_err(|why| ConfigError::Value {
            key,
            origin: entry.origin.clone(),
            why: match entry.setting.kind.secret {
                true if !why.starts_with("it ") => "it is not usable".to_owned(),
                _ => why,
            },
        })
    }
}

/// What was given, before it is known which settings there are.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Flags, by key.
    pub flags: Vec<(String, Vec<String>)>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The file, if one is named by flag or variable.
    pub file: Option<PathBuf>,
}

impl Layers {
    /// Those of this process.
    pub fn of_process(flags: Vec<(String, Vec<String>)>, file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| std::env::var_os("HOLDFAST_CONFIG").map(PathBuf::from));
        Self {
            flags,
            environment: std::env::vars_os().collect(),
            file,
        }
    }

    /// Decides each setting of `role`.
    ///
    /// # Errors
    /// `UnknownKey`, `OtherRole`, `UnknownVariable`, `Both`, `ReadFile`, `ParseFile`, `NotText`.
    pub fn resolve(&self, role: Role) -> Result<Resolved, ConfigError> {
        let mut entries: BTreeMap<&'static str, Entry> = BTreeMap::new();
        for setting in role.settings() {
            let default = Some(setting.default.to_owned()).filter(|text| !text.is_empty());
            entries.insert(
                setting.key,
                Entry {
                    setting,
                    texts: default.into_iter().collect(),
                    origin: Origin::Default,
                },
            );
        }
        if let Some(path) = &self.file {
            read_file(path, role, &mut entries)?;
        }
        self.read_environment(&mut entries)?;
        for (key, texts) in &self.flags {
            if let Some(entry) = entries.get_mut(key.as_str()) {
                entry.texts.clone_from(texts);
                entry.origin = Origin::Flag(entry.setting.flag());
            }
        }
        Ok(Resolved { entries })
    }

    fn read_environment(
        &self,
        entries: &mut BTreeMap<&'static str, Entry>,
    ) -> Result<(), ConfigError> {
        let mut given: BTreeMap<String, &OsString> = BTreeMap::new();
        for (name, value) in &self.environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            if OTHER_VARIABLES.contains(&name) || name.starts_with(TEST_PREFIX) {
                continue;
            }
            if !is_known_variable(name) {
                return Err(ConfigError::UnknownVariable {
                    name: name.to_owned(),
                    nearest: nearest(name, known_variables()),
                });
            }
            given.insert(name.to_owned(), value);
        }
        for entry in entries.values_mut() {
            let name = variable(entry.setting.key);
            let file = format!("{name}_FILE");
            let text = match (given.get(&name), given.get(&file)) {
                (Some(_), Some(_)) if entry.setting.kind.secret => {
                    return Err(ConfigError::Both { name, file });
                }
                (Some(value), _) => {
                    entry.origin = Origin::Variable(name.clone());
                    text_of(value, &name)?
                }
                (None, Some(path)) if entry.setting.kind.secret => {
                    entry.origin = Origin::VariableFile(file);
                    read_text(Path::new(path))?
                        .trim_end_matches(['\r', '\n'])
                        .to_owned()
                }
                _ => continue,
            };
            entry.texts = match entry.setting.kind.many {
                true => split(&text),
                false => vec![text],
            };
        }
        Ok(())
    }
}

fn split(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn text_of(value: &OsString, name: &str) -> Result<String, ConfigError> {
    let text = value.to_str().map(str::to_owned);
    text.ok_or_else(|| ConfigError::NotText {
        name: name.to_owned(),
    })
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
        path: path.to_owned(),
        source,
    })
}

fn read_file(
    path: &Path,
    role: Role,
    entries: &mut BTreeMap<&'static str, Entry>,
) -> Result<(), ConfigError> {
    let text = read_text(path)?;
    let table: toml::Table = text.parse().map_err(|source| ConfigError::ParseFile {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    for (key, value) in table {
        let Some(entry) = entries.get_mut(key.as_str()) else {
            if every_setting().any(|setting| setting.key == key) {
                if role == Role::Client {
                    continue;
                }
                let path = path.to_owned();
                return Err(ConfigError::OtherRole { key, path, role });
            }
            let keys = role.settings().map(|setting| setting.key.to_owned());
            return Err(ConfigError::UnknownKey {
                nearest: nearest(&key, keys),
                key,
                path: path.to_owned(),
            });
        };
        entry.origin = Origin::File(path.to_owned());
        entry.texts = texts(&value).ok_or_else(|| ConfigError::Shape {
            key: key.clone(),
            path: path.to_owned(),
        })?;
    }
    Ok(())
}

/// The texts of a value of the file: a text, number or truth, or several.
fn texts(value: &toml::Value) -> Option<Vec<String>> {
    use toml::Value as V;
    match value {
        V::String(text) => Some(vec![text.clone()]),
        V::Integer(number) => Some(vec![number.to_string()]),
        V::Boolean(truth) => Some(vec![truth.to_string()]),
        V::Array(items) => {
            let lists = items.iter().map(|item| match item {
                V::Array(_) => None,
                item => texts(item),
            });
            Some(lists.collect::<Option<Vec<_>>>()?.concat())
        }
        V::Float(_) | V::Datetime(_) | V::Table(_) => None,
    }
}

fn known_variables() -> impl Iterator<Item = String> {
    let others = OTHER_VARIABLES.iter().map(|&name| name.to_owned());
    let settings = every_setting().flat_map(|setting| {
        let name = variable(setting.key);
        let file = setting.kind.secret.then(|| format!("{name}_FILE"));
        [Some(name), file].into_iter().flatten()
    });
    settings.chain(others)
}

fn is_known_variable(name: &str) -> bool {
    known_variables().any(|known| known == name)
}

/// The known name that looks most like `name`, if one does at all.
pub fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    known
        .map(|known| (likeness(&known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
