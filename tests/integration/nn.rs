//! The MLP's kernels and model.
