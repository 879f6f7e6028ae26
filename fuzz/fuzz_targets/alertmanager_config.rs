//! Any text is a configuration or a list of problems.
#![no_main]
use config::{AlertmanagerConfig, AlertmanagerOptions, Problems, RuleFile, WatchbellConfig};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default());
    let _ = WatchbellConfig::read("w.yml", text);
    let _ = RuleFile::read("r.yml", text, &mut Problems::new());
});
