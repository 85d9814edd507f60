//! What wgpu refuses, told to the call that asked for it.

use super::Error;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

const OUT_OF_MEMORY: &str = "out of device memory";

/// wgpu's message about a refused call.
pub(super) struct Refusal {
    pub(super) reason: String,
    /// The call was one of `Queue::submit`.
    pub(super) is_of_submit: bool,
}

impl Refusal {
    fn of(error: &wgpu::Error) -> Refusal {
        let call = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let reason = match error {
            wgpu::Error::OutOfMemory { .. } => OUT_OF_MEMORY.to_owned(),
            other => other.to_string(),
        };
        Refusal { reason, is_of_submit: call.starts_with("In Queue::submit") }
    }
}

/// What went wrong on a device of ours. wgpu refuses a call in the thread that makes it, so each thread finds what its own
/// calls were refused for; a device is lost to all.
#[derive(Default)]
pub(super) struct Faults {
    /// The first refusal since a thread last asked.
    refused: Mutex<HashMap<ThreadId, Refusal>>,
    lost: Mutex<Option<String>>,
}

impl Faults {
    /// Those of a device, which has our handlers from now on.
    pub(super) fn of(device: &wgpu::Device) -> Arc<Faults> {
        let faults: Arc<Faults> = Arc::default();
        let told = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error| {
            locked(&told.refused).entry(std::thread::current().id()).or_insert_with(|| Refusal::of(&error));
        }));
        let told = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            *locked(&told.lost) = Some(format!("{reason:?}: {message}"));
        });
        faults
    }

    /// What the device was lost for. It stays lost.
    pub(super) fn lost(&self) -> Option<String> {
        locked(&self.lost).clone()
    }

    /// What a call of this thread was refused for since it last asked, if it is the kind that is asked for.
    pub(super) fn refused_here(&self, asked: impl Fn(&Refusal) -> bool) -> Option<String> {
        let (mut refused, thread) = (locked(&self.refused), std::thread::current().id());
        refused.get(&thread).is_some_and(asked).then(|| refused.remove(&thread)).flatten().map(|refusal| refusal.reason)
    }
}

/// Error scopes around calls of ours, so that a refusal comes back to the caller on any device.
pub(super) struct Scopes {
    // Popped in the reverse order of opening.
    validation: wgpu::ErrorScopeGuard,
    out_of_memory: wgpu::ErrorScopeGuard,
    internal: wgpu::ErrorScopeGuard,
}

impl Scopes {
    pub(super) fn open(device: &wgpu::Device) -> Scopes {
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let out_of_memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        Scopes { validation, out_of_memory, internal }
    }

    pub(super) fn close(self, what: &str, adapter: &str) -> Result<(), Error> {
        match self.pop() {
            None => Ok(()),
            Some(Refusal { reason, .. }) => {
                Err(Error::Validation { what: what.to_owned(), reason: format!("{reason} (on {adapter:?})") })
            }
        }
    }

    pub(super) fn pop(self) -> Option<Refusal> {
        let refused = pollster::block_on(self.validation.pop());
        let out_of_memory = pollster::block_on(self.out_of_memory.pop());
        let internal = pollster::block_on(self.internal.pop());
        refused.or(internal).or(out_of_memory).as_ref().map(Refusal::of)
    }
}

/// The content of a mutex, even if a thread panicked while holding it.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
