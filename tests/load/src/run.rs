//! A whole run: every load on every target, round by round.
//!
//! Owns: the order. In each round a load visits all targets before the next load begins, and every
//! other round visits them in the opposite order, so that drift of the machine hits all alike.
//! Always: objects that are read are prepared before the first measurement that needs them; what
//! was written is removed unless `--keep`.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::body::ObjectNumber;
use crate::cell::{Run, measure};
use crate::error::LoadError;
use crate::keys::Space;
use crate::plan::{Load, Op};
use crate::prepare;
use crate::quantity::ByteSize;
use crate::report::Cell;
use crate::target::Target;

/// Runs everything; `each` sees every result at once. Interrupted, what was measured stays seen.
///
/// # Errors
/// Whatever stops a run ([`LoadError`]); failed requests are in the results.
pub fn run(
    run: &Run<'_>,
    targets: &[Target],
    loads: &[Load],
    each: &mut dyn FnMut(Cell),
) -> Result<(), LoadError> {
    for target in targets {
        prepare::bucket(run, target)?;
    }
    let mut prepared: Prepared = HashSet::new();
    let done = rounds(run, targets, loads, &mut prepared, each);
    if !run.flags.keep && !run.flags.prefilled && !run.interrupted.load(Ordering::Relaxed) {
        for &(index, space, size) in &prepared {
            // The directory of a server that we started goes with it.
            let ephemeral = targets[index]
                .server
                .as_ref()
                .is_some_and(|s| s.is_ephemeral());
            if !ephemeral {
                let numbers = prepared_numbers(run, space, size);
                tell(prepare::remove(run, &targets[index], space, size, &numbers));
            }
        }
    }
    done
}

/// (target, space, size) of the objects that are there.
type Prepared = HashSet<(usize, Space, ByteSize)>;

fn rounds(
    run: &Run<'_>,
    targets: &[Target],
    loads: &[Load],
    prepared: &mut Prepared,
    each: &mut dyn FnMut(Cell),
) -> Result<(), LoadError> {
    for round in 0..run.flags.rounds {
        for &load in loads {
            let mut order: Vec<usize> = (0..targets.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for &index in &order {
                make_ready(run, targets, index, load, prepared)?;
            }
            for &index in &order {
                each(cell(run, &targets[index], load, round)?);
            }
        }
    }
    Ok(())
}

/// Writes the objects that `load` reads, unless they are there.
fn make_ready(
    run: &Run<'_>,
    targets: &[Target],
    index: usize,
    load: Load,
    prepared: &mut Prepared,
) -> Result<(), LoadError> {
    let space = match load.op {
        Op::List => Space::Listed,
        op if op.reads() => Space::Read,
        _ => return Ok(()),
    };
    if prepared.insert((index, space, load.size)) && !run.flags.prefilled {
        let numbers = prepared_numbers(run, space, load.size);
        prepare::write(run, &targets[index], space, load.size, &numbers)?;
    }
    Ok(())
}

fn prepared_numbers(run: &Run<'_>, space: Space, size: ByteSize) -> Vec<ObjectNumber> {
    let count = match space {
        Space::Listed => run.flags.list_keys,
        Space::Read | Space::Written => run.flags.read_objects(size),
    };
    (0..count).map(|index| space.prepared(index)).collect()
}

/// One load on one target, with what it needs written before and removed after.
fn cell(run: &Run<'_>, target: &Target, load: Load, round: usize) -> Result<Cell, LoadError> {
    let victims: Vec<ObjectNumber> = match load.op {
        Op::Delete => {
            let count = run
                .flags
                .delete_objects
                .min(run.flags.count.unwrap_or(u64::MAX));
            (0..count).map(|_| run.numbers.fresh()).collect()
        }
        _ => Vec::new(),
    };
    prepare::write(run, target, Space::Written, load.size, &victims)?;
    let measured = measure(run, target, load, &victims)?;
    if !run.flags.keep {
        // Victims that the load did not come to are still there; deleting the others again is fine.
        let mut left = measured.outcome.written.clone();
        left.extend(&victims);
        tell(prepare::remove(
            run,
            target,
            Space::Written,
            load.size,
            &left,
        ));
    }
    Ok(Cell::new(target, load, round, &measured))
}

/// What could not be removed is worth a line, not the end of the run.
fn tell(removed: Result<(), LoadError>) {
    if let Err(error) = removed {
        eprintln!("warning: {error}");
    }
}
