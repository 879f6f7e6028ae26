//! `tracing`: where spans go.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use model::duration;

use crate::cursor::Cursor;
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::{headers, tls_config};
use crate::go_yaml::Yaml;
use crate::http::{HeaderValues, TlsConfig, read_headers};

#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    pub client: TracingClient,
    pub endpoint: String,
    /// Of the traces that begin here: 0 is none, 1 is all.
    pub sampling_fraction: f64,
    pub insecure: bool,
    pub tls: Option<TlsConfig>,
    pub headers: BTreeMap<String, HeaderValues>,
    pub gzip: bool,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracingClient {
    Grpc,
    Http,
}

impl Tracing {
    /// Of one request to the collector.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(defaults::TRACING_TIMEOUT)
    }

    pub(crate) fn read(cursor: &Cursor<'_>, base: &Path) -> Self {
        let mut fields = cursor.fields("tracing.plain");
        let client = match fields.text("client_type").as_str() {
            "grpc" | "" => TracingClient::Grpc,
            "http" => TracingClient::Http,
            other => {
                fields.problem(
                    "client_type",
                    format!(
                        "expected tracing client type to be to be http or grpc, but got {other}"
                    ),
                );
                TracingClient::Grpc
            }
        };
        let endpoint = fields.text("endpoint");
        if endpoint.is_empty() {
            fields.problem("endpoint", "tracing endpoint must be set");
        }
        let compression = fields.text("compression");
        if !["", "gzip"].contains(&compression.as_str()) {
            fields.problem(
                "compression",
                format!("invalid compression type {compression} provided, valid options: gzip"),
            );
        }
        let headers = fields
            .get("headers")
            .map(|cursor| read_headers(&cursor, Some(base)))
            .unwrap_or_default();
        let is_file = |header: &HeaderValues| {
            header.values.is_empty() && header.secrets.is_empty() && !header.files.is_empty()
        };
        if headers.values().any(is_file) {
            fields.problem(
                "headers",
                "header files are not supported for tracing configuration",
            );
        }
        let tls = fields.get("tls_config");
        let tracing = Self {
            client,
            endpoint,
            sampling_fraction: fields
                .get("sampling_fraction")
                .and_then(|cursor| cursor.number())
                .unwrap_or(0.0),
            insecure: fields.boolean_or("insecure", false),
            tls: tls.map(|cursor| TlsConfig::read(&cursor, Some(base))),
            headers,
            gzip: compression == "gzip",
            timeout: fields
                .duration("timeout")
                .filter(|timeout| !timeout.is_zero()),
        };
        fields.finish();
        tracing
    }

    pub(crate) fn dump(&self) -> Yaml {
        let mut entries = Entries::default();
        let client = match self.client {
            TracingClient::Grpc => "grpc",
            TracingClient::Http => "http",
        };
        entries.text("client_type", client);
        entries.text("endpoint", &self.endpoint);
        if self.sampling_fraction != 0.0 {
            entries.float("sampling_fraction", self.sampling_fraction);
        }
        entries.flag("insecure", self.insecure);
        if let Some(tls) = &self.tls {
            entries.put("tls_config", tls_config(tls));
        }
        entries.map("headers", headers(&self.headers));
        entries.text("compression", if self.gzip { "gzip" } else { "" });
        if let Some(timeout) = self.timeout {
            entries.text("timeout", &duration::format(timeout));
        }
        entries.into_yaml()
    }
}
