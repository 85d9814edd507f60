//! The fused step inside a program that has its own wgpu device, parameters and gradients.
//!
//! ```text
//! cargo run --release --example own_buffers
//! ```

use gradus::engine::{Engine, Range};
use gradus::optim::{Clip, External, Optimizer, Settings};
use gradus::params::{Field, Group, Param, Row};
use gradus::wgpu::{self, util::DeviceExt};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
    let engine = Engine::from_device(device.clone(), queue.clone())?;
    let own = |label, floats: &[f32]| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let contents = bytemuck::cast_slice(floats);
        let buffer = device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage });
        engine.import(label, &buffer)
    };

    // Fastest: parameters share a buffer, gradients another; each tensor starts at a multiple of 16 bytes.
    let (values, gradients) = (own("values", &[1.0; 16])?, own("gradients", &[0.5; 16])?);
    let apart = [(values.range(0, 48)?, gradients.range(0, 48)?), (values.range(48, 12)?, gradients.range(48, 12)?)];
    train(&engine, &device, &queue, apart)?;

    // Anything goes: here everything lies in one buffer, at odd offsets.
    let all = own("model", &[&[1.0f32; 16][..], &[0.5; 16]].concat())?;
    let packed = [(all.range(4, 48)?, all.range(68, 48)?), (all.range(52, 12)?, all.range(116, 12)?)];
    train(&engine, &device, &queue, packed)
}

fn train(
    engine: &Engine,
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    [weight, bias]: [(Range, Range); 2],
) -> Result<(), Box<dyn Error>> {
    let tensors = [
        External::new(Param::new("weight", [3, 4]), weight.0).with_gradient(weight.1),
        External::new(Param::new("bias", [3]), bias.0).with_gradient(bias.1),
    ];
    let row = Row::adamw(1e-2).weight_decay(0.1);
    let groups = [Group::new("decay", row, ["weight"]), Group::new("no_decay", row.weight_decay(0.0), ["bias"])];
    let settings = Settings::default().clip(Clip::norm(10.0)).guard(true);
    let mut optimizer = Optimizer::over(engine, &tensors, &groups, settings)?;
    print!("{}", optimizer.program()?);

    optimizer.step()?; // in a submission of its own
    optimizer.set("decay", Field::Lr, 4e-3)?; // from the next step on
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    optimizer.encode(&mut encoder)?; // among your own work
    queue.submit([encoder.finish()]);

    engine.wait()?; // only to look at the results
    println!("  {:?}", optimizer.stats()?);
    // On a gradient that stands still a step is p (1 - lr · decay) - lr · sign(g).
    let expected = [(1.0 * (1.0 - 1e-2 * 0.1) - 1e-2) * (1.0 - 4e-3 * 0.1) - 4e-3, 1.0 - 1e-2 - 1e-2];
    for (tensor, expected) in tensors.iter().zip(expected) {
        let values: Vec<f32> = engine.read(&tensor.values)?;
        println!("  {} = {values:?}", tensor.param.name);
        assert!(values.iter().all(|value| (value - expected).abs() < 1e-6), "expected {expected}");
    }
    Ok(())
}
