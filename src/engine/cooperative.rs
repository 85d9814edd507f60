//! Whether our device multiplies cooperative matrices: with the feature `cooperative_matrices`, on an adapter that has
//! those of `shaders/shared/linear_cooperative.wgsl`.

use wgpu::{CooperativeScalarType as Scalar, ExperimentalFeatures, Features};

/// What the shader needs.
const NEEDED: Features = Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(Features::SHADER_F16);

/// Invocations of the adapter's subgroups, if it has matrices of 16 by 16 by 16 in f16 with sums in f32. An adapter
/// with subgroups of several sizes leaves open which one it takes, and counts as one without.
pub(super) fn offered(adapter: &wgpu::Adapter) -> Option<u32> {
    let (info, matrices) = (adapter.get_info(), adapter.cooperative_matrix_properties());
    let fits = matrices.iter().any(|matrix| {
        [matrix.m_size, matrix.n_size, matrix.k_size] == [16; 3]
            && (matrix.ab_type, matrix.cr_type) == (Scalar::F16, Scalar::F32)
    });
    let one_size = info.subgroup_min_size == info.subgroup_max_size;
    let compiled_in = cfg!(feature = "cooperative_matrices");
    (compiled_in && fits && one_size && adapter.features().contains(NEEDED)).then_some(info.subgroup_max_size)
}

/// What a device is asked for, so that it has what is offered.
pub(super) fn wanted(offered: Option<u32>) -> (Features, ExperimentalFeatures) {
    match offered {
        None => (Features::empty(), ExperimentalFeatures::disabled()),
        Some(_) => (NEEDED, accepted()),
    }
}

#[cfg(feature = "cooperative_matrices")]
#[expect(unsafe_code, reason = "wgpu requires consent to an experimental feature")]
fn accepted() -> ExperimentalFeatures {
    // SAFETY: there are no conditions; the feature means accepting that wgpu's part may have errors.
    unsafe { ExperimentalFeatures::enabled() }
}

#[cfg(not(feature = "cooperative_matrices"))]
fn accepted() -> ExperimentalFeatures {
    ExperimentalFeatures::disabled()
}
