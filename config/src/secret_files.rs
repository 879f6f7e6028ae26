//! Files that secrets are in: read anew for each notification, so that one which is not there shows when somebody is to be
//! told. It may be put there later, and so it is warned of and refused nothing.
use std::path::Path;

use crate::cursor::Cursor;
use crate::files::Files;

/// What holds secrets of an HTTP client below `http_config`. Those of `tls_config` are looked at where the client is made.
const HTTP_BLOCKS: [&str; 3] = ["authorization", "basic_auth", "oauth2"];

/// Of an Alertmanager's file. Names below `http_config` are meant from the file's folder, `base`, all others from where the
/// process runs, as Alertmanager has it.
pub(crate) fn warn_of_unreadable(top: &Cursor<'_>, base: &Path, files: &dyn Files) {
    for (name, _, block) in top.map_entries() {
        match name.as_str() {
            "global" => of_block(&block, base, files),
            "receivers" => {
                let receivers = block.items();
                let lists = receivers.iter().flat_map(Cursor::map_entries);
                for (_, _, integrations) in lists {
                    for integration in integrations.items() {
                        of_block(&integration, base, files);
                    }
                }
            }
            _ => {}
        }
    }
}

fn of_block(block: &Cursor<'_>, base: &Path, files: &dyn Files) {
    for (name, _, value) in block.map_entries() {
        if name == "http_config" {
            of_files(&value, base, files);
            for (name, _, value) in value.map_entries() {
                if HTTP_BLOCKS.contains(&name.as_str()) {
                    of_files(&value, base, files);
                }
            }
        }
    }
    of_files(block, Path::new(""), files);
}

fn of_files(block: &Cursor<'_>, base: &Path, files: &dyn Files) {
    for (name, _, value) in block.map_entries() {
        let Some(text) = value.scalar_text() else {
            continue;
        };
        if !name.ends_with("_file") || text.is_empty() {
            continue;
        }
        let path = base.join(text);
        if let Err(reason) = files.read(&path) {
            value.warn(format!(
                "{}: {reason}: until it can be read nobody is told by what needs it",
                path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::alertmanager::{AlertmanagerFiles, AlertmanagerOptions};
    use crate::files::MemoryFiles;

    #[test]
    fn files_that_cannot_be_read_are_named_with_their_places() {
        let text = "global:\n  slack_api_url_file: /run/slack\n  http_config:\n    authorization: {credentials_file: token}\n\
            route: {receiver: r}\nreceivers:\n- name: r\n  pagerduty_configs:\n  - routing_key_file: there\n\
            \x20 - routing_key_file: not_there\n  webhook_configs:\n  - url: http://x\n    payload: {not_a_file: x}\n\
            \x20   http_config: {basic_auth: {username: u, password_file: password}}\n";
        let mut files = MemoryFiles::default();
        for (path, text) in [("/etc/am.yml", text), ("there", "key")] {
            files.files.insert(path.into(), text.to_owned());
        }
        let loaded =
            AlertmanagerFiles::load("/etc/am.yml", &AlertmanagerOptions::default(), &files);
        let warnings: Vec<String> = loaded
            .unwrap()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect();
        let warning = |place: &str, file: &str, path: &str| {
            format!(
                "/etc/am.yml:{place}: {file}: no such file or directory: until it can be read nobody is told by what needs it ({path})"
            )
        };
        assert_eq!(
            warnings,
            [
                warning("2:23", "/run/slack", "global.slack_api_url_file"),
                warning(
                    "4:39",
                    "/etc/token",
                    "global.http_config.authorization.credentials_file"
                ),
                warning(
                    "10:23",
                    "not_there",
                    "receivers[0].pagerduty_configs[1].routing_key_file"
                ),
                warning(
                    "14:60",
                    "/etc/password",
                    "receivers[0].webhook_configs[0].http_config.basic_auth.password_file"
                ),
            ]
        );
    }
}
