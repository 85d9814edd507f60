//! Gaussians in the plane, fitted to a picture: a trainer with buffers and kernels of its own, whose parameters grow and
//! shrink, under a schedule with phases. Writes `splats.png`: the picture, and beside it what was drawn.
//! Run it with `cargo run --release --example splats`.

use gradus::engine::{AdapterChoice, Buffer, Engine};
use gradus::optim::{Clip, External, Optimizer, RowList, Settings};
use gradus::schedule::{Epochs, Plan, Spec};
use gradus::{params::Param, wgpu};
use std::cmp::Reverse;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;
const SIDE: usize = 64;
const STREAMS: [(&str, usize); 4] = [("centres", 2), ("widths", 2), ("colours", 3), ("opacities", 1)];
const BEGIN: [[f32; 2]; 4] = [[0.0, 1.0], [-3.0, 0.2], [0.2, 0.5], [0.2, 0.2]]; // least, and how much more

/// Gaussians where they lie: a buffer for each stream, one for all gradients, and the two passes over them.
struct Scene {
    count: usize,
    streams: Vec<Buffer>,
    grads: Buffer,
    passes: [(wgpu::ComputePipeline, wgpu::BindGroup, u32); 2],
}

fn main() -> Done {
    let engine = Engine::new(&AdapterChoice::from_env())?;
    let (device, queue) = engine.device().zip(engine.queue()).ok_or("there is no adapter")?;
    let picture: Vec<[f32; 4]> = (0..SIDE * SIDE).map(pixel).collect();
    let target = engine.buffer_with("picture", &picture)?;
    let off = engine.buffer("drawn - picture", target.bytes())?;
    let mut scene = Scene::new(&engine, 100, [&target, &off])?;
    for (buffer, [least, more]) in scene.streams.iter().zip(BEGIN) {
        let spread = |k: u64| (k as f32 * 0.618_034 + 0.5 * (k % 2) as f32).fract();
        engine.write(buffer, 0, &(0..buffer.bytes() / 4).map(|k| least + more * spread(k)).collect::<Vec<f32>>())?;
    }
    let params = STREAMS.map(|(name, width)| Param::new(name, [scene.count, width]));
    let spec = Spec::parse("splats.yaml", include_str!("splats.yaml"))?;
    let plan = Plan::new(&spec, &params[..], Epochs { epochs: 10, steps_per_epoch: 50 })?;
    let mut cursor = plan.start()?;
    let settings = Settings::default().clip(Clip::norm(1.0)).guard(true);
    let mut optimizer = Optimizer::over(&engine, &scene.externals()?, &plan.groups(&cursor)?, settings)?;
    while cursor.step() < plan.steps() {
        if cursor.step() % 50 == 0 {
            if plan.epoch_start(&mut cursor)?.is_some() {
                let known = optimizer.groups().count();
                optimizer.add_groups(&plan.groups(&cursor)?[known..])?;
            }
            optimizer.load_rows(optimizer.next_step(), &plan.rows(&cursor, 50)?)?;
        }
        let mut encoder = device.create_command_encoder(&Default::default());
        optimizer.encode_ahead(&mut encoder)?;
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for (pipeline, bindings, groups) in &scene.passes {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(*groups, 1, 1);
        }
        optimizer.encode_in(&mut pass)?;
        drop(pass);
        queue.submit([encoder.finish()]);
        plan.step(&mut cursor)?;
        if plan.is_evaluated(&cursor) {
            let squares: f32 = engine.read::<f32>(&off.all())?.into_iter().map(|off| off * off).sum();
            let loss = f64::from(squares) / (3 * SIDE * SIDE) as f64;
            println!("step {:3}: {:3} Gaussians, loss {loss:.5}", cursor.step(), scene.count);
            plan.validation(&mut cursor, &[("val_loss", loss)])?;
            if cursor.step() <= 350 {
                scene = scene.densified(&engine, &mut optimizer, [&target, &off])?;
            }
        }
    }
    write_png(&picture, &engine.read::<[f32; 4]>(&off.all())?)
}

impl Scene {
    fn new(engine: &Engine, count: usize, [picture, off]: [&Buffer; 2]) -> Done<Scene> {
        let device = engine.device().ok_or("there is no adapter")?;
        let stream = |(name, width): (&str, usize)| engine.buffer(name, (count * width * 4) as u64);
        let streams: Vec<Buffer> = STREAMS.into_iter().map(stream).collect::<Result<_, _>>()?;
        let grads = engine.buffer("gradients", count as u64 * 32)?;
        let sizes = engine.buffer_with("scene", &[count as u32, SIDE as u32])?;
        let bound: Vec<&Buffer> = [&sizes].into_iter().chain(&streams).chain([picture, off, &grads]).collect();
        let module = device.create_shader_module(wgpu::include_wgsl!("splats.wgsl"));
        let pass = |name: &str, invocations: usize, unused: u32| {
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: None,
                module: &module,
                entry_point: Some(name),
                compilation_options: Default::default(),
                cache: None,
            });
            let used = (0..).zip(&bound).filter(|(binding, _)| *binding != unused);
            let used = used.filter_map(|(binding, buffer)| Some((binding, buffer.wgpu()?.as_entire_binding())));
            let entries: Vec<_> = used.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
            let layout = &pipeline.get_bind_group_layout(0);
            let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
            (pipeline, device.create_bind_group(&descriptor), invocations.div_ceil(64) as u32)
        };
        let passes = [pass("draw", SIDE * SIDE, 7), pass("backward", count, 5)];
        Ok(Scene { count, streams, grads, passes })
    }

    fn externals(&self) -> Done<Vec<External>> {
        let mut at = 0;
        let external = |((name, width), values): ((&str, usize), &Buffer)| {
            let bytes = (self.count * width * 4) as u64;
            at += bytes;
            let external = External::new(Param::new(name, [self.count, width]), values.range(0, bytes)?);
            Ok(external.gradient(self.grads.range(at - bytes, bytes)?))
        };
        STREAMS.into_iter().zip(&self.streams).map(external).collect()
    }

    /// Without the faint; twice those that are pulled most, the second narrower, a little beside, with moments of zero.
    fn densified(self, engine: &Engine, optimizer: &mut Optimizer, bound: [&Buffer; 2]) -> Done<Scene> {
        let opacities: Vec<f32> = engine.read(&self.streams[3].range(0, self.count as u64 * 4)?)?;
        let pulls: Vec<[f32; 2]> = engine.read(&self.grads.range(0, self.count as u64 * 8)?)?;
        let mut by_pull: Vec<u32> = (0..self.count as u32).collect();
        by_pull.sort_by_key(|i| Reverse(pulls[*i as usize][0].hypot(pulls[*i as usize][1]).to_bits()));
        let mut rows: Vec<u32> = (0..self.count as u32).filter(|i| opacities[*i as usize].abs() > 0.02).collect();
        let kept = rows.len();
        rows.extend(by_pull[..self.count / 4].iter().map(|i| i | RowList::FRESH));
        let scene = Scene::new(engine, rows.len(), bound)?;
        optimizer.resize(&scene.externals()?, RowList::Host(&rows))?;
        for (stream, by) in [(0, 0.01), (1, -0.5)] {
            let fresh = scene.streams[stream].range(kept as u64 * 8, (rows.len() - kept) as u64 * 8)?;
            let moved: Vec<f32> = engine.read::<f32>(&fresh)?.into_iter().map(|x| x + by).collect();
            engine.write(&fresh.buffer, fresh.offset, &moved)?;
        }
        Ok(scene)
    }
}

/// Rings and a disc.
fn pixel(place: usize) -> [f32; 4] {
    let [x, y] = [place % SIDE, place / SIDE].map(|at| at as f32 / SIDE as f32 - 0.5);
    [(20.0 * (x * x + y * y)).sin().abs() * 0.8, if (x - 0.2).hypot(y + 0.15) < 0.15 { 1.0 } else { 0.1 }, 0.5 + x, 0.0]
}

fn write_png(picture: &[[f32; 4]], off: &[[f32; 4]]) -> Done {
    let mut encoder = png::Encoder::new(std::fs::File::create("splats.png")?, 2 * SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Rgb);
    let value = |at: usize| {
        let (column, place) = (at / 3 % (2 * SIDE), at / 3 / (2 * SIDE) * SIDE + at / 3 % SIDE);
        picture[place][at % 3] + if column < SIDE { 0.0 } else { off[place][at % 3] }
    };
    let bytes: Vec<u8> = (0..6 * SIDE * SIDE).map(|at| (value(at).clamp(0.0, 1.0) * 255.0) as u8).collect();
    Ok(encoder.write_header()?.write_image_data(&bytes)?)
}
