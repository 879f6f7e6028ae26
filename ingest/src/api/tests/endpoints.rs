//! Endpoints that describe queries and the program, and how answers travel.
use std::io::Read;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::response::Response;
use tower::ServiceExt;

use super::{Site, labels, site, site_with};

async fn send(site: &Site, request: axum::http::request::Builder) -> Response {
    let request = request.body(Body::empty()).unwrap();
    site.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn queries_are_parsed_and_formatted_by_get_and_post() {
    let site = site();
    for (address, form, data) in [
        (
            "/api/v1/parse_query",
            "query=1",
            r#"{"type":"numberLiteral","val":"1"}"#,
        ),
        (
            "/api/v1/format_query",
            "query=sum(a)by(b)",
            r#""sum by (b) (a)""#,
        ),
    ] {
        assert_eq!(site.data(&format!("{address}?{form}")).await, data);
        let (status, body) = site.form(address, form).await;
        assert_eq!(
            (status, body),
            (200, format!(r#"{{"status":"success","data":{data}}}"#))
        );
        let (status, body) = site.get(&format!("{address}?query=sum(")).await;
        assert_eq!(status, 400);
        assert!(
            body.contains(r#"invalid parameter \"query\": 1:5: parse error"#),
            "{body}"
        );
    }
}

/// As `curl -F` sends them. What the address says comes first, as in Go.
#[tokio::test]
async fn forms_in_many_parts_are_read() {
    let site = site();
    site.write("anonymous", &[("up{a=b}", &[(10, 2.0)])]).await;
    let send = async |address: &str, content_type: &str, parts: &[(&str, &str)], rest: &str| {
        let parts = parts.iter().map(|(name, value)| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        });
        let request = Request::post(address).header("Content-Type", content_type);
        let body = parts.collect::<String>() + rest;
        site.ask(request.body(Body::from(body)).unwrap()).await
    };
    let typed = "multipart/form-data; boundary=b";
    let (end, at) = ("--b--\r\n", ("time", "5"));
    for (address, content_type, parts, rest, answer) in [
        (
            "query",
            typed,
            &[("query", "1+1"), at][..],
            end,
            Ok(r#"[5,"2"]"#),
        ),
        (
            "query?query=7",
            typed,
            &[("query", "1"), at],
            end,
            Ok(r#"[5,"7"]"#),
        ),
        (
            "query",
            typed,
            &[at, ("query", "1"), ("query", "2")],
            end,
            Ok(r#"[5,"1"]"#),
        ),
        (
            "series",
            typed,
            &[("match[]", "none"), ("match[]", "up")],
            end,
            Ok(r#""a":"b""#),
        ),
        (
            "query",
            typed,
            &[("query", "1")],
            "",
            Err("form ends before"),
        ),
        (
            "query",
            "multipart/form-data",
            &[("query", "1")],
            end,
            Err("no multipart boundary"),
        ),
    ] {
        let (status, body) = send(&format!("/api/v1/{address}"), content_type, parts, rest).await;
        let (expected, text) = match answer {
            Ok(text) => (200, text),
            Err(text) => (400, text),
        };
        assert!(status == expected && body.contains(text), "{status} {body}");
    }
    let long = "x".repeat(10 << 20);
    let (status, body) = send("/api/v1/query", typed, &[("query", &long)], end).await;
    assert!(
        status == 400 && body.contains("form is too large"),
        "{body}"
    );
}

#[tokio::test]
async fn the_program_says_how_it_is_set() {
    let site = site_with(|settings| {
        settings.external_labels = labels("x{cluster=eu}").without_metric_name();
    });
    assert_eq!(
        site.data("/api/v1/status/walreplay").await,
        r#"{"min":0,"max":0,"current":0,"state":"done"}"#
    );
    assert_eq!(
        site.data("/api/v1/status/config").await,
        r#"{"yaml":"global:\n  evaluation_interval: 1m\n  external_labels:\n    cluster: \"eu\"\nstorage:\n  tsdb:\n    retention:\n      time: 2h\n  exemplars:\n    max_exemplars: 100000\n"}"#
            .replace("2h", &model::duration::format(site.engine.settings().limits.retention))
    );
    let flags = site.data("/api/v1/status/flags").await;
    let flags: serde_json::Value = serde_json::from_str(&flags).unwrap();
    assert_eq!(flags["query.lookback-delta"], "5m");
    assert_eq!(flags["web.enable-remote-write-receiver"], "true");
    let info = site.data("/api/v1/status/runtimeinfo").await;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["startTime"], "1970-01-12T13:46:40Z");
    assert_eq!(info["reloadConfigSuccess"], true);
    assert!(info["GOMAXPROCS"].as_u64().unwrap() > 0);
    assert_eq!(info.as_object().unwrap().len(), 13);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_prometheus_form() {
    let site = site();
    assert_eq!(site.data("/api/v1/notifications").await, "[]");
    let features = site.data("/api/v1/features").await;
    let features: serde_json::Value = serde_json::from_str(&features).unwrap();
    assert_eq!(features["api"]["label_values_match"], true);
    assert_eq!(features["promql_functions"]["info"], false);
    let on = promql::ParserOptions {
        experimental_functions: true,
        ..promql::ParserOptions::default()
    };
    site.engine.set_language(on);
    let features = site.data("/api/v1/features").await;
    assert!(features.contains(r#""info":true"#), "{features}");
    // As Debian's 2.42 says it.
    let disabled = r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    for action in ["clean_tombstones", "delete_series", "snapshot"] {
        for (method, answer) in [
            ("POST", (500, disabled)),
            ("PUT", (500, disabled)),
            ("GET", (405, "")),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/api/v1/admin/tsdb/{action}"));
            let (status, body) = site.ask(request.body(Body::empty()).unwrap()).await;
            assert_eq!((status, body.as_str()), answer, "{method} {action}");
        }
    }
}

#[tokio::test]
async fn a_query_says_what_it_took_where_that_is_asked_for() {
    let site = site();
    site.write("anonymous", &[("up", &[(20, 1.0), (10, 2.0)])])
        .await;
    let all = (0..=10).map(|step| {
        // The samples stand at the eighth and the ninth step.
        let seen = i64::from(step >= 8);
        serde_json::json!([999_900 + step * 10, seen])
    });
    let by_step: Vec<serde_json::Value> = all.collect();
    for (address, read, seen, by_step) in [
        (
            "query?query=up[1m]&stats=all",
            2,
            2,
            Some(serde_json::json!([[1_000_000, 2]])),
        ),
        ("query?query=up&stats=true&lookback_delta=15s", 1, 1, None),
        (
            "query_range?query=up&start=999900&end=1000000&step=10&stats=all",
            2,
            3,
            Some(serde_json::Value::from(by_step)),
        ),
    ] {
        let data = site.data(&format!("/api/v1/{address}")).await;
        let data: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert!(!data["result"].as_array().unwrap().is_empty());
        let stats = &data["stats"];
        let samples = &stats["samples"];
        assert_eq!(samples["totalQueryableSamples"], seen, "{address}");
        let told = samples.get("totalQueryableSamplesPerStep");
        assert_eq!(told, by_step.as_ref(), "{address}");
        assert_eq!(samples["peakSamples"], read);
        assert_eq!(samples["samplesRead"], read);
        let seconds = |name: &str| stats["timings"][name].as_f64().unwrap();
        assert!(seconds("evalTotalTime") > 0.0);
        assert!(seconds("execTotalTime") >= seconds("evalTotalTime"));
        assert!(seconds("evalTotalTime") >= seconds("queryPreparationTime"));
    }
    assert!(!site.data("/api/v1/query?query=up").await.contains("stats"));
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_can_read_that() {
    let site = site();
    let names: Vec<String> = (0..200).map(|number| format!("metric_{number}")).collect();
    let series: Vec<(&str, &[(i64, f64)])> = names
        .iter()
        .map(|name| (name.as_str(), &[(10, 1.0)][..]))
        .collect();
    site.write("anonymous", &series).await;
    let address = "/api/v1/label/__name__/values";
    let (_, plain) = site.get(address).await;
    for (accepted, encoding) in [("gzip", "gzip"), ("zstd", "zstd"), ("br", "")] {
        let request = Request::get(address).header("Accept-Encoding", accepted);
        let response = send(&site, request).await;
        let header = |name| {
            response
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        assert_eq!(header("content-encoding"), encoding);
        assert_eq!(header("vary"), "Accept-Encoding");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let mut read = String::new();
        match encoding {
            "gzip" => {
                flate2::read::GzDecoder::new(&body[..])
                    .read_to_string(&mut read)
                    .unwrap();
            }
            "zstd" => {
                let mut decoder = ruzstd::decoding::StreamingDecoder::new(&body[..]).unwrap();
                decoder.read_to_string(&mut read).unwrap();
            }
            _ => read = String::from_utf8(body.to_vec()).unwrap(),
        }
        assert_eq!(read, plain, "{accepted}");
        assert!(encoding.is_empty() || body.len() < plain.len() / 2);
    }
    let small = Request::get("/api/v1/query?query=1").header("Accept-Encoding", "gzip");
    let small = send(&site, small).await;
    assert!(!small.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let site = site();
    for method in ["GET", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/query?query=1")
            .header("Origin", "http://grafana.example");
        let response = send(&site, request).await;
        let status = if method == "GET" { 200 } else { 204 };
        assert_eq!(response.status(), status);
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            (
                "access-control-allow-headers",
                "Accept, Authorization, Content-Type, Origin",
            ),
            ("access-control-expose-headers", "Date"),
            ("vary", "Origin"),
        ] {
            assert_eq!(response.headers()[name], value, "{method} {name}");
        }
    }
    let own = send(&site, Request::get("/api/v1/query?query=1")).await;
    assert!(!own.headers().contains_key("access-control-allow-origin"));
    // Nobody writes or federates from a page.
    for request in [Request::post("/api/v1/write"), Request::get("/federate")] {
        let response = send(&site, request.header("Origin", "http://x")).await;
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}
