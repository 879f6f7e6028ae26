//! Bodies that are not quite as they should be, for Debian's Alertmanager and for Watchbell: what one takes the other
//! takes, and both understand the same. A batch that is refused for one odd label is a page that nobody gets.
use std::process::Command;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::alertmanager::{self, Alertmanager, DEBIANS};
use crate::files::folder;
use crate::process::program;

/// `NAME` stands for the label `n` by which the alert is found again.
const BODIES: &[&[u8]] = &[
    br#"null"#,
    br#""#,
    br#" "#,
    br#"[]"#,
    br#"{}"#,
    br#"1"#,
    br#"[1]"#,
    br#"[{"labels":null}]"#,
    br#"[{"annotations":{}}]"#,
    br#"[{"labels":{"n":"NAME","a":null},"annotations":{"s":null}}]"#,
    br#"[{"labels":{"n":"NAME"},"annotations":null,"startsAt":null,"endsAt":null,"generatorURL":null}]"#,
    b"[{\"labels\":{\"n\":\"NAME\",\"a\":\"x\xffy\xc3\"},\"annotations\":{\"s\":\"\xed\xa0\x80\xe2(\"}}]",
    br#"[{"labels":{"n":"NAME","a":"x\ud800y\udc00\ud83d\ude00"},"annotations":{"s":"\ud800\ud83d\ude00\ud800\u0041"}}]"#,
    br#"[{"labels":{"n":"NAME","a":"1","a":"2"}}]"#,
    br#"[{"labels":{"n":"NAME","a":"1","a":null}}]"#,
    br#"[{"labels":{"x":"y"},"labels":{"n":"NAME"}}]"#,
    br#"[{"labels":{"n":"NAME"},"labels":null}]"#,
    br#"[{"labels":{"n":"NAME"},"Labels":{"b":"y"}}]"#,
    br#"[{"Labels":{"n":"NAME","b":"y"},"labels":{"n":"NAME"},"annotations":{"a":"1"},"annotations":{"b":"2"}}]"#,
    br#"[{"LABELS":{"n":"NAME"},"STARTSAT":"2026-11-20T03:00:00Z","endsat":"2999-11-28T03:00:00Z","generatorUrl":"http://g/x","ANNOTATIONS":{"s":"t"}}]"#,
    br#"[{"labels":{"n":"NAME"},"startsAt":"2026-11-20T03:00:00Z","startsAt":"2026-11-20T02:00:00Z","startsAt":null}]"#,
    br#"[{"labels":{"n":"NAME"},"generatorURL":"http://g/x","generatorUrl":"http://h/x"}]"#,
    "[{\"label\u{17f}\":{\"n\":\"NAME\"}}]".as_bytes(),
    br#"[{"Label\u0073":{"n":"NAME"}}]"#,
    br#"[{"labels":{"n":"NAME"}}] and more"#,
    br#"[{"labels":{"n":"NAME"}}][{"labels":{"n":"other"}}]"#,
    br#"[{"labels":{"n":"NAME"},"x":{"a":[1,2,{"b":null}]},"y":1e999999}]"#,
    br#"[{"labels":{"n":"NAME","a":"\u0000\u007f"}}]"#,
    br#"[{"labels":{"n":"NAME"}}"#,
    br#"[{"labels":{"n":"NAME"}},]"#,
    br#"[{"labels":{"n":"NAME"},}]"#,
    "\u{feff}[{\"labels\":{\"n\":\"NAME\"}}]".as_bytes(),
    br#"[{"labels":{"n":"NAME","a":1}}]"#,
    br#"[{"labels":{"n":"NAME"},"annotations":{"a":true}}]"#,
    br#"[{"labels":[]}]"#,
    br#"[{"labels":{"n":"NAME"},"startsAt":1}]"#,
    br#"[{"labels":{"n":"NAME"},"generatorURL":1}]"#,
    br#"[{"labels":{"n":"NAME"},"x":01}]"#,
    br#"[{"labels":{"n":"NAME","a":"\x"}}]"#,
    b"[{\"labels\":{\"n\":\"NAME\",\"a\":\"tab\there\"}}]",
    br#"[{"labels":{"a":""}}]"#,
];

/// As `startsAt` of an alert.
const TIMES: &[&str] = &[
    "0001-01-01T00:00:00Z",
    "2026-11-20T03:00:00",
    "2026-11-20 03:00:00",
    "2026-11-20 03:00:00.5",
    "2026-11-20 03:00:00Z",
    "2026-11-20T03:00Z",
    "2026-11-20T03:00",
    "2026-11-20T3:00:00Z",
    "2026-11-20T03:00:00.1234567890123Z",
    "2026-11-20T03:00:00.123456789012",
    "2026-11-20T03:00:00,5Z",
    "2026-11-20T03:00:00.Z",
    "2026-11-20T03:00:00.123+0100",
    "2026-11-20T03:00:00+01:00",
    "2026-11-20T03:00:00+25:00",
    "2026-11-20T24:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-2-3T00:00:00Z",
    " 2026-11-20T03:00:00Z",
    "2026-11-20T03:00:00Z ",
    "2026-11-20T03:0:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "1795834800",
    "yesterday",
    "null",
];

const SILENCES: &[&[u8]] = &[
    br#"null"#,
    br#""#,
    br#"[]"#,
    br#"{}"#,
    br#"{"MATCHERS":[{"Name":"n","VALUE":"NAME","isregex":true,"ISEQUAL":false}],"startsat":"2026-11-20T03:00:00Z","EndsAt":"2999-11-28T03:00:00Z","createdby":"a","Comment":"c"}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":false,"isEqual":null}],"startsAt":"2026-11-20 03:00:00","endsAt":"2999-11-28T03:00","createdBy":"a","comment":"c","comment":"d"} x"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":false}],"startsAt":"","endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c","id":null}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":false}],"startsAt":"2026-11-20T03:00:00Z","endsAt":"","createdBy":"a","comment":"c"}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":false}],"startsAt":null,"endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c"}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":false}],"startsAt":"2026-11-20T03:00:00Z","endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c","comment":null}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":null}],"startsAt":"2026-11-20T03:00:00Z","endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c"}"#,
    br#"{"matchers":[{"name":"n","value":"NAME","isRegex":"false"}],"startsAt":"2026-11-20T03:00:00Z","endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c"}"#,
    br#"{"matchers":[{"name":"a","value":"1","isRegex":false},{"name":"b","value":"2","isRegex":true}],"startsAt":"2026-11-20T03:00:00Z","endsAt":"2999-11-28T03:00:00Z","createdBy":"a","comment":"c","matchers":[{"name":"n"},{"name":"z","value":"NAME"}]}"#,
    b"{\"matchers\":[{\"name\":\"n\",\"value\":\"NAME\xff\",\"isRegex\":false}],\"startsAt\":\"2026-11-20T03:00:00Z\",\"endsAt\":\"2999-11-28T03:00:00Z\",\"createdBy\":\"a\xc3\",\"comment\":\"c\\ud800\"}",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_bodies_are_taken_and_understood_as_debians_alertmanager_does() {
    let Some(program) = program(DEBIANS) else {
        return;
    };
    let config = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
    let (theirs, ours) = (
        folder(&[("alertmanager.yml", config)]),
        folder(&[("alertmanager.yml", config)]),
    );
    let upstream = Alertmanager::start_in(theirs.path(), &mut Command::new(program), &[]).await;
    let watchbell = Alertmanager::start_in(ours.path(), &mut alertmanager::ours(), &[]).await;

    let times = TIMES
        .iter()
        .map(|time| format!(r#"[{{"labels":{{"n":"NAME"}},"startsAt":"{time}"}}]"#).into_bytes());
    let bodies = BODIES.iter().map(|body| body.to_vec()).chain(times);
    for (number, body) in bodies.enumerate() {
        let name = format!("row{number}");
        let shown = String::from_utf8_lossy(&body).into_owned();
        let body = named(&body, &name);
        let (there, here) = (
            alert(&upstream, &name, &body).await,
            alert(&watchbell, &name, &body).await,
        );
        assert_eq!(here, there, "{shown}");
    }
    for (number, body) in SILENCES.iter().enumerate() {
        let body = named(body, &format!("row{number}"));
        let shown = String::from_utf8_lossy(&body);
        let (there, here) = (
            silence(&upstream, &body).await,
            silence(&watchbell, &body).await,
        );
        assert_eq!(here, there, "{shown}");
    }

    // There these end at once what they begin, or the connection.
    for (body, status) in [
        (
            r#"[{"labels":{"n":"unsaid"},"startsAt":"","endsAt":""}]"#,
            200,
        ),
        (r#"[null]"#, 400),
        (r#"[{"labels":{"n":"before"}},null]"#, 400),
    ] {
        let answer = watchbell.ask(Method::POST, "/api/v2/alerts", body).await;
        assert_eq!(answer.0, status, "{body}: {answer:?}");
    }
    let unsaid = watchbell.json("/api/v2/alerts?filter=n%3Dunsaid").await;
    assert_eq!(unsaid[0]["startsAt"], unsaid[0]["updatedAt"], "{unsaid}");
}

fn named(body: &[u8], name: &str) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.windows(4).position(|window| window == b"NAME") {
        parts.extend_from_slice(&rest[..at]);
        parts.extend_from_slice(name.as_bytes());
        rest = &rest[at + 4..];
    }
    parts.extend_from_slice(rest);
    parts
}

/// The answer's status, and what is known of the alert then.
async fn alert(member: &Alertmanager, name: &str, body: &[u8]) -> Json {
    let (status, _) = member.ask_bytes("/api/v2/alerts", body).await;
    let list = member
        .json(&format!("/api/v2/alerts?filter=n%3D%22{name}%22"))
        .await;
    let alerts = list.as_array().expect("a list").iter();
    let known = alerts.map(|alert| {
        // An alert that names no start begins when it comes: at another moment there than here.
        let start = instant(&alert["startsAt"]);
        let start = if start == instant(&alert["updatedAt"]) {
            Json::Null
        } else {
            start
        };
        json!([
            alert["labels"],
            alert["annotations"],
            alert["generatorURL"],
            start
        ])
    });
    json!([status, known.collect::<Vec<_>>()])
}

async fn silence(member: &Alertmanager, body: &[u8]) -> Json {
    let (status, answer) = member.ask_bytes("/api/v2/silences", body).await;
    if status != 200 {
        return json!([status]);
    }
    let answer: Json = serde_json::from_str(&answer).expect("an answer in JSON");
    let id = answer["silenceID"].as_str().expect("an id");
    let silence = member.json(&format!("/api/v2/silence/{id}")).await;
    json!([
        status,
        silence["matchers"],
        silence["createdBy"],
        silence["comment"],
        silence["endsAt"],
        silence["status"],
    ])
}

/// In UTC: there a time is told with the offset that it came with.
fn instant(time: &Json) -> Json {
    let text = time.as_str().expect("a time");
    let time = model::Timestamp::parse_date_time(text).expect("a time");
    json!(time.as_millis())
}
