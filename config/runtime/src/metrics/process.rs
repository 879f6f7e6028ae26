//! What the system says of this process, under the names that every Prometheus client uses, and what became of its log
//! lines.
use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::logging::dropped_lines;

/// Linux says it to every process on every machine that Rust's standard library runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

/// Read anew at every scrape.
#[derive(Debug)]
pub(crate) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let dropped = ConstCounter::new(dropped_lines());
        let descriptor = encoder.encode_descriptor(
            "watchbell_log_lines_dropped",
            "Number of log lines that nobody will read, because standard error was not read as fast as they came",
            None,
            dropped.metric_type(),
        )?;
        dropped.encode(descriptor)?;
        let Some(figures) = Figures::read() else {
            return Ok(());
        };
        let cpu = ConstCounter::new(figures.cpu_seconds);
        let descriptor = encoder.encode_descriptor(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds",
            None,
            cpu.metric_type(),
        )?;
        cpu.encode(descriptor)?;
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                figures.start_seconds,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                figures.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
                figures.virtual_bytes,
            ),
            (
                "process_virtual_memory_max_bytes",
                "Maximum amount of virtual memory available in bytes",
                figures.virtual_bytes_max,
            ),
            (
                "process_open_fds",
                "Number of open file descriptors",
                figures.open_files,
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                figures.files_max,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            let descriptor = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(descriptor)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    virtual_bytes_max: f64,
    open_files: f64,
    files_max: f64,
}

impl Figures {
    /// `None` on a system without `/proc`.
    fn read() -> Option<Self> {
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let own = fs::read_to_string("/proc/self/stat").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count();
        Self::parse(&boot, &own, &limits, open)
    }

    fn parse(boot: &str, own: &str, limits: &str, open: usize) -> Option<Self> {
        let boot_seconds: f64 = boot
            .lines()
            .find_map(|line| line.strip_prefix("btime "))?
            .trim()
            .parse()
            .ok()?;
        // The program's name stands in brackets and may hold anything; what follows counts from field 3.
        let fields: Vec<&str> = own.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
            let soft = line.split_whitespace().next()?;
            Some(soft.parse().unwrap_or(f64::INFINITY))
        };
        let files_max = limit("Max open files")?;
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) / TICKS_PER_SECOND,
            start_seconds: boot_seconds + number(22)? / TICKS_PER_SECOND,
            virtual_bytes: number(23)?,
            virtual_bytes_max: limit("Max address space")?,
            resident_bytes: number(24)? * PAGE_BYTES,
            open_files: open as f64,
            files_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn the_systems_files_are_read() {
        let boot = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
        let own = "42 (a (b) c) S 1 42 42 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 3 0 1000 8192000 25 18446744073709551615 1\n";
        let limits = "Limit Soft Hard Units\nMax address space         unlimited            unlimited            bytes\nMax open files            1024                 4096                 files\n";
        let figures = Figures::parse(boot, own, limits, 7).unwrap();
        let expected = Figures {
            cpu_seconds: 2.0,
            start_seconds: 1_700_000_010.0,
            resident_bytes: 102_400.0,
            virtual_bytes: 8_192_000.0,
            virtual_bytes_max: f64::INFINITY,
            open_files: 7.0,
            files_max: 1024.0,
        };
        assert_eq!(figures, expected);
        assert_eq!(Figures::parse("", own, limits, 7), None);
    }
}
