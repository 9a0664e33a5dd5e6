//! Objects that must be there before a load, and their removal after it. Never measured.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::body::ObjectNumber;
use crate::cell::Run;
use crate::client::Client;
use crate::error::LoadError;
use crate::failure::Failure;
use crate::keys::Space;
use crate::quantity::ByteSize;
use crate::target::Target;

/// Clients that prepare and remove.
const CLIENTS: usize = 16;
/// Attempts for each object: a server under pressure may answer 503.
const ATTEMPTS: u32 = 5;
/// Pause before the second attempt; doubles with each.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);

/// Creates the bucket.
///
/// # Errors
/// `Setup`.
pub fn bucket(run: &Run<'_>, target: &Target) -> Result<(), LoadError> {
    let mut client = client_of(run, target);
    client.create_bucket().map_err(|failure| LoadError::Setup {
        doing: format!("create bucket {}", run.flags.bucket),
        endpoint: target.endpoint.url().to_owned(),
        reason: failure.to_string(),
    })
}

/// Writes the objects `numbers`.
///
/// # Errors
/// `Setup` if one of them cannot be written after several attempts; `Interrupted`.
pub fn write(
    run: &Run<'_>,
    target: &Target,
    space: Space,
    size: ByteSize,
    numbers: &[ObjectNumber],
) -> Result<(), LoadError> {
    for_all(
        run,
        target,
        "prepare objects",
        numbers,
        &|client, number| {
            client.put(
                &space.key(size, number),
                &run.bodies.body(number, size.get()),
            )
        },
    )
}

/// Deletes the objects `numbers`; those that are not there are fine.
///
/// # Errors
/// `Setup` if one of them cannot be deleted after several attempts; `Interrupted`.
pub fn remove(
    run: &Run<'_>,
    target: &Target,
    space: Space,
    size: ByteSize,
    numbers: &[ObjectNumber],
) -> Result<(), LoadError> {
    for_all(
        run,
        target,
        "remove objects",
        numbers,
        &|client, number| match client.delete(&space.key(size, number)) {
            Err(Failure::Status(404, _)) => Ok(()),
            done => done,
        },
    )
}

fn client_of(run: &Run<'_>, target: &Target) -> Client {
    Client::new(
        &target.endpoint,
        &target.credentials,
        &run.flags.client_settings(),
    )
}

type Act<'a> = &'a (dyn Fn(&mut Client, ObjectNumber) -> Result<(), Failure> + Sync);

fn for_all(
    run: &Run<'_>,
    target: &Target,
    doing: &str,
    numbers: &[ObjectNumber],
    act: Act<'_>,
) -> Result<(), LoadError> {
    let next = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS.min(numbers.len()) {
            scope.spawn(|| {
                let mut client = client_of(run, target);
                let ended =
                    || over.load(Ordering::Relaxed) || run.interrupted.load(Ordering::Relaxed);
                while !ended()
                    && let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(failure) = attempt(&mut client, number, act) {
                        over.store(true, Ordering::Relaxed);
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    }
                }
            });
        }
    });
    if run.interrupted.load(Ordering::Relaxed) {
        return Err(LoadError::Interrupted);
    }
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(()),
        Some(failure) => Err(LoadError::Setup {
            doing: doing.to_owned(),
            endpoint: target.endpoint.url().to_owned(),
            reason: failure.to_string(),
        }),
    }
}

fn attempt(client: &mut Client, number: ObjectNumber, act: Act<'_>) -> Result<(), Failure> {
    let mut pause = ATTEMPT_PAUSE;
    for _ in 1..ATTEMPTS {
        match act(client, number) {
            Ok(()) => return Ok(()),
            // A refusal stays one.
            Err(failure @ Failure::Status(400..=499, _)) => return Err(failure),
            Err(_) => std::thread::sleep(pause),
        }
        pause *= 2;
    }
    act(client, number)
}
