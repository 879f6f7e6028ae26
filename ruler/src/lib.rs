//! The shell around the ruler core: rule files, evaluation, sending, the rules API.
