//! Every shader as Metal, Direct3D and Vulkan get it: naga writes it out for each, with the constants of a processor and of
//! a GPU and each switch in every place, and Khronos' validator has nothing against the SPIR-V.

use gradus::engine::kernels::{self, Flag};
use gradus::engine::{Kernel, Tile, Tiling};
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, hlsl, msl, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};
use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Values of the constants that are no sizes.
const SWITCHES: [(&str, &[u32]); 33] = [
    ("ACCURACY", &[0, 1]),
    ("ACCUMULATE", &[0, 1]),
    ("ACCUMULATE_WEIGHT", &[0, 1]),
    ("ACTIVATION", &[0, 1, 2, 3, 4, 5, 6]),
    ("AHEAD", &[0, 1]),
    ("AUGMENT", &[0, 1]),
    ("BIAS", &[0, 1]),
    ("BIAS_AT", &[48]),
    ("BIAS_GAP", &[61]),
    ("CAUSAL", &[0, 1]),
    ("CHAINED", &[0, 1]),
    ("FIRST", &[0, 1]),
    ("GAP", &[28]),
    ("GRADIENT", &[0, 1]),
    ("HELD", &[1024]),
    ("HIGHER", &[0, 1]),
    ("INPUT", &[0, 1]),
    ("KNOWN", &[0, 1]),
    ("LAST", &[0, 1]),
    ("MEAN", &[0, 1]),
    ("NORM", &[0, 1, 2, 3, 4]),
    ("ORDER", &[2, 3]),
    ("PART", &[8, 16]),
    ("PLANES", &[1, 3]),
    ("POSITIONS", &[0, 1]),
    ("RIGHT", &[0, 1]),
    ("RUNNING", &[0, 1]),
    ("SECOND", &[0, 1]),
    ("SHUFFLE", &[0, 1]),
    ("SLICES", &[1, 4]),
    ("TRACK", &[0, 1]),
    ("WEIGHT", &[0, 1]),
    ("QUADS", &[1, 4]),
];

/// A kernel as text that is read, before it has constants.
struct Shader {
    kernel: &'static Kernel,
    module: Module,
    info: ModuleInfo,
}

impl Shader {
    fn of(kernel: &'static Kernel) -> Shader {
        let module = naga::front::wgsl::parse_str(&kernel.wgsl()).expect("a shader");
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
        let info = validator.validate(&module).expect("a valid shader");
        Shader { kernel, module, info }
    }

    fn all() -> impl Iterator<Item = Shader> {
        kernels::all().map(Shader::of)
    }

    fn is_cooperative(&self) -> bool {
        self.kernel.has(Flag::Cooperative)
    }

    fn has(&self, constant: &str) -> bool {
        self.module.overrides.iter().any(|(_, known)| known.name.as_deref() == Some(constant))
    }

    /// The sizes that a dispatch may have.
    fn sizes(&self) -> Vec<Vec<(&'static str, u32)>> {
        let tile = |tile: Tile| {
            let shape = vec![("SIDE", tile.side), ("QUADS", tile.quads), ("SHARED", tile.shared())];
            shape.into_iter().chain([("WORKGROUP", tile.invocations())]).collect()
        };
        if self.has("SIDE") {
            return Tiling::ALL.into_iter().filter_map(Tiling::tile).map(tile).collect();
        }
        if self.has("LANES") {
            let shared = [(8, 1), (128, 16), (128, 32)];
            return shared.map(|(workgroup, lanes)| vec![("WORKGROUP", workgroup), ("LANES", lanes)]).into();
        }
        if !self.has("WORKGROUP") {
            return vec![Vec::new()];
        }
        // What works by blocks has no other.
        let blocks = self.is_cooperative() || self.kernel.has(Flag::Tiled);
        let workgroups: &[u32] = if blocks { &[64] } else { &[8, 64, 256] };
        workgroups.iter().map(|workgroup| vec![("WORKGROUP", *workgroup)]).collect()
    }

    /// The constants of every variant: each size, and with the last of them each switch in every place.
    fn constants(&self) -> Vec<PipelineConstants> {
        let sizes = self.sizes();
        let last = sizes.last().cloned().unwrap_or_default();
        let switched = SWITCHES.into_iter().filter(|(name, _)| self.has(name)).flat_map(|(name, values)| {
            let is_size = last.iter().any(|(known, _)| *known == name);
            let values = if is_size { &[] } else { values };
            values.iter().map(|value| [&last[..], &[(name, *value)]].concat()).collect::<Vec<_>>()
        });
        let all = sizes.iter().cloned().chain(switched);
        let owned = |(name, value): (&str, u32)| (name.to_owned(), f64::from(value));
        all.map(|constants| constants.into_iter().map(owned).collect()).collect()
    }

    /// What becomes of each variant; `of` gives an error in words.
    fn each(&self, mut of: impl FnMut(&Module, &ModuleInfo) -> Result<(), String>) {
        for constants in self.constants() {
            let entry = Some((ShaderStage::Compute, "main"));
            let (module, info) = process_overrides(&self.module, &self.info, entry, &constants)
                .unwrap_or_else(|error| panic!("{} with {constants:?}: {error}", self.kernel.name));
            of(&module, &info).unwrap_or_else(|error| panic!("{} with {constants:?}: {error}", self.kernel.name));
        }
    }
}

#[test]
fn translations_know_every_constant() {
    let sizes = ["WORKGROUP", "LANES", "SIDE", "SHARED"];
    for shader in Shader::all() {
        for (_, constant) in shader.module.overrides.iter() {
            let name = constant.name.as_deref().unwrap_or_default();
            let known = sizes.contains(&name) || SWITCHES.iter().any(|(switch, _)| *switch == name);
            assert!(known, "{}: {name} is neither a size nor a switch here", shader.kernel.name);
        }
    }
}

#[test]
fn translations_to_metal() {
    // Cooperative matrices came with 2.3; no other kernel needs more than wgpu asks of every Metal.
    for shader in Shader::all() {
        let lang_version = if shader.is_cooperative() { (2, 3) } else { (2, 0) };
        let options = msl::Options { lang_version, ..msl::Options::default() };
        shader.each(|module, info| {
            let (text, names) = msl::write_string(module, info, &options, &msl::PipelineOptions::default())
                .map_err(|error| error.to_string())?;
            names.entry_point_names.into_iter().next().ok_or("no entry point")?.map_err(|error| error.to_string())?;
            if text.contains("kernel void") { Ok(()) } else { Err("no kernel".to_owned()) }
        });
    }
}

#[test]
fn translations_to_direct3d() {
    let constants = hlsl::BindTarget { space: 9, ..hlsl::BindTarget::default() };
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        special_constants_binding: Some(constants),
        ..hlsl::Options::default()
    };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".to_owned())) };
    // Direct3D has no cooperative matrices for us.
    for shader in Shader::all().filter(|shader| !shader.is_cooperative()) {
        shader.each(|module, info| {
            let mut text = String::new();
            let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
            written.map_err(|error| error.to_string())?;
            if text.contains("[numthreads(") { Ok(()) } else { Err("no threads".to_owned()) }
        });
    }
}

/// The validator of 2023, which Debian has, does not know cooperative matrices yet: these are only written.
#[test]
fn translations_to_vulkan_are_valid() {
    if std::env::var("GRADUS_NO_SPIRV_VAL").is_ok_and(|value| value == "1") {
        println!("GRADUS_NO_SPIRV_VAL=1: SPIR-V is not validated");
        return;
    }
    let options = spv::Options { lang_version: (1, 6), flags: spv::WriterFlags::empty(), ..spv::Options::default() };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
    for shader in Shader::all() {
        let mut seen = HashSet::new();
        shader.each(|module, info| {
            let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|error| error.to_string())?;
            if shader.is_cooperative() || !seen.insert(words.clone()) {
                return Ok(());
            }
            validate(&words)
        });
    }
}

fn validate(words: &[u32]) -> Result<(), String> {
    let mut validator = Command::new("spirv-val")
        .args(["--target-env", "vulkan1.3", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spirv-val runs; install it (on Debian: spirv-tools) or set GRADUS_NO_SPIRV_VAL=1");
    validator.stdin.take().expect("a pipe").write_all(bytemuck::cast_slice(words)).expect("words");
    let output = validator.wait_with_output().expect("a verdict");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
