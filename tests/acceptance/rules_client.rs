//! A client of the API of uploaded rules: the requests that `cortextool` and `mimirtool` make, and what they compare.
use std::collections::BTreeMap;

use config::{UploadedGroup, structured};
use serde_json::Value as Json;

use crate::watchbell::Watchbell;

/// Where each of them finds the API.
pub(crate) const CORTEXTOOL: &str = "/api/v1/rules";
pub(crate) const CORTEXTOOL_LEGACY: &str = "/api/prom/rules";
pub(crate) const MIMIRTOOL: &str = "/prometheus/config/v1/rules";

/// Groups by namespace and name.
pub(crate) type RuleFiles = BTreeMap<String, BTreeMap<String, Json>>;

pub(crate) struct RulesClient<'w> {
    pub(crate) watchbell: &'w Watchbell,
    pub(crate) base: &'static str,
    pub(crate) tenant: &'static str,
}

/// What a client says it has done, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) created: Vec<String>,
    pub(crate) updated: Vec<String>,
    pub(crate) deleted: Vec<String>,
}

/// `resource not found` is a case of its own: the clients decide by it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientError {
    NotFound,
    /// Status and first line of the body, which is what their users see.
    Refused(u16, String),
}

/// A file as both read it: a namespace and groups.
pub(crate) fn rule_files(files: &[&str]) -> RuleFiles {
    let mut all = RuleFiles::new();
    for file in files {
        let file = structured(file).expect("a rule file is YAML");
        let namespace = file["namespace"].as_str().expect("it names its namespace");
        let groups = file["groups"].as_array().expect("it has groups").iter();
        let groups = groups.map(|group| (text(&group["name"]), group.clone()));
        all.entry(namespace.to_owned()).or_default().extend(groups);
    }
    all
}

/// `rules check`, which asks nobody: recorded names are `level:metric:operation`.
pub(crate) fn check(files: &RuleFiles) -> Vec<String> {
    let groups = files.values().flat_map(BTreeMap::values);
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    let names = rules.filter_map(|rule| rule["record"].as_str());
    names
        .filter(|name| name.split(':').count() != 3)
        .map(str::to_owned)
        .collect()
}

impl RulesClient<'_> {
    /// `rules list` and `rules print`.
    pub(crate) async fn list(&self) -> Result<RuleFiles, ClientError> {
        let body = self.ask(reqwest::Method::GET, self.base, None).await?;
        let body = structured(&body).expect("a list is YAML");
        let namespaces = body.as_object().expect("a list is a map").iter();
        Ok(namespaces
            .map(|(namespace, groups)| {
                let groups = groups.as_array().expect("of lists").iter();
                let groups = groups.map(|group| (text(&group["name"]), group.clone()));
                (namespace.clone(), groups.collect())
            })
            .collect())
    }

    /// `rules get`.
    pub(crate) async fn get(&self, namespace: &str, name: &str) -> Result<Json, ClientError> {
        let path = self.group_path(namespace, name);
        let body = self.ask(reqwest::Method::GET, &path, None).await?;
        Ok(structured(&body).expect("a group is YAML"))
    }

    /// `rules load`: each group is asked for, and sent where it is not there or another.
    pub(crate) async fn load(&self, files: &RuleFiles) -> Result<Summary, ClientError> {
        let mut summary = Summary::default();
        for (namespace, groups) in files {
            for (name, group) in groups {
                let list = match self.get(namespace, name).await {
                    Ok(there) if is_same(&there, group) => continue,
                    Ok(_) => &mut summary.updated,
                    Err(ClientError::NotFound) => &mut summary.created,
                    Err(refused) => return Err(refused),
                };
                list.push(format!("{namespace}/{name}"));
                self.set(namespace, group).await?;
            }
        }
        Ok(summary)
    }

    /// `rules diff`.
    pub(crate) async fn diff(&self, files: &RuleFiles) -> Result<Summary, ClientError> {
        let there = self.list().await?;
        let mut summary = Summary::default();
        for (namespace, name, group) in each(files) {
            let label = format!("{namespace}/{name}");
            match there.get(namespace).and_then(|groups| groups.get(name)) {
                Some(there) if is_same(there, group) => {}
                Some(_) => summary.updated.push(label),
                None => summary.created.push(label),
            }
        }
        for (namespace, name, _) in each(&there) {
            let wanted = files.get(namespace);
            if wanted.is_none_or(|groups| !groups.contains_key(name)) {
                summary.deleted.push(format!("{namespace}/{name}"));
            }
        }
        Ok(summary)
    }

    /// `rules sync`.
    pub(crate) async fn sync(&self, files: &RuleFiles) -> Result<Summary, ClientError> {
        let summary = self.diff(files).await?;
        for (namespace, name, group) in each(files) {
            let label = format!("{namespace}/{name}");
            if summary.created.contains(&label) || summary.updated.contains(&label) {
                self.set(namespace, group).await?;
            }
        }
        for (namespace, name, _) in each(&self.list().await?) {
            if summary.deleted.contains(&format!("{namespace}/{name}")) {
                self.delete(namespace, name).await?;
            }
        }
        Ok(summary)
    }

    pub(crate) async fn set(&self, namespace: &str, group: &Json) -> Result<(), ClientError> {
        let group = UploadedGroup::read(&group.to_string()).expect("the client knows its file");
        let path = format!("{}/{}", self.base, escape(namespace));
        let body = group.group.yaml().to_owned();
        self.ask(reqwest::Method::POST, &path, Some(body)).await?;
        Ok(())
    }

    /// `rules delete`.
    pub(crate) async fn delete(&self, namespace: &str, name: &str) -> Result<(), ClientError> {
        let path = self.group_path(namespace, name);
        self.ask(reqwest::Method::DELETE, &path, None).await?;
        Ok(())
    }

    /// `rules delete-namespace`.
    pub(crate) async fn delete_namespace(&self, namespace: &str) -> Result<(), ClientError> {
        let path = format!("{}/{}", self.base, escape(namespace));
        self.ask(reqwest::Method::DELETE, &path, None).await?;
        Ok(())
    }

    fn group_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}/{}", self.base, escape(namespace), escape(name))
    }

    /// As Go's client sends it: no `Content-Type`, no `Accept`.
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<String>,
    ) -> Result<String, ClientError> {
        let mut request = reqwest::Client::new()
            .request(method, self.watchbell.url(path))
            .header("X-Scope-OrgID", self.tenant)
            .header("User-Agent", "Go-http-client/1.1")
            .header("Accept-Encoding", "gzip");
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("watchbell answers");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("watchbell answers with text");
        match status {
            200..300 => Ok(body),
            404 => Err(ClientError::NotFound),
            _ => {
                let line = body.lines().next().unwrap_or_default();
                Err(ClientError::Refused(status, line.to_owned()))
            }
        }
    }
}

fn each(files: &RuleFiles) -> impl Iterator<Item = (&String, &String, &Json)> {
    files.iter().flat_map(|(namespace, groups)| {
        let groups = groups.iter();
        groups.map(move |(name, group)| (namespace, name, group))
    })
}

/// What `cortextool` compares: the interval, and of each rule these.
fn is_same(left: &Json, right: &Json) -> bool {
    let rules = |group: &Json| -> Vec<Vec<Json>> {
        let rules = group["rules"].as_array().expect("a group has rules").iter();
        let keys = ["record", "alert", "expr", "for", "labels", "annotations"];
        rules
            .map(|rule| keys.iter().map(|key| rule[*key].clone()).collect())
            .collect()
    };
    left["interval"] == right["interval"] && rules(left) == rules(right)
}

fn text(value: &Json) -> String {
    value.as_str().expect("a name is a text").to_owned()
}

/// Go's `url.PathEscape`.
fn escape(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte);
    let bytes = name.bytes();
    bytes
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
