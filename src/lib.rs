//! gradus
pub mod engine;
pub mod nn;
pub mod optim;
pub mod params;
pub mod twin;
pub use wgpu;
