//! The sum of gradients over the processes of mpirun, beside MPI's own all-reduce of the same bytes, in turn.
//!
//! ```text
//! cargo bench --no-run --features mpi --bench exchange     # names the program
//! mpirun -n 2 target/release/deps/exchange-…
//! ```

use gradus::dist::Collective;
use gradus::dist::mpi::Mpi;
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives;
use std::time::Instant;

/// Gradients: of a small network, of a decoder of 4 layers, and of an encoder of MiniLM's shape.
const ELEMENTS: [(&str, usize); 4] = [("MLP", 1_210), ("", 65_536), ("decoder", 830_000), ("encoder", 22_600_000)];

/// Seconds of both, the median of each.
fn measured(ours: &mut Mpi, elements: usize) -> [f64; 2] {
    let world = SimpleCommunicator::world();
    let gradients: Vec<f32> = (0..elements).map(|place| (place % 97) as f32 * 1e-3).collect();
    let (mut values, mut sums, mut room) = (gradients.clone(), vec![0.0; elements], Vec::new());
    let times = if elements > 5_000_000 { 15 } else { 101 };
    let mut seconds = [Vec::new(), Vec::new()];
    for time in 0..times {
        for which in [time % 2, (time + 1) % 2] {
            values.copy_from_slice(&gradients);
            world.barrier();
            let started = Instant::now();
            if which == 0 {
                ours.sum(&mut values, &mut room).expect("sums");
            } else {
                world.all_reduce_into(&gradients[..], &mut sums[..], SystemOperation::sum());
            }
            // It has ended when it has on all ranks.
            world.barrier();
            seconds[which].push(started.elapsed().as_secs_f64());
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

fn main() {
    let mut ours = Mpi::start().expect("MPI");
    let rank = ours.rank();
    for (model, elements) in ELEMENTS {
        let [own, bare] = measured(&mut ours, elements);
        if rank.is_first() {
            let (own, bare, ratio) = (own * 1e3, bare * 1e3, own / bare);
            println!(
                "{} ranks, {elements:>8} f32 {model:8} {own:9.3} ms, all-reduce {bare:9.3} ms: {ratio:.2}",
                rank.of
            );
        }
    }
}
