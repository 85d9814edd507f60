//! Programs made ready to run.

use super::gpu::GpuDispatch;
use super::kernels::Access;
use super::program::{Binding, Dispatch, Program};
use super::{Engine, Error, Inner};

/// A program made ready for one engine.
pub struct Prepared {
    pub(super) program: Program,
    pub(super) bytes: u64,
    pub(super) gpu: Vec<GpuDispatch>,
}

impl Prepared {
    /// The program that was prepared.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.program)
    }
}

impl Engine {
    /// Makes a program ready to run: checks it against its kernels, builds pipelines and bind groups.
    ///
    /// # Errors
    /// [`Error::BadProgram`] if bindings and kernel disagree, [`Error::Validation`] if the driver refuses a shader.
    pub fn prepare(&self, program: Program) -> Result<Prepared, Error> {
        for dispatch in &program.dispatches {
            check_dispatch(&program.label, dispatch)?;
        }
        let gpu = match &*self.inner {
            Inner::Gpu(gpu) => gpu.prepare(&program)?,
            Inner::Cpu(_) => Vec::new(),
        };
        let bytes = program.bytes();
        Ok(Prepared { program, bytes, gpu })
    }
}

impl Engine {
    /// Uses a cache for pipelines from now on. It begins with the bytes of an earlier [`Engine::pipelines`], if any. An
    /// engine has at most one cache; one whose device has none, such as the CPU engine, works without.
    ///
    /// # Errors
    /// [`Error::BadPipelines`] for bytes that are damaged or of another adapter, driver or version: the driver does not
    /// see them, and the cache begins empty. From the driver.
    pub fn keep_pipelines(&self, earlier: Option<&[u8]>) -> Result<(), Error> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.keep_pipelines(earlier),
            Inner::Cpu(_) => Ok(()),
        }
    }

    /// The content of the cache of pipelines, if any.
    pub fn pipelines(&self) -> Option<Vec<u8>> {
        match &*self.inner {
            Inner::Gpu(gpu) => gpu.pipelines(),
            Inner::Cpu(_) => None,
        }
    }
}

/// Whether a dispatch gives its kernel what the kernel declares.
fn check_dispatch(program: &str, dispatch: &Dispatch) -> Result<(), Error> {
    let bad =
        |reason: String| Err(Error::BadProgram { program: program.to_owned(), kernel: dispatch.kernel.name, reason });
    let (given, declared) = (&dispatch.bindings, &dispatch.kernel.bindings);
    if given.len() != declared.len() {
        return bad(format!("{} bindings given, {} declared", given.len(), declared.len()));
    }
    for (place, (binding, access)) in given.iter().zip(declared).enumerate() {
        if matches!(binding, Binding::Clock) != (*access == Access::Clock) {
            return bad(format!("binding {place} is declared {access:?}"));
        }
        if let Binding::Memory(range) = binding {
            range.check()?;
        }
    }
    Ok(())
}
