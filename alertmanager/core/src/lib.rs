//! Who is told what, and when: alerts, routes, groups, muting, deduplication, deliveries.
