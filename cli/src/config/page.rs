//! The page about configuration.
//!
//! Owns: `docs/configuration.md`, made of the settings' documentation.
//! Leaves to others: keeping the file current (a test).
//! Always: every setting of every role is on it.

use std::fmt::Write;

use super::{Role, Setting, variable};

const HEAD: &str = "\
# Configuration

Made from the settings' own documentation; `UPDATE_DOCS=1 cargo test -p holdfast` rewrites it.

A setting is looked for in four places; the later wins: its default, the TOML file (`--config FILE`
or `HOLDFAST_CONFIG`), the environment, the flag. `listen` in the file is `HOLDFAST_LISTEN` in the
environment and `--listen` as a flag. Where a setting may be given several times it is a list in the
file, separated by commas in the environment, and a repeated flag.

A secret has no flag (arguments can be seen by everyone on the machine), but can also be given as a
file: `HOLDFAST_SECRET_KEY_FILE=/run/secrets/key`. Sizes and durations have units: `64MiB`, `1GB`,
`30s`, `5m`; a plain number is bytes.

A key of the file or a variable `HOLDFAST_…` that nobody knows stops the start with exit code 2 and
names the nearest known one. `holdfast config show` prints what is in force and where it is from.
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut seen: Vec<(*const Setting, &'static str)> = Vec::new();
    for role in Role::ALL {
        let _ = match role {
            Role::Client => write!(page, "\n## Commands that speak to a cluster\n"),
            role => write!(page, "\n## `holdfast {}`\n", role.name()),
        };
        for (doc, settings) in role.groups() {
            let _ = writeln!(page, "\n### {}\n", joined(doc).trim_end_matches('.'));
            if let Some((_, first)) = seen.iter().find(|(at, _)| *at == settings.as_ptr()) {
                let keys: Vec<String> = settings
                    .iter()
                    .map(|setting| format!("`{}`", setting.key))
                    .collect();
                let _ = writeln!(page, "As for `holdfast {first}`: {}.", keys.join(", "));
                continue;
            }
            seen.push((settings.as_ptr(), role.name()));
            page.push_str("| setting | default | meaning |\n|---|---|---|\n");
            settings.iter().for_each(|setting| row(setting, &mut page));
        }
    }
    page
}

fn joined(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

fn row(setting: &Setting, page: &mut String) {
    let mut names = vec![format!("`{}`", setting.key)];
    names.push(format!("`{}`", variable(setting.key)));
    match setting.kind.secret {
        true => names.push(format!("`{}_FILE`", variable(setting.key))),
        false => names.push(format!("`{}`", setting.flag())),
    }
    let default = match setting.default {
        "" => "–".to_owned(),
        default => format!("`{default}`"),
    };
    let many = if setting.kind.many {
        " Repeatable."
    } else {
        ""
    };
    let kind = setting.kind.name.replace('|', "\\|");
    let doc = joined(setting.doc).replace('|', "\\|");
    let _ = writeln!(
        page,
        "| {} ({kind}) | {default} | {doc}{many} |",
        names.join(" ")
    );
}
