//! Rules about the code itself that the compiler cannot keep.
#![allow(clippy::unwrap_used, reason = "a test: a failure is its message")]
use std::fs;
use std::path::{Path, PathBuf};

/// Crates that only decide: they may name no hand as a dependency.
const CORES: [&str; 9] = [
    "config/model",
    "config/template",
    "config",
    "ingest/promql",
    "ingest/core",
    "ruler/core",
    "notifiers/core",
    "alertmanager/core",
    "config/cluster",
];
const HANDS: [&str; 9] = [
    "tokio",
    "hyper",
    "reqwest",
    "axum",
    "runtime",
    "lettre",
    "tracing",
    "parking_lot",
    "prometheus-client",
];
/// Each crate of ours and the crates of ours that it may name.
const ARROWS: [(&str, &[&str]); 15] = [
    ("config/model", &[]),
    ("config/template", &["model"]),
    ("ingest/promql", &["model"]),
    ("config", &["model", "template"]),
    ("config/runtime", &["model", "config"]),
    ("ingest/core", &["model", "config"]),
    ("ruler/core", &["model", "template", "config", "promql"]),
    ("notifiers/core", &["model", "template", "config"]),
    (
        "alertmanager/core",
        &["model", "template", "config", "notifiers-core"],
    ),
    ("tests/fakes", &["model", "config", "runtime"]),
    (
        "ingest",
        &[
            "model",
            "template",
            "config",
            "runtime",
            "promql",
            "ingest-core",
        ],
    ),
    (
        "notifiers",
        &["model", "template", "config", "runtime", "notifiers-core"],
    ),
    (
        "ruler",
        &[
            "model",
            "template",
            "config",
            "runtime",
            "promql",
            "ruler-core",
            "ingest",
        ],
    ),
    (
        "alertmanager",
        &[
            "model",
            "template",
            "config",
            "runtime",
            "alertmanager-core",
            "notifiers-core",
            "notifiers",
        ],
    ),
    (
        ".",
        &[
            "model",
            "template",
            "config",
            "runtime",
            "promql",
            "ingest-core",
            "ingest",
            "ruler-core",
            "ruler",
            "notifiers-core",
            "notifiers",
            "alertmanager-core",
            "alertmanager",
            "fakes",
        ],
    ),
];
const OURS: [&str; 14] = [
    "model",
    "template",
    "config",
    "runtime",
    "promql",
    "ingest-core",
    "ingest",
    "ruler-core",
    "ruler",
    "notifiers-core",
    "notifiers",
    "alertmanager-core",
    "alertmanager",
    "fakes",
];

#[test]
fn cores_have_no_hands() {
    for core in CORES.iter().filter(|core| root().join(core).exists()) {
        for dependency in dependencies(core) {
            assert!(
                !HANDS.contains(&dependency.as_str()),
                "{core} decides, so it must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn arrows_between_crates_point_down() {
    for (folder, allowed) in ARROWS {
        for dependency in dependencies(folder)
            .iter()
            .filter(|name| OURS.contains(&name.as_str()))
        {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{folder} must not know {dependency}"
            );
        }
    }
}

#[test]
fn nothing_inside_a_crate_is_imported_through_its_root_or_its_parent() {
    for file in rust_files(&root()) {
        for (number, line) in read(&file).lines().enumerate() {
            let import = line.trim_start();
            let through_root = import.strip_prefix("use crate::").is_some_and(|rest| {
                rest.starts_with(|first: char| first.is_uppercase() || first == '{')
            });
            let whole_parent = import.starts_with("use super::*");
            assert!(
                !through_root && !whole_parent,
                "{}:{}: {import}",
                file.display(),
                number + 1
            );
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("dbg", "!("),
    ];
    for file in rust_files(&root())
        .iter()
        .filter(|file| !file.ends_with("tests/tidy/main.rs"))
    {
        for (number, line) in read(file).lines().enumerate() {
            for mark in marks {
                assert!(
                    !line.contains(mark),
                    "{}:{}: {mark}",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}

/// Names under `[dependencies]` of a crate's manifest (tests may know more).
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = read(&root().join(folder).join("Cargo.toml"));
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files
}
