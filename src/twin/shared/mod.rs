//! What several kernels share: the records that host and shaders both read, and small functions.

mod activation;
mod attention;
mod chunk;
mod control;
mod dropout;
mod float;
mod linear;
mod metrics;
mod rng;
mod table;

pub use activation::{activate, activate_derivative, erf};
pub use attention::Attention;
pub use chunk::{Chunk, Segment};
pub use control::{
    CONTROL_HEADER_BYTES, NO_GROUP, PARTIALS, Partial, Record, Settings, Stats, split_control, split_control_mut,
};
pub use dropout::{dropout_factor, dropout_keeps, dropout_key};
pub use float::{clamp_value, one_minus_exp};
pub use linear::Linear;
pub use metrics::{Gather, Loss, Metrics, Position};
pub use rng::{pcg, shuffled, uniform};
pub use table::{AMSGRAD, COUPLED, MAXIMIZE, NESTEROV, Row, TABLE_HEADER_BYTES, TableHeader, split_table};
