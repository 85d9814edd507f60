//! `gradus info`.

use gradus::engine::{AdapterChoice, Engine, list_adapters};

pub(super) fn run(choice: &AdapterChoice) -> anyhow::Result<()> {
    let adapters = list_adapters();
    for adapter in &adapters {
        println!("{adapter}\n");
    }
    if adapters.is_empty() {
        println!(
            "no adapter found; on Debian and Ubuntu `apt-get install mesa-vulkan-drivers` brings a software one\n"
        );
    }
    println!("in use: {}", Engine::new(choice)?.name());
    Ok(())
}
