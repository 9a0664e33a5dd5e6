//! What processes cost, read from `/proc`.
//!
//! Owns: CPU time and memory of the server's processes and of ourselves.
//! Always: a process stands for itself and its descendants, and its CPU time for all its threads,
//! those that ended included.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::error::LoadError;

/// CPU seconds used so far, per process.
pub type CpuSeconds = BTreeMap<i32, f64>;

/// Resident memory of a set of processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// VmRSS: now.
    pub resident_bytes: u64,
    /// VmHWM: the most since the process started (or since [`reset_peak`]).
    pub peak_bytes: u64,
}

/// `roots` and every process that descends from one of them.
pub fn tree(roots: &[i32]) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = match fs::read_dir("/proc") {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid: i32| Some((pid, parent_of(&read_stat(pid).ok()?)?)))
            .collect(),
        Err(_) => Vec::new(),
    };
    let mut found = roots.to_vec();
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let children = parents
            .iter()
            .filter(|(_, of)| *of == parent)
            .map(|(pid, _)| *pid);
        let new: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

/// CPU seconds of every process of the [`tree`] of `roots`.
///
/// # Errors
/// `Process` if one of the roots is gone.
pub fn cpu_seconds(roots: &[i32]) -> Result<CpuSeconds, LoadError> {
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut seconds = CpuSeconds::new();
    for pid in tree(roots) {
        match read_stat(pid) {
            Ok(stat) => {
                let ticks = ticks_of(&stat).unwrap_or_default();
                seconds.insert(pid, ticks as f64 / ticks_per_second);
            }
            Err(source) if roots.contains(&pid) => return Err(LoadError::Process { pid, source }),
            Err(_) => {}
        }
    }
    Ok(seconds)
}

/// CPU seconds between two readings; a process that is new started from 0.
pub fn cpu_between(before: &CpuSeconds, after: &CpuSeconds) -> f64 {
    after
        .iter()
        .map(|(pid, now)| now - before.get(pid).copied().unwrap_or_default())
        .sum()
}

/// Memory of `pids` themselves, summed. Pages shared by processes count in each.
pub fn memory(pids: &[i32]) -> Memory {
    let mut sum = Memory::default();
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident_bytes += field_bytes(&status, "VmRSS:");
        sum.peak_bytes += field_bytes(&status, "VmHWM:");
    }
    sum
}

/// Lets the peak of `pids` start again from now; where that is not allowed
/// the peak stays that since the start.
pub fn reset_peak(pids: &[i32]) {
    for pid in pids {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// CPU seconds that this process has used.
pub fn own_cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 * 1e-9
}

fn read_stat(pid: i32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/stat"))
}

/// The fields behind the command name, which may itself contain spaces and parentheses.
fn fields_of(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn parent_of(stat: &str) -> Option<i32> {
    fields_of(stat)?.nth(1)?.parse().ok()
}

/// utime + stime: fields 14 and 15 of proc(5), the 12th and 13th behind the name.
fn ticks_of(stat: &str) -> Option<u64> {
    let mut fields = fields_of(stat)?.skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A field of `/proc/PID/status`, given there in kB.
fn field_bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const STAT: &str = "4242 (a) b (c) S 17 4242 1 0 -1 4194560 100 0 0 0 \
        250 75 9 9 20 0 8 0 12345 1000 200 18446744073709551615";

    #[test]
    fn cpu_and_parent_are_found_behind_a_name_with_parentheses() {
        assert_eq!((parent_of(STAT), ticks_of(STAT)), (Some(17), Some(325)));
        assert_eq!(ticks_of("4242 (cut) S 17"), None);
    }

    #[test]
    fn memory_fields_are_kib() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(field_bytes(status, "VmRSS:"), 1 << 20);
        assert_eq!(field_bytes(status, "VmHWM:"), 2 << 20);
        assert_eq!(field_bytes(status, "VmSwap:"), 0);
    }

    #[test]
    fn descendants_belong_to_a_process() {
        let us = i32::try_from(std::process::id()).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "read line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(tree(&[us]).contains(&pid));
        assert!(cpu_seconds(&[us]).unwrap().contains_key(&pid));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(matches!(
            cpu_seconds(&[pid]),
            Err(LoadError::Process { .. })
        ));
    }

    #[test]
    fn own_cpu_time_grows_with_work() {
        let before = own_cpu_seconds();
        let us = [i32::try_from(std::process::id()).unwrap()];
        let stat_before = cpu_seconds(&us).unwrap();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut sum = 0u64;
        while own_cpu_seconds() - before < 0.05 {
            sum = sum.wrapping_add(rng.u64(..));
        }
        assert_ne!(sum, 0);
        assert!(cpu_between(&stat_before, &cpu_seconds(&us).unwrap()) > 0.0);
        let memory = memory(&us);
        assert!(memory.resident_bytes > 0);
        // The kernel sums both from per-CPU counters, so they agree only roughly.
        assert!(memory.peak_bytes >= memory.resident_bytes / 2);
    }

    #[test]
    fn a_process_that_appears_counts_from_zero() {
        let before = CpuSeconds::from([(1, 5.0)]);
        let after = CpuSeconds::from([(1, 6.0), (2, 0.5)]);
        assert!((cpu_between(&before, &after) - 1.5).abs() < 1e-9);
    }
}
