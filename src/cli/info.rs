//! `gradus info`.

use super::kernels;
use gradus::engine::{AdapterChoice, Engine, list_adapters};

pub(super) fn run(choice: &AdapterChoice, asked: Option<&str>) -> anyhow::Result<()> {
    let adapters = list_adapters();
    for adapter in &adapters {
        println!("{adapter}\n");
    }
    if adapters.is_empty() {
        println!(
            "no adapter found; on Debian and Ubuntu `apt-get install mesa-vulkan-drivers` brings a software one\n"
        );
    }
    let (engine, origin) = kernels::known(&Engine::new(choice)?, asked)?;
    println!("in use: {}", engine.name());
    kernels::print(engine.choices(), &origin);
    Ok(())
}
