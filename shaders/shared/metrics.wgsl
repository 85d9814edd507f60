// Where a batch stands, and what tally counts.

struct Position {              // 16 bytes, written by gather
    step: u32,
    epoch: u32,
    batch: u32,                // batch inside the epoch; 0: counting starts anew
    pad0: u32,
}

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
