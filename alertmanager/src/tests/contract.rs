//! The document of the API, held against every answer that any test gets.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::tests::bench::{AT_ONCE, Bench};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(crate::api::DOCUMENT).unwrap());
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let mut found = BTreeMap::new();
    collect(&DOCUMENT["paths"], "", &mut found);
    found
});

/// Every schema of a body, by where it stands in the document.
fn collect(value: &Value, at: &str, found: &mut BTreeMap<String, Validator>) {
    let Some(members) = value.as_object() else {
        return;
    };
    for (name, member) in members {
        let at = format!("{at}/{name}");
        if name == "application/json" {
            let schema = json!({
                "allOf": [member["schema"]],
                "components": DOCUMENT["components"],
            });
            let schema = jsonschema::options()
                .should_validate_formats(true)
                .build(&schema);
            found.insert(at, schema.unwrap());
        } else {
            collect(member, &at, found);
        }
    }
}

/// The path of the document that an address belongs to.
fn path_of(address: &str) -> Option<String> {
    let path = address.split('?').next().unwrap_or_default();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    if paths.contains_key(path) {
        return Some(path.to_owned());
    }
    let is_like = |template: &&String| {
        let (template, path): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template
                .iter()
                .zip(path)
                .all(|(pattern, part)| pattern.starts_with('{') || *pattern == part)
    };
    paths.keys().find(is_like).cloned()
}

fn assert_valid(at: &str, body: &str) {
    let value: Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{at}: {error}: {body}"));
    let validator = &VALIDATORS[at];
    let wrong: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{at}: {wrong:?}: {body}");
}

/// Whether an answer is one that the document knows. Methods and addresses that it does not know are none of its.
pub(crate) fn check(method: &str, address: &str, sent: &str, status: u16, answered: &str) {
    let Some(path) = path_of(address) else {
        return;
    };
    let method = method.to_ascii_lowercase();
    let operation = &DOCUMENT["paths"][&path][&method];
    if operation.is_null() {
        assert_eq!(status, 405, "{method} {path}");
        return;
    }
    let status = status.to_string();
    let response = &operation["responses"][&status];
    assert!(
        !response.is_null(),
        "{method} {path} answers {status}: {answered}"
    );
    if response["content"].is_null() {
        assert_eq!(answered, "", "{method} {path} {status}");
    } else {
        let at = format!("/{path}/{method}/responses/{status}/content/application/json");
        assert_valid(&at, answered);
    }
    if status == "200" && !operation["requestBody"].is_null() {
        assert_valid(
            &format!("/{path}/{method}/requestBody/content/application/json"),
            sent,
        );
    }
}

#[tokio::test]
async fn the_document_knows_every_address_and_method_and_no_other() {
    let bench = Bench::new(AT_ONCE);
    let served: BTreeSet<String> = crate::api::routes(&bench.service)
        .table()
        .iter()
        .map(|(path, _)| path.clone())
        .collect();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let documented: BTreeSet<String> = paths.keys().cloned().collect();
    assert_eq!(documented, served);
    for (path, operations) in paths {
        let path = path.replace("{id}", "x").replace("{fingerprint}", "x");
        let (status, body) = bench.ask("PUT", &path, "").await;
        assert_eq!(status, 405, "{path}");
        let methods: Vec<String> = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_ascii_uppercase())
            .collect();
        let expected = format!("method PUT is not allowed, but [{}] are", methods.join(","));
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["message"], expected, "{path}");
    }
    assert_eq!(bench.get("/api/watchbell/v1/openapi.json").await, *DOCUMENT);
    bench.end().await;
}
