//! A cache of compiled pipelines that outlives the process.
//!
//! A driver reads its own bytes and may trust them. So what we give away is sealed with who made it and a checksum, and
//! a driver gets nothing else back.

use super::Gpu;
use crate::engine::Error;
use crate::engine::faults::Scopes;

/// What sealed bytes begin with; the last byte is the version of what follows.
const MAGIC: &[u8; 8] = b"gradusP\x01";

impl Gpu {
    /// From now on pipelines come from a cache, if the device has one. It begins with the sealed bytes, or empty if
    /// they cannot be used, and then says why.
    pub(crate) fn keep_pipelines(&self, sealed: Option<&[u8]>) -> Result<(), Error> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE) || self.cache.get().is_some() {
            return Ok(());
        }
        let opened = sealed.map(|sealed| opened(&self.maker(), sealed)).transpose();
        let scopes = Scopes::open(&self.device);
        let cache = made(&self.device, opened.as_ref().ok().copied().flatten());
        scopes.close("a cache of pipelines", &self.report.name)?;
        // Another thread's is as good.
        _ = self.cache.set(cache);
        opened.map(|_| ()).map_err(|reason| Error::BadPipelines { reason })
    }

    /// What the cache holds, sealed.
    pub(crate) fn pipelines(&self) -> Option<Vec<u8>> {
        let data = self.cache.get()?.get_data()?;
        Some(sealed(&self.maker(), &data))
    }

    /// Whose pipelines these are, in a line.
    fn maker(&self) -> String {
        let (name, driver, version) = (&self.report.name, &self.report.driver, env!("CARGO_PKG_VERSION"));
        format!("{name:?} {driver:?} {version}\n")
    }
}

#[expect(unsafe_code, reason = "wgpu requires the caller to answer for a cache's bytes")]
fn made(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("gradus"), data, fallback: true };
    // SAFETY: the bytes are what `get_data` gave for this adapter and driver: they were sealed then, and `opened` now.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

fn sealed(maker: &str, data: &[u8]) -> Vec<u8> {
    let checksum = checksum(&[maker.as_bytes(), data]);
    [&MAGIC[..], &checksum, maker.as_bytes(), data].concat()
}

/// The bytes that were sealed by this maker; else what is wrong with them.
fn opened<'a>(maker: &str, sealed: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let rest = sealed.strip_prefix(MAGIC).ok_or("these bytes are not pipelines of gradus")?;
    let (told, rest) = rest.split_first_chunk::<4>().ok_or("the bytes end too soon")?;
    if checksum(&[rest]) != *told {
        return Err("the bytes are not the ones that were written");
    }
    rest.strip_prefix(maker.as_bytes()).ok_or("they belong to another adapter, driver or version")
}

fn checksum(parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_for_their_maker_alone_and_only_whole() {
        let bytes = sealed("one\n", b"data");
        assert_eq!(opened("one\n", &bytes), Ok(&b"data"[..]));
        assert_eq!(opened("on\n", &bytes), Err("they belong to another adapter, driver or version"));
        for end in 0..bytes.len() {
            assert!(opened("one\n", &bytes[..end]).is_err(), "{end} bytes of it");
        }
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                assert!(opened("one\n", &broken).is_err(), "bit {bit} of byte {place}");
            }
        }
        assert!(opened("one\n", &[&bytes[..], b"x"].concat()).is_err());
    }
}
