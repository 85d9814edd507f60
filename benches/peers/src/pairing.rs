//! Which programs are compared on which workload, and what the project wants of the ratio.

use crate::name_of;
use crate::programs::Program;
use crate::workload::Workload;
use clap::ValueEnum;
use std::path::Path;
use std::process::Command;

/// Another library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// burn 0.22.1 on wgpu, fusion and tuning on.
    Burn,
    /// meganeura 0.3.0 on blade-graphics.
    Meganeura,
    /// PyTorch, by a Python that has it, on its accelerator or on the CPU.
    Torch,
}

/// How PyTorch's AdamW goes over its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Loop {
    /// `fused=True`.
    Fused,
    /// `foreach=True`.
    Foreach,
    /// Neither: one tensor after the other.
    Plain,
}

/// A program of another library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// One of this project.
    Own(Program),
    /// PyTorch, on its accelerator if it may.
    Torch { adamw: Loop, may_accelerate: bool },
}

/// One of our programs and another's on one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// What a step does.
    pub workload: Workload,
    /// Ours.
    pub ours: Program,
    /// Theirs.
    pub other: Other,
}

/// Every pairing of these workloads and peers, in the order of the table.
pub fn pairings(workloads: &[Workload], peers: &[Peer]) -> Vec<Pairing> {
    let of = |workload: &Workload| {
        let all = others(*workload).into_iter();
        all.map(|(ours, other)| Pairing { workload: *workload, ours, other }).collect::<Vec<_>>()
    };
    workloads.iter().flat_map(of).filter(|pairing| peers.contains(&pairing.peer())).collect()
}

fn others(workload: Workload) -> Vec<(Program, Other)> {
    let own = |program| (Program::Gradus, Other::Own(program));
    let torch = |adamw| (Program::Gradus, Other::Torch { adamw, may_accelerate: true });
    let on_cpu = (Program::GradusCpu, Other::Torch { adamw: Loop::Fused, may_accelerate: false });
    let (burn, meganeura) = (own(Program::Burn), own(Program::Meganeura));
    match workload {
        Workload::Mlp | Workload::Decoder | Workload::Encoder => vec![burn, meganeura, torch(Loop::Fused), on_cpu],
        Workload::Adamw | Workload::AdamwOne => {
            vec![burn, meganeura, torch(Loop::Fused), torch(Loop::Foreach), torch(Loop::Plain), on_cpu]
        }
        // meganeura scales rates by the beginning of a name, and has one decay for all.
        Workload::Adamw26 => vec![burn, torch(Loop::Fused), torch(Loop::Foreach), torch(Loop::Plain), on_cpu],
        Workload::Adamw465 => vec![torch(Loop::Fused), torch(Loop::Foreach), torch(Loop::Plain), on_cpu],
    }
}

impl Pairing {
    /// Whose program it is compared with.
    pub fn peer(&self) -> Peer {
        match self.other {
            Other::Own(Program::Burn) => Peer::Burn,
            Other::Own(_) => Peer::Meganeura,
            Other::Torch { .. } => Peer::Torch,
        }
    }

    /// The other program, as the table says it.
    pub fn other_name(&self) -> String {
        match self.other {
            Other::Own(program) => name_of(&program),
            Other::Torch { adamw, may_accelerate } => {
                format!("torch {}{}", name_of(&adamw), if may_accelerate { "" } else { ", CPU" })
            }
        }
    }

    /// The least ratio of their time to ours that the project wants of an adapter of this kind.
    pub fn target(&self, kind: &str) -> Option<f64> {
        match (self.other, self.workload, kind) {
            (Other::Own(Program::Burn), Workload::Mlp, "software") => Some(1.0),
            (Other::Own(Program::Burn), Workload::Decoder, "software") => Some(1.8),
            (Other::Own(Program::Burn), Workload::Encoder, "software") => Some(1.7),
            (Other::Own(Program::Burn), Workload::Adamw, "software") => Some(1.2),
            (Other::Own(Program::Burn), Workload::Adamw, "gpu") => Some(3.0),
            (Other::Torch { .. }, Workload::Mlp | Workload::Decoder | Workload::Encoder, "cpu") => Some(0.1),
            _ => None,
        }
    }

    /// How our program is started.
    pub fn our_command(&self) -> std::io::Result<Command> {
        own_command(self.ours, self.workload)
    }

    /// How theirs is; `python` is the interpreter that has PyTorch.
    pub fn other_command(&self, python: &str) -> std::io::Result<Command> {
        let (adamw, device) = match self.other {
            Other::Own(program) => return own_command(program, self.workload),
            Other::Torch { adamw, may_accelerate } => (adamw, if may_accelerate { "best" } else { "cpu" }),
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pytorch.py");
        let work = serde_json::to_string(&self.workload.work())?;
        let mut command = Command::new(python);
        command.arg(script).args([&name_of(&adamw), device, &work]);
        Ok(command)
    }
}

/// This very program, which then takes steps.
fn own_command(program: Program, workload: Workload) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", &name_of(&program), &name_of(&workload)]);
    Ok(command)
}
