// The place of a batch, and tally's counts.

struct Position {              // 16 bytes, written by gather
    step: u32,
    epoch: u32,
    batch: u32,                // batch inside the epoch; 0: counting starts again
    counting: u32,             // rows of the whole step that count; 0: nobody says
}

// Samples in so many batches of an epoch, from batch `first` on. There are none after the last sample.
fn samples_in(first: u32, batches: u32, rows: u32, samples: u32) -> u32 {
    return min(batches * rows, samples - min(first * rows, samples));
}

// A sum of losses from here on is reported by loss_sum: the exact one counts whole numbers in 32 bits.
const LARGEST_EXACT_SUM: f32 = 4.0e9;

struct Metrics {               // 32 bytes, read back by the host
    loss_sum: f32,             // over the rows counted
    correct: u32,              // rows whose largest logit is the label's
    rows: u32,                 // rows counted since counting started
    loss: f32,                 // mean over the latest batch
    epoch: u32,
    loss_whole: u32,           // the loss over the rows counted once more, exactly: whole + part / 2³²
    loss_part: u32,
    pad0: u32,
}
