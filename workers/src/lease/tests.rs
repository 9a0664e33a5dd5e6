//! Laws of the lease.
//!
//! Owns: what renewals are worth, and that no two gateways serve at the same time.
//! Leaves to others: keepers over drives (`tests/lease.rs`).
//! Always: no real time; steps are drawn, moments counted.

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}
fn d(number: u64) -> DriveId {
    DriveId::new(number)
}

#[test]
fn a_lease_lasts_as_long_as_the_last_but_enough_renewal() {
    let mut book = LeaseBook::new(Duration::from_secs(10));
    let living: Vec<DriveId> = (0..6).map(d).collect();
    for (drive, sent) in [(0, 100), (1, 300), (2, 200)] {
        book.renewed(d(drive), at(sent));
    }
    assert_eq!(book.until(&living, 4), Monotonic::default());
    assert_eq!(book.until(&living, 3), at(9_100));
    assert_eq!(book.until(&living, 1), at(9_300));
    // An answer that comes late does not shorten it, and one of a dead drive does not count.
    book.renewed(d(1), at(250));
    assert_eq!(book.until(&living, 1), at(9_300));
    assert_eq!(book.until(&living[..2], 3), Monotonic::default());
}

#[test]
fn a_lease_is_lost_when_too_few_drives_can_renew_it() {
    let mut book = LeaseBook::new(Duration::from_secs(10));
    let living: Vec<DriveId> = (0..6).map(d).collect();
    book.refused(d(0), at(1));
    book.refused(d(1), at(1));
    assert!(!book.is_lost(&living, 4));
    book.refused(d(2), at(1));
    assert!(book.is_lost(&living, 4));
    book.renewed(d(2), at(2));
    assert!(!book.is_lost(&living, 4));
}

/// A drive as `shard-node` keeps it: what of its lease matters here.
#[derive(Clone, Copy, Debug, Default)]
struct Drive {
    generation: u32,
    until: u64,
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Wait(u64),
    /// The old holder asks these drives (bits) for a renewal; answers come after so long.
    Renew(u8, u64),
    /// The old holder's machine sleeps.
    Suspend(u64),
    /// A drive is opened again and knows nothing of its lease.
    Restart(u8),
    /// Another gateway claims these drives (bits) and reads what is left.
    Claim(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u64..4000).prop_map(Step::Wait),
        5 => (any::<u8>(), 0_u64..3000).prop_map(|(drives, delay)| Step::Renew(drives, delay)),
        1 => (1_u64..20_000).prop_map(Step::Suspend),
        1 => (0_u8..7).prop_map(Step::Restart),
        2 => any::<u8>().prop_map(Step::Claim),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Two gateways never serve at the same time: when the second has claimed N − a + 1 drives and
    /// waited for what they said was left, the first's guard says no, for ever.
    #[test]
    fn no_two_gateways_serve_at_the_same_time(
        n in 2_usize..8,
        parity in 1_usize..4,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        const LEN: u64 = 10_000;
        const LONGEST: u64 = 15_000;
        let a = (n / 2 + 1).min(n.saturating_sub(parity)).max(1);
        let living: Vec<DriveId> = (0..n as u64).map(d).collect();
        let mut drives = vec![Drive { generation: 1, until: 0 }; n];
        let mut book = LeaseBook::new(Duration::from_millis(LEN));
        let mut now = 1_u64;
        let mut second_serves_from: Option<u64> = None;
        let mut claimed = vec![None; n];
        for step in steps {
            match step {
                Step::Wait(ms) | Step::Suspend(ms) => now += ms,
                Step::Restart(which) => {
                    let which = usize::from(which) % n;
                    drives[which].until = now + LONGEST;
                }
                Step::Renew(bits, delay) => {
                    let sent = now;
                    now += delay;
                    for (number, drive) in drives.iter_mut().enumerate() {
                        if bits & (1 << number) != 0 && drive.generation == 1 {
                            drive.until = drive.until.max(now + LEN);
                            book.renewed(d(number as u64), at(sent));
                        }
                    }
                }
                Step::Claim(bits) => {
                    for (number, drive) in drives.iter_mut().enumerate() {
                        if bits & (1 << number) != 0 {
                            drive.generation = 2;
                            let free_at = drive.until.max(now);
                            claimed[number] = Some(claimed[number].map_or(free_at, |old: u64| {
                                old.max(free_at)
                            }));
                        }
                    }
                    let count = claimed.iter().flatten().count();
                    if count > n - a && second_serves_from.is_none() {
                        second_serves_from = claimed.iter().flatten().max().copied();
                    }
                }
            }
            if let Some(from) = second_serves_from {
                let until = book.until(&living, a);
                prop_assert!(until <= at(from), "{until:?} is after {from}");
            }
        }
    }
}
