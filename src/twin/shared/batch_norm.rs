//! Twin of `shaders/shared/batch_norm.wgsl`.

use bytemuck::{Pod, Zeroable};

/// Sizes of a batch norm.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct BatchNorm {
    pub rows: u32,
    pub width: u32,
    pub quads: u32,
    pub eps: f32,
    pub momentum: f32,
    pub ghost_rows: u32,
    pub pad1: u32,
    pub pad2: u32,
}

impl BatchNorm {
    /// The sizes of a norm of rows this wide. All batches weigh the same in the running statistics without a `momentum`.
    pub fn new(rows: usize, width: usize, eps: f32, momentum: Option<f32>) -> BatchNorm {
        let (quads, momentum) = (width.div_ceil(4) as u32, momentum.unwrap_or(-1.0));
        BatchNorm {
            rows: rows as u32,
            width: width as u32,
            quads,
            eps,
            momentum,
            ghost_rows: rows as u32,
            ..BatchNorm::default()
        }
    }

    /// The same in ghost batches of at most so many of its examples, as equal as `torch.chunk` makes them.
    #[must_use]
    pub fn in_ghosts(self, examples: usize, most: usize) -> BatchNorm {
        let ghosts = examples.div_ceil(most.max(1)).max(1);
        let rows = self.rows as usize / examples.max(1) * examples.div_ceil(ghosts);
        BatchNorm { ghost_rows: rows as u32, ..self }
    }

    /// Ghost batches of the batch; the last one may be smaller.
    pub fn ghosts(&self) -> usize {
        self.rows.div_ceil(self.ghost_rows.max(1)) as usize
    }

    /// Each ghost batch as a batch of its own: its sizes, its first number of x, and its first channel among all moments.
    pub fn each_ghost(&self) -> impl Iterator<Item = (BatchNorm, usize, usize)> {
        let (rows, most) = (self.rows as usize, self.ghost_rows as usize);
        (0..self.ghosts()).map(move |ghost| {
            let first = ghost * most;
            let own = most.min(rows - first) as u32;
            let shape = BatchNorm { rows: own, ghost_rows: own, ..*self };
            (shape, first * self.stride(), ghost * self.width as usize)
        })
    }

    /// Numbers from one row to the next.
    pub fn stride(&self) -> usize {
        self.quads as usize * 4
    }

    /// The moments of a channel of this mean and variance.
    pub fn moments(&self, mean: f64, variance: f64) -> ChannelMoments {
        ChannelMoments { mean: mean as f32, rstd: (1.0 / (variance + f64::from(self.eps)).sqrt()) as f32 }
    }
}

/// Mean of a channel and 1 / √(variance + eps).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct ChannelMoments {
    pub mean: f32,
    pub rstd: f32,
}

/// What the gradient of a channel's input goes by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are explained in the shader")]
pub struct ChannelSlopes {
    pub plain: f32,
    pub along: f32,
}

/// Running statistics, and by how many batches.
pub struct Running<'a> {
    /// Of each channel.
    pub mean: &'a mut [f32],
    /// Of each channel.
    pub variance: &'a mut [f32],
    /// Batches before this one.
    pub count: f32,
}

impl Running<'_> {
    /// Takes the moments of a batch in.
    pub fn track(&mut self, channel: usize, [mean, variance]: [f64; 2], shape: &BatchNorm) {
        let share = match shape.momentum {
            momentum if momentum < 0.0 => 1.0 / (f64::from(self.count) + 1.0),
            momentum => f64::from(momentum),
        };
        let rows = f64::from(shape.rows);
        let toward =
            |slot: &mut f32, batch: f64| *slot = (f64::from(*slot) + share * (batch - f64::from(*slot))) as f32;
        toward(&mut self.mean[channel], mean);
        toward(&mut self.variance[channel], variance * rows / (rows - 1.0).max(1.0));
    }
}
