//! Values that alerts may carry, against vendors that refuse whatever is not in order.
use config::Endpoints;
use fakes::Fakes;
use model::Labels;

use crate::tests::world::{attempt, firing, tellers, word};

#[tokio::test]
async fn no_value_of_an_alert_is_refused_by_a_vendor() {
    let fakes = Fakes::start().await;
    let integrations = format!(
        "  webhook_configs: [{{url: '{}'}}]\n  \
         pagerduty_configs: [{{routing_key: 0123456789abcdef0123456789abcdef, url: '{}', severity: '{{{{ .CommonLabels.nasty }}}}'}}]\n  \
         slack_configs: [{{api_url: '{}', channel: '#c', text: '{{{{ .CommonAnnotations.summary }}}}'}}]\n  \
         email_configs: [{{to: a@b.test, from: w@x.test, smarthost: '{}', require_tls: false, headers: {{X-Nasty: '{{{{ .CommonLabels.nasty }}}}'}}}}]",
        fakes.webhook_url(""),
        fakes.pagerduty_v2_url(),
        fakes.slack_webhook_url(),
        fakes.smtp_address(),
    );
    let tellers = tellers("", &integrations, Endpoints::default());
    let long = "x".repeat(10_000);
    let wide = "😀".repeat(5_000);
    let values = [
        "\"quoted\" \\ 'single'",
        "line\nline\r\nBcc: evil@example.org\r\n\r\nbody",
        "\r\n.\r\nQUIT\r\n",
        "<script>alert(1)</script> & more",
        "tab\there, \u{7f} and \u{1}, \u{2028}",
        "{{ .Status }} {a: b} [1, 2]: - *x",
        "=?utf-8?q?=41?= =3D=0A",
        "é ü 日本 😀",
        long.as_str(),
        wide.as_str(),
        " ",
    ];
    for (number, value) in values.iter().enumerate() {
        let mut notification = firing();
        let pairs = [("alertname", "Down"), ("nasty", *value)];
        notification.group_labels = Labels::from_pairs(pairs);
        notification.alerts[0].labels = Labels::from_pairs(pairs);
        notification.alerts[0].annotations = Labels::from_pairs([("summary", *value)]);
        for kind in ["webhook", "pagerduty", "slack", "email"] {
            let outcome = attempt(&tellers, kind, &notification).await;
            let shown: String = value.chars().take(40).collect();
            assert_eq!(word(&outcome), "delivered", "{kind} {shown:?}: {outcome:?}");
        }
        let told = fakes
            .webhook
            .look(|receiver| receiver.bodies[number].1.clone());
        assert_eq!(told["commonLabels"]["nasty"], **value);
        let mail = fakes.mail.mails().pop().unwrap();
        assert_eq!(mail.header("Bcc"), None);
        assert_eq!(mail.recipients, ["a@b.test"]);
    }
    assert!(fakes.strays().is_empty());
}
