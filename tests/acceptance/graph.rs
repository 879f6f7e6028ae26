//! The link of a rule's alert leads somewhere.
use crate::files::folder;
use crate::watchbell::Watchbell;

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_an_alert_shows_its_expression_and_leads_to_its_value() {
    let rules = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(2) > bool 1 < 5'}]}]\n";
    let folder = folder(&[
        (
            "watchbell.yml",
            "rule_files: [rules.yml]\nalertmanager: {config_file: alertmanager.yml}\n",
        ),
        ("rules.yml", rules),
        (
            "alertmanager.yml",
            "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
        ),
    ]);
    let watchbell = Watchbell::start(folder.path()).await;
    let address = crate::wait::wait_for("the alert", crate::small::SETTLING, async || {
        let alerts = watchbell.json("/api/v2/alerts").await;
        Some(alerts[0]["generatorURL"].as_str()?.to_owned())
    })
    .await;
    let path = &address[address.find("/graph").expect("a link to a graph")..];
    let (status, page) = watchbell.get(None, path).await;
    assert_eq!(status, 200, "{page}");
    let expression = "<pre>vector(2) &gt; bool 1 &lt; 5</pre>";
    assert!(page.contains(expression), "{page}");
    let link = page
        .split("href=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let link = link.expect("a link").replace("&amp;", "&");
    let answer = watchbell.json(&format!("/{link}")).await;
    assert_eq!(answer["data"]["result"][0]["value"][1], "1", "{answer}");

    let script = "/graph?g0.expr=%3Cscript%3E%22%27%26&g0.tab=1";
    let (_, page) = watchbell.get(None, script).await;
    assert!(
        page.contains("<pre>&lt;script&gt;&quot;&#39;&amp;</pre>"),
        "{page}"
    );
    let (status, page) = watchbell.get(None, "/graph").await;
    assert_eq!(status, 200, "{page}");
}
