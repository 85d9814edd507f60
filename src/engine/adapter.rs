//! Which device to run on.

use super::Error;
use super::arena::MOST_PAGE_BYTES;
use std::fmt;

/// How an adapter is picked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterChoice {
    /// Discrete before integrated before virtual before software; the CPU engine without any.
    #[default]
    Best,
    /// The first adapter, in that order, whose name, backend or kind (`discrete`, `software`, …) contains this text, in any
    /// case.
    Named(String),
    /// The adapter with this place among those of [`list_adapters`], from 0 on.
    Number(usize),
    /// The CPU engine.
    Cpu,
}

impl AdapterChoice {
    /// Reads `cpu` as the CPU engine and anything else as part of a name.
    pub fn parse(text: &str) -> AdapterChoice {
        match text.trim() {
            "" => AdapterChoice::Best,
            text if text.eq_ignore_ascii_case("cpu") => AdapterChoice::Cpu,
            text => AdapterChoice::Named(text.to_owned()),
        }
    }

    /// The place of the adapter among those of [`list_adapters`]; `None` for the CPU engine.
    ///
    /// # Errors
    /// [`Error::NoSuchAdapter`].
    pub fn number(&self) -> Result<Option<usize>, Error> {
        let adapters = pollster::block_on(adapters());
        match self {
            AdapterChoice::Cpu => Ok(None),
            AdapterChoice::Best => Ok((!adapters.is_empty()).then_some(0)),
            _ => place(&adapters, self).map(Some),
        }
    }

    /// What the environment variable `GRADUS_ADAPTER` asks for; the best adapter if it is not set.
    pub fn from_env() -> AdapterChoice {
        std::env::var("GRADUS_ADAPTER").map_or(AdapterChoice::Best, |text| AdapterChoice::parse(&text))
    }
}

/// What an adapter offers, as far as it matters here.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct AdapterReport {
    /// Its name, as the driver gives it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal`, `dx12`, …
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// Largest storage binding in bytes, of which 2 GiB are used at most: the size of a page.
    pub storage_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub buffer_bytes: u64,
    /// Storage buffers that one shader may bind.
    pub storage_buffers: u32,
    /// Invocations of one workgroup.
    pub workgroup_invocations: u32,
    /// Workgroup memory in bytes.
    pub workgroup_bytes: u32,
    /// Alignment of a bound offset in bytes.
    pub offset_alignment_bytes: u32,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
    /// Features that matter here, and whether it has them.
    pub features: Vec<(&'static str, bool)>,
}

impl AdapterReport {
    pub(crate) fn new(adapter: &wgpu::Adapter) -> AdapterReport {
        AdapterReport::of(&adapter.get_info(), adapter.features(), &adapter.limits())
    }

    pub(crate) fn of(info: &wgpu::AdapterInfo, features: wgpu::Features, limits: &wgpu::Limits) -> AdapterReport {
        AdapterReport {
            name: info.name.clone(),
            kind: kind(info.device_type),
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            storage_binding_bytes: binding_bytes(limits),
            buffer_bytes: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            offset_alignment_bytes: limits.min_storage_buffer_offset_alignment,
            subgroup: (info.subgroup_min_size, info.subgroup_max_size),
            features: vec![
                ("timestamps", features.contains(wgpu::Features::TIMESTAMP_QUERY)),
                ("f16", features.contains(wgpu::Features::SHADER_F16)),
                ("subgroups", features.contains(wgpu::Features::SUBGROUP)),
                ("pipeline cache", features.contains(wgpu::Features::PIPELINE_CACHE)),
            ],
        }
    }
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        writeln!(f, "{} ({}, {}; {})", self.name, self.kind, self.backend, self.driver)?;
        writeln!(f, "  page (storage binding)   {:.0} MiB", mib(self.storage_binding_bytes))?;
        writeln!(f, "  largest buffer           {:.0} MiB", mib(self.buffer_bytes))?;
        writeln!(f, "  storage buffers a stage  {}", self.storage_buffers)?;
        writeln!(
            f,
            "  workgroup                {} invocations, {} KiB",
            self.workgroup_invocations,
            self.workgroup_bytes / 1024
        )?;
        writeln!(f, "  offset alignment         {} bytes", self.offset_alignment_bytes)?;
        writeln!(f, "  subgroup                 {} to {}", self.subgroup.0, self.subgroup.1)?;
        write!(f, "  features                ")?;
        for (name, has) in &self.features {
            write!(f, " {}{name}", if *has { "+" } else { "-" })?;
        }
        Ok(())
    }
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

fn rank(device_type: wgpu::DeviceType) -> u8 {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    }
}

/// Every adapter of this machine, best first.
async fn adapters() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

/// Reports of every adapter of this machine, in the order in which they would be picked. Blocks until the drivers have
/// answered; [`request_adapters`] does not.
pub fn list_adapters() -> Vec<AdapterReport> {
    pollster::block_on(request_adapters())
}

/// The same without blocking: nothing runs until it is awaited.
pub async fn request_adapters() -> Vec<AdapterReport> {
    adapters().await.iter().map(AdapterReport::new).collect()
}

/// The adapters to be tried, in order; none for the CPU engine.
pub(crate) async fn pick(choice: &AdapterChoice) -> Result<Vec<wgpu::Adapter>, Error> {
    match choice {
        AdapterChoice::Cpu => Ok(Vec::new()),
        AdapterChoice::Best => Ok(adapters().await),
        AdapterChoice::Named(_) | AdapterChoice::Number(_) => {
            let mut adapters = adapters().await;
            let place = place(&adapters, choice)?;
            Ok(vec![adapters.swap_remove(place)])
        }
    }
}

/// Which of these adapters is the one that is named.
fn place(adapters: &[wgpu::Adapter], choice: &AdapterChoice) -> Result<usize, Error> {
    let (asked, place) = match choice {
        AdapterChoice::Number(number) => (number.to_string(), (*number < adapters.len()).then_some(*number)),
        AdapterChoice::Named(text) => {
            let asked = text.to_lowercase();
            let matches = |adapter: &wgpu::Adapter| {
                let info = adapter.get_info();
                let words = [
                    info.name.to_lowercase(),
                    info.backend.to_string().to_lowercase(),
                    kind(info.device_type).to_owned(),
                ];
                words.iter().any(|word| word.contains(&asked))
            };
            let place = adapters.iter().position(matches);
            (asked, place)
        }
        AdapterChoice::Best | AdapterChoice::Cpu => (String::new(), None),
    };
    place.ok_or_else(|| {
        let mut found: Vec<String> = adapters.iter().map(|a| format!("{:?}", a.get_info().name)).collect();
        found.push("\"cpu\"".to_owned());
        Error::NoSuchAdapter { asked, found: found.join(", ") }
    })
}

/// Bytes that one binding may have, as far as our kernels can address it.
pub(crate) fn binding_bytes(limits: &wgpu::Limits) -> u64 {
    limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(MOST_PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_2_gib_at_most_whatever_a_device_reports() {
        let limits = |binding, buffer| wgpu::Limits {
            max_storage_buffer_binding_size: binding,
            max_buffer_size: buffer,
            ..wgpu::Limits::default()
        };
        assert_eq!(binding_bytes(&limits(64 << 30, 64 << 30)), 2 << 30);
        assert_eq!(binding_bytes(&limits((2 << 30) - 4, 64 << 30)), (2 << 30) - 4);
        assert_eq!(binding_bytes(&limits(64 << 30, 256 << 20)), 256 << 20);
    }
}
