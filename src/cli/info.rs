//! `gradus info`.

use super::kernels;
use super::say::{self, say};
use gradus::engine::{AdapterChoice, Engine, list_adapters};

pub(super) fn run(choice: &AdapterChoice, asked: Option<&str>, json: bool) -> anyhow::Result<()> {
    let adapters = list_adapters();
    if json {
        let (engine, origin) = kernels::known(&Engine::new(choice)?, asked)?;
        let chosen = serde_json::json!({"origin": origin.to_string(), "choices": engine.choices()});
        let told = serde_json::json!({"adapters": adapters, "in_use": engine.name(), "kernels": chosen,
            "certificate": kernels::certificate(&engine)});
        say::data(&format!("{told:#}\n"));
        return Ok(());
    }
    for adapter in &adapters {
        say::out(&format!("{adapter}\n\n"));
    }
    if adapters.is_empty() {
        say!("no adapter found; on Debian and Ubuntu `apt-get install mesa-vulkan-drivers` installs a software one");
        say!();
    }
    let (engine, origin) = kernels::known(&Engine::new(choice)?, asked)?;
    say!("in use: {}", engine.name());
    kernels::print(engine.choices(), &origin);
    if engine.adapter().is_some() {
        let certificate = kernels::certificate(&engine);
        match certificate.kernels.len() {
            0 => say!("checked: nothing yet; run `gradus check`"),
            count => say!("checked: {count} kernels and forms, {} trials wrong", certificate.refused.len()),
        }
    }
    Ok(())
}
