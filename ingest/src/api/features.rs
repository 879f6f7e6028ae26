//! `/api/v1/features`: what this server can do, in Prometheus' categories and names, so that nobody has to guess it from a
//! version. Categories of which the ingest knows nothing (rules, discovery, pages) are left out.
use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use model::go_json;
use promql::ParserOptions;
use promql::ast::AggregateOp;
use promql::function::FUNCTIONS;

use crate::api::envelope::{ApiError, Success, respond};
use crate::engine::Engine;

type Features = BTreeMap<&'static str, BTreeMap<&'static str, bool>>;

const OPERATORS: [&str; 21] = [
    "!=", "!~", "%", "*", "+", "-", "/", "<", "</", "<=", "==", "=~", ">", ">/", ">=", "@", "^",
    "and", "atan2", "or", "unless",
];
/// What is always on of the language.
const ALWAYS: [&str; 13] = [
    "at_modifier",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "negative_offset",
    "offset",
    "on",
    "per_query_lookback_delta",
    "per_step_stats",
    "subqueries",
    "without",
];

pub(crate) async fn features(State(engine): State<Engine>) -> Response {
    let language = engine.language();
    let json = go_json::to_string(&features_of(&language));
    let success = json.map(|json| Success::new(&json));
    respond(success.map_err(|error| ApiError::internal(error.to_string())))
}

fn features_of(language: &ParserOptions) -> Features {
    let api = [
        ("admin", false),
        ("label_values_match", true),
        ("otlp_write_receiver", false),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ];
    let switched = [
        ("anchored", language.extended_range_selectors),
        ("delayed_name_removal", language.delayed_name_removal),
        ("duration_expr", language.duration_expressions),
        ("fill", language.fill_modifiers),
        ("fill_left", language.fill_modifiers),
        ("fill_right", language.fill_modifiers),
        ("smoothed", language.extended_range_selectors),
        ("type_and_unit_labels", false),
    ];
    let functions = FUNCTIONS.iter().map(|function| {
        let is_on = !function.experimental || language.experimental_functions;
        (function.name, is_on)
    });
    let aggregations = AggregateOp::ALL.into_iter().map(|(op, name)| {
        let is_on = !op.is_experimental() || language.experimental_functions;
        (name, is_on)
    });
    let tsdb = [("exemplar_storage", true), ("native_histograms", true)];
    let always = |name: &[&'static str]| name.iter().map(|name| (*name, true)).collect::<Vec<_>>();
    BTreeMap::from([
        ("api", BTreeMap::from(api)),
        (
            "promql",
            always(&ALWAYS).into_iter().chain(switched).collect(),
        ),
        ("promql_functions", functions.collect()),
        (
            "promql_operators",
            always(&OPERATORS).into_iter().chain(aggregations).collect(),
        ),
        ("tsdb", BTreeMap::from(tsdb)),
    ])
}

#[cfg(test)]
mod tests {
    use promql::{ParserOptions, parse};

    use super::{OPERATORS, features_of};

    #[test]
    fn what_is_switched_off_is_said_to_be() {
        let plain = features_of(&ParserOptions::default());
        let all = features_of(&ParserOptions::all());
        for (category, name, is_on) in [
            ("promql", "subqueries", true),
            ("promql", "anchored", false),
            ("promql", "fill_left", false),
            ("promql", "delayed_name_removal", false),
            ("promql_functions", "rate", true),
            ("promql_functions", "info", false),
            ("promql_operators", "topk", true),
            ("promql_operators", "limitk", false),
        ] {
            assert_eq!(plain[category][name], is_on, "{name}");
            assert!(all[category][name], "{name}");
        }
        assert!(!all["api"]["admin"]);
    }

    #[test]
    fn operators_are_those_of_the_parser() {
        for operator in OPERATORS {
            let query = match operator {
                "=~" | "!~" => format!("a{{b{operator}\"c\"}}"),
                "@" => "a @ 1".to_owned(),
                _ => format!("a {operator} b"),
            };
            assert!(parse(&query, &ParserOptions::default()).is_ok(), "{query}");
        }
    }
}
