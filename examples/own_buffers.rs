//! The fused step inside a program that has its own wgpu device and its own parameters and gradients.
//!
//! ```text
//! cargo run --release --example own_buffers
//! ```
//!
//! A linear layer's weight and bias lie in the program's buffers; the bias is in a group without weight decay. Two steps
//! are taken: one that gradus submits, and one written into the program's own encoder at another learning rate. The
//! gradients here stand still, so each step has a closed form, p ← p (1 − lr · wd) − lr · sign(g), which is checked.

use gradus::engine::Engine;
use gradus::optim::{Clip, External, Mode, Optimizer, Settings};
use gradus::params::{Field, Group, Param, Row};
use gradus::wgpu;
use std::error::Error;

const DECAY: f64 = 0.1;
const RATES: [f64; 2] = [1e-2, 4e-3];

fn main() -> Result<(), Box<dyn Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
    println!("device: {}", adapter.get_info().name);
    for mode in [Mode::Arena, Mode::InPlace] {
        train(&device, &queue, mode)?;
    }
    Ok(())
}

fn start(i: usize) -> f32 {
    0.5 + (i % 100) as f32 * 0.01
}

fn slope(i: usize) -> f32 {
    if i.is_multiple_of(3) { 0.25 } else { -0.75 }
}

fn train(device: &wgpu::Device, queue: &wgpu::Queue, mode: Mode) -> Result<(), Box<dyn Error>> {
    let params = [Param::new("linear.weight", [50, 33]), Param::new("linear.bias", [50])];
    let bytes = |param: &Param| param.elements() as u64 * 4;

    // The program's memory. Arena: all parameters in one buffer, all gradients in another, each tensor at a multiple of
    // 16 bytes; one dispatch updates them all. In place: anything goes, here one buffer for everything and odd offsets;
    // one dispatch a tensor.
    let size: u64 = params.iter().map(|param| bytes(param) + 16).sum();
    let own = |label, size| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
    };
    let (values, gradients, mut value_at, mut gradient_at) = match mode {
        Mode::Arena => (own("parameters", size), own("gradients", size), 0, 0),
        Mode::InPlace => {
            let model = own("model", 2 * size);
            (model.clone(), model, 4, size + 4)
        }
    };

    // The engine runs on the program's device. Each tensor is named and shown where it lies.
    let engine = Engine::from_device(device.clone(), queue.clone())?;
    let (our_values, our_gradients) = (engine.import("parameters", &values)?, engine.import("gradients", &gradients)?);
    let mut tensors = Vec::new();
    for param in &params {
        let data = |of: fn(usize) -> f32| (0..param.elements()).map(of).collect::<Vec<f32>>();
        queue.write_buffer(&values, value_at, bytemuck::cast_slice(&data(start)));
        queue.write_buffer(&gradients, gradient_at, bytemuck::cast_slice(&data(slope)));
        tensors.push(External {
            param: param.clone(),
            values: our_values.range(value_at, bytes(param))?,
            gradient: our_gradients.range(gradient_at, bytes(param))?,
        });
        value_at += bytes(param).next_multiple_of(16);
        gradient_at += bytes(param).next_multiple_of(16);
    }
    let row = Row { lr: RATES[0], weight_decay: DECAY, ..Row::default() };
    let groups = [
        Group::new("decay", row, ["linear.weight"]),
        Group::new("no_decay", Row { weight_decay: 0.0, ..row }, ["linear.bias"]),
    ];
    let settings = Settings { clip: Clip::norm(1e3), guard: true, ..Settings::default() };
    let mut optimizer = Optimizer::over(&engine, &tensors, mode, &groups, settings)?;
    print!("\n{mode:?}, {}", optimizer.program()?);

    // A step in a submission of its own …
    optimizer.step()?;

    // … and one among the program's own work, at another rate.
    for group in ["decay", "no_decay"] {
        optimizer.set(group, Field::Lr, RATES[1])?;
    }
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    optimizer.encode(&mut encoder)?;
    queue.submit([encoder.finish()]);

    // Waiting is for the end of the program only; `stats` never waits and tells of the latest step that has come back.
    engine.wait()?;
    println!("  {:?}", optimizer.stats()?);
    for (tensor, decay) in tensors.iter().zip([DECAY, 0.0]) {
        let values: Vec<f32> = engine.read(&tensor.values)?;
        println!("  {} = {:?} …", tensor.param.name, &values[..4]);
        for (i, value) in values.iter().enumerate() {
            let sign = f64::from(slope(i)).signum();
            let expected = RATES.iter().fold(f64::from(start(i)), |p, lr| p * (1.0 - lr * decay) - lr * sign);
            let error = (f64::from(*value) - expected).abs();
            assert!(error < 1e-6, "{}[{i}] is {value}, not {expected}", tensor.param.name);
        }
    }
    Ok(())
}
