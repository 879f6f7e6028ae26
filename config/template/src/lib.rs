//! Go's template language, the functions of Prometheus and Alertmanager, and the default templates.
