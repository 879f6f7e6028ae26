//! PromQL: parser, planner and evaluator over a series reader.
