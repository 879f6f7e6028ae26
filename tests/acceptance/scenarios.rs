//! What two Alertmanagers are asked to do, and whether they are to do the same.

pub(crate) struct Scenario {
    /// Also the label `scenario` of its alerts, and its receiver; `@` stands for it in the texts below.
    pub(crate) name: &'static str,
    /// Keys of its route, in flow style.
    pub(crate) route: &'static str,
    /// Routes behind its own.
    pub(crate) more_routes: &'static [&'static str],
    /// Receivers besides its own, by what is appended to its name.
    pub(crate) more_receivers: &'static [&'static str],
    pub(crate) inhibit_rules: &'static [&'static str],
    /// Keys of each webhook.
    pub(crate) webhook: &'static str,
    /// Webhooks of each receiver, if not one.
    pub(crate) integrations: usize,
    /// Seconds since the start, and what happens then.
    pub(crate) steps: &'static [(f64, &'static str)],
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Same,
    /// Differs on purpose: what Watchbell tells.
    Told(&'static [&'static str]),
}

const SAME: Scenario = Scenario {
    name: "",
    route: "",
    more_routes: &[],
    more_receivers: &[],
    inhibit_rules: &[],
    webhook: "",
    integrations: 1,
    steps: &[],
    outcome: Outcome::Same,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first",
        steps: &[(0.0, "fire: instance=a @summary=down")],
        ..SAME
    },
    Scenario {
        name: "together",
        steps: &[(0.0, "fire: instance=b; instance=a job=x; instance=c job=w")],
        ..SAME
    },
    Scenario {
        name: "joins-the-wait",
        steps: &[(0.0, "fire: instance=a"), (1.0, "fire: instance=b")],
        ..SAME
    },
    Scenario {
        name: "new-alert",
        steps: &[(0.0, "fire: instance=a"), (4.0, "fire: instance=b")],
        ..SAME
    },
    Scenario {
        name: "sent-again",
        steps: &[
            (0.0, "fire: instance=a"),
            (4.0, "fire: instance=a"),
            (8.0, "fire: instance=a"),
        ],
        ..SAME
    },
    Scenario {
        name: "resolves",
        steps: &[(0.0, "fire: instance=a"), (4.0, "resolve: instance=a")],
        ..SAME
    },
    Scenario {
        name: "resolves-untold",
        steps: &[(0.0, "fire: instance=a"), (1.0, "resolve: instance=a")],
        ..SAME
    },
    Scenario {
        name: "one-of-two-resolves",
        steps: &[
            (0.0, "fire: instance=a; instance=b"),
            (4.0, "resolve: instance=a"),
        ],
        ..SAME
    },
    Scenario {
        name: "both-resolve-in-turn",
        steps: &[
            (0.0, "fire: instance=a; instance=b"),
            (4.0, "resolve: instance=a"),
            (8.0, "resolve: instance=b"),
        ],
        ..SAME
    },
    Scenario {
        name: "resolves-and-fires",
        steps: &[
            (0.0, "fire: instance=a"),
            (4.0, "resolve: instance=a"),
            (8.0, "fire: instance=a"),
        ],
        ..SAME
    },
    Scenario {
        name: "flaps-between-flushes",
        steps: &[
            (0.0, "fire: instance=a"),
            (3.0, "resolve: instance=a"),
            (4.0, "fire: instance=a"),
        ],
        ..SAME
    },
    Scenario {
        name: "ends-by-itself",
        steps: &[(0.0, "fire 4: instance=a")],
        ..SAME
    },
    Scenario {
        name: "annotation-changes",
        steps: &[
            (0.0, "fire: instance=a @summary=one"),
            (4.0, "fire: instance=a @summary=two"),
            (8.0, "resolve: instance=a @summary=three"),
        ],
        ..SAME
    },
    Scenario {
        name: "no-resolved",
        webhook: "send_resolved: false",
        steps: &[(0.0, "fire: instance=a"), (4.0, "resolve: instance=a")],
        ..SAME
    },
    Scenario {
        name: "no-resolved-of-two",
        webhook: "send_resolved: false",
        steps: &[
            (0.0, "fire: instance=a; instance=b"),
            (4.0, "resolve: instance=a"),
            (8.0, "fire: instance=c"),
        ],
        ..SAME
    },
    Scenario {
        name: "no-resolved-fires-again",
        webhook: "send_resolved: false",
        steps: &[
            (0.0, "fire: instance=a"),
            (4.0, "resolve: instance=a"),
            (8.0, "fire: instance=a"),
        ],
        ..SAME
    },
    Scenario {
        name: "repeats",
        route: "repeat_interval: 6s",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "group-by-all",
        route: "group_by: ['...']",
        steps: &[(0.0, "fire: instance=a; instance=b")],
        ..SAME
    },
    Scenario {
        name: "group-by-none",
        route: "group_by: []",
        steps: &[(0.0, "fire: instance=a; alertname=B instance=b")],
        // Only newer releases let a child take the grouping of its parent away.
        outcome: Outcome::Told(&["2 firing +a +b"]),
        ..SAME
    },
    Scenario {
        name: "group-by-absent",
        route: "group_by: [absent, instance]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "waits-not",
        route: "group_wait: 0s",
        steps: &[(0.0, "fire: instance=a"), (2.0, "fire: instance=b")],
        ..SAME
    },
    Scenario {
        name: "continues",
        route: "continue: true",
        more_routes: &["receiver: @-second"],
        more_receivers: &["-second"],
        steps: &[(0.0, "fire: instance=a"), (4.0, "resolve: instance=a")],
        ..SAME
    },
    Scenario {
        name: "child",
        route: "routes: [{matchers: ['severity=\"page\"'], receiver: @-page, group_by: [severity]}]",
        more_receivers: &["-page"],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=b severity=info; instance=c",
        )],
        ..SAME
    },
    Scenario {
        name: "child-by-regex",
        route: "routes: [{matchers: ['severity=~\"pa.*|crit\"', 'instance!=\"b\"'], receiver: @-page}]",
        more_receivers: &["-page"],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=b severity=page; instance=c severity=xpage",
        )],
        ..SAME
    },
    Scenario {
        name: "child-by-absence",
        route: "routes: [{matchers: ['severity=\"\"'], receiver: @-none}]",
        more_receivers: &["-none"],
        steps: &[(0.0, "fire: instance=a; instance=b severity=page")],
        ..SAME
    },
    Scenario {
        name: "child-by-match",
        route: "routes: [{match: {severity: page}, match_re: {instance: 'a|b'}, receiver: @-page}]",
        more_receivers: &["-page"],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=c severity=page; instance=b",
        )],
        ..SAME
    },
    Scenario {
        name: "two-integrations",
        integrations: 2,
        steps: &[(0.0, "fire: instance=a"), (4.0, "resolve: instance=a")],
        ..SAME
    },
    Scenario {
        name: "truncated",
        webhook: "max_alerts: 2",
        steps: &[(0.0, "fire: instance=a; instance=b; instance=c")],
        ..SAME
    },
    Scenario {
        name: "inhibited",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=\"page\"'], target_matchers: ['scenario=\"@\"', 'severity=\"info\"'], equal: [instance]",
        ],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=a severity=info; instance=b severity=info",
        )],
        ..SAME
    },
    Scenario {
        name: "inhibition-ends",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=\"page\"'], target_matchers: ['scenario=\"@\"', 'severity=\"info\"']",
        ],
        steps: &[
            (
                0.0,
                "fire: instance=a severity=page; instance=b severity=info",
            ),
            (4.0, "resolve: instance=a severity=page"),
        ],
        ..SAME
    },
    Scenario {
        name: "inhibits-not-itself",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=~\"page|info\"'], target_matchers: ['scenario=\"@\"', 'severity=~\"page|info\"']",
        ],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=b severity=info",
        )],
        ..SAME
    },
    Scenario {
        name: "inhibition-by-absence",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=\"page\"'], target_matchers: ['scenario=\"@\"', 'severity=\"info\"'], equal: [rack]",
        ],
        steps: &[(
            0.0,
            "fire: instance=a severity=page; instance=b severity=info; instance=c severity=info rack=r",
        )],
        ..SAME
    },
    Scenario {
        name: "silenced",
        steps: &[
            (0.0, "silence S: instance=a"),
            (0.2, "fire: instance=a; instance=b"),
        ],
        ..SAME
    },
    Scenario {
        name: "silenced-by-regex",
        steps: &[
            (0.0, "silence S: instance=~a|c"),
            (0.2, "fire: instance=a; instance=b; instance=c"),
        ],
        ..SAME
    },
    Scenario {
        name: "silence-ends",
        steps: &[
            (0.0, "silence S: instance=a"),
            (0.2, "fire: instance=a"),
            (4.0, "expire S"),
        ],
        ..SAME
    },
    Scenario {
        name: "silenced-later",
        steps: &[
            (0.0, "fire: instance=a; instance=b"),
            (4.0, "silence S: instance=a"),
            (8.0, "fire: instance=c"),
        ],
        ..SAME
    },
    Scenario {
        name: "muted-always",
        route: "mute_time_intervals: [always]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "muted-never",
        route: "mute_time_intervals: [never]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "muted-where-the-machine-is",
        route: "mute_time_intervals: [local]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "active-never",
        route: "active_time_intervals: [never]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "active-always",
        route: "active_time_intervals: [always]",
        steps: &[(0.0, "fire: instance=a")],
        ..SAME
    },
    Scenario {
        name: "empty-labels",
        steps: &[(0.0, "fire: instance=a severity= @empty=")],
        ..SAME
    },
    Scenario {
        name: "other-letters",
        steps: &[(0.0, "fire: instance=ä @summary=größer<&>")],
        ..SAME
    },
    Scenario {
        name: "resolves-while-silenced",
        steps: &[
            (0.0, "fire: instance=a"),
            (3.0, "silence S: instance=a"),
            (4.0, "resolve: instance=a"),
        ],
        outcome: Outcome::Told(&["2 firing +a", "6 resolved -a"]),
        ..SAME
    },
    Scenario {
        name: "fires-again-after-a-silence",
        steps: &[
            (0.0, "fire: instance=a"),
            (3.0, "silence S: instance=a"),
            (4.0, "resolve: instance=a"),
            (7.0, "expire S"),
            (8.0, "fire: instance=a"),
        ],
        outcome: Outcome::Told(&["2 firing +a", "6 resolved -a", "10 firing +a"]),
        ..SAME
    },
    Scenario {
        name: "resolves-while-inhibited",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=\"page\"'], target_matchers: ['scenario=\"@\"', 'severity=\"info\"']",
        ],
        route: "group_by: [severity]",
        steps: &[
            (0.0, "fire: instance=b severity=info"),
            (2.5, "fire: instance=a severity=page"),
            (4.0, "resolve: instance=b severity=info"),
        ],
        outcome: Outcome::Told(&["2 firing +b", "4 firing +a", "6 resolved -b"]),
        ..SAME
    },
    Scenario {
        name: "comes-and-goes-untold",
        steps: &[
            (0.0, "fire: instance=a"),
            (3.0, "fire: instance=b"),
            (4.0, "resolve: instance=b"),
        ],
        outcome: Outcome::Told(&["2 firing +a"]),
        ..SAME
    },
    Scenario {
        name: "repeats-each-interval",
        route: "repeat_interval: 4s",
        steps: &[(0.0, "fire: instance=a")],
        outcome: Outcome::Told(&["2 firing +a", "6 firing +a", "10 firing +a", "14 firing +a"]),
        ..SAME
    },
    Scenario {
        name: "two-sources",
        inhibit_rules: &[
            "source_matchers: ['scenario=\"@\"', 'severity=\"page\"'], target_matchers: ['scenario=\"@\"', 'severity=\"info\"']",
        ],
        route: "group_by: [severity]",
        steps: &[
            (0.0, "fire: instance=b severity=page"),
            (0.5, "fire: instance=a severity=page"),
            (1.0, "fire: instance=c severity=info"),
            (4.0, "resolve: instance=a severity=page"),
            (8.0, "fire: instance=d severity=info"),
        ],
        ..SAME
    },
    Scenario {
        name: "old-alerts-together",
        steps: &[(0.0, "old: instance=a; instance=b")],
        ..SAME
    },
    Scenario {
        name: "old-alert",
        steps: &[(0.0, "old: instance=a"), (1.0, "fire: instance=b")],
        ..SAME
    },
];
