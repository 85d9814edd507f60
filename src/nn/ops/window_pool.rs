//! Pools of pictures: the largest number below each place of a window, or the mean.

use super::{Draft, Operate, Uses, Window, or_aside, quads, switch};
use crate::engine::kernels::{Family, WINDOW_POOL, WINDOW_POOL_BACKWARD};
use crate::engine::{Dispatch, Engine, Range, counted, layout};
use crate::nn::Error;
use crate::nn::graph::{Backward, Form, Graph, Placing, Sample, Value};

/// y = the largest number of x below each place of a window, and which it is; without `which` the mean.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct WindowPool {
    window: Window,
    x: Value,
    y: Value,
    which: Option<Value>,
}

/// The same, backward; added to what is there where it `adds`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::nn) struct WindowPoolBackward {
    window: Window,
    dy: Value,
    which: Option<Value>,
    dx: Value,
    adds: bool,
}

impl Graph {
    /// The largest number below each place of a window, of each channel.
    pub fn max_pool(&mut self, module: &str, x: Value, window: Window) -> Value {
        let form = self.pooled(x, window);
        // A word for each number of y.
        let places = Form::Records { bytes_per_example: 16 * (form.rows() * quads(form.width())) as u64 };
        let which = self.nodes.shared(format!("{module}.which"), places);
        self.window_pool(module, (x, form), window, Some(which))
    }

    /// The mean below each place of a window, of each channel. Pixels outside of a picture are 0.
    pub fn average_pool(&mut self, module: &str, x: Value, window: Window) -> Value {
        let form = self.pooled(x, window);
        self.window_pool(module, (x, form), window, None)
    }

    fn pooled(&self, x: Value, window: Window) -> Form {
        let [height, width] = window.places();
        Form::Rows { per_example: height * width, width: self.form(x).width() }
    }

    fn window_pool(&mut self, module: &str, (x, form): (Value, Form), window: Window, which: Option<Value>) -> Value {
        let y = self.nodes.shared(format!("{module}.y"), form);
        self.push(WindowPool { window, x, y, which });
        y
    }
}

impl Operate for WindowPool {
    fn uses(&self) -> Uses {
        Uses::new([self.x], [Some(self.y), self.which])
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.x, &mut self.y].into_iter().chain(&mut self.which).for_each(see);
    }

    fn backward(&self, back: &mut Backward<'_>) {
        let Some(dy) = back.of(self.y).filter(|_| back.needs(self.x)) else { return };
        let WindowPool { window, which, .. } = *self;
        back.add(self.x, |dx, adds| WindowPoolBackward { window, dy, which, dx, adds });
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = self.window.shape(at.examples(), [at.width(self.x); 2]);
        let which = self.which.map(|which| at.range(which)).transpose()?;
        Ok(Some(window_pool(at.engine(), &shape, at.ranges([self.x, self.y])?, which)?))
    }
}

impl Operate for WindowPoolBackward {
    fn uses(&self) -> Uses {
        Uses::new([Some(self.dy), self.which], [self.dx]).adding(self.adds)
    }

    fn each_value(&mut self, see: &mut dyn FnMut(&mut Value)) {
        [&mut self.dy, &mut self.dx].into_iter().chain(&mut self.which).for_each(see);
    }

    fn dispatch<E: From<Error>>(&self, at: &Placing<'_, E>) -> Result<Option<Dispatch>, E> {
        let shape = self.window.shape(at.examples(), [at.width(self.dx); 2]);
        let which = self.which.map(|which| at.range(which)).transpose()?;
        Ok(Some(window_pool_backward(at.engine(), &shape, at.ranges([self.dy, self.dx])?, which, self.adds)?))
    }
}

/// Windows that overlap, that leave pixels out, and that reach past a picture.
pub(super) fn samples() -> Vec<Sample> {
    let network = |picture: [usize; 2], channels: usize| {
        move |graph: &mut Graph| {
            let x = graph.rows("rows", picture[0] * picture[1], 3);
            let x = graph.linear("first", x, channels);
            let over = Window::new(picture, 3).stride(2).padded(1);
            let (largest, mean) = (graph.max_pool("largest", x, over), graph.average_pool("mean", x, over));
            let sum = graph.add(largest, mean);
            let apart = Window::new(over.places(), 2).stride(2);
            let y = graph.max_pool("apart", sum, apart);
            let z = graph.average_pool("again", y, Window::new(apart.places(), 1));
            graph.classified(z, 5)
        }
    };
    vec![
        Sample::of("pools of 3 pictures, 5 by 7 pixels of 6", [3, 35], network([5, 7], 6)),
        Sample::of("pools of 4 pictures, 12 by 9 pixels of 20", [4, 108], network([12, 9], 20)),
    ]
}

/// The largest number of x below each place of a window, and `which` tap it is below; without it the mean. Memory: x, y.
///
/// # Errors
/// Out of device memory.
pub fn window_pool(
    engine: &Engine,
    shape: &layout::Conv,
    [x, y]: [Range; 2],
    which: Option<Range>,
) -> Result<Dispatch, Error> {
    let constants = [switch("MEAN", which.is_none())];
    let memory = [x, y, or_aside(engine, which)?];
    dispatch(engine, &WINDOW_POOL, [shape; 2], (memory, &constants))
}

/// The same, backward; added to what is there with `accumulate`. Memory: dy, dx. The shape is that of the forward pass.
///
/// # Errors
/// Out of device memory.
pub fn window_pool_backward(
    engine: &Engine,
    forward: &layout::Conv,
    [dy, dx]: [Range; 2],
    which: Option<Range>,
    accumulate: bool,
) -> Result<Dispatch, Error> {
    let constants = [switch("MEAN", which.is_none()), switch("ACCUMULATE", accumulate)];
    let memory = [dy, or_aside(engine, which)?, dx];
    let shape = &layout::Conv { rows: counted(forward.pixels(forward.rows as usize)), ..*forward };
    dispatch(engine, &WINDOW_POOL_BACKWARD, [forward, shape], (memory, &constants))
}

fn dispatch(
    engine: &Engine,
    family: &'static Family,
    [forward, shape]: [&layout::Conv; 2],
    (memory, constants): ([Range; 3], &[(&'static str, f64)]),
) -> Result<Dispatch, Error> {
    let quads = u64::from(shape.input_quads);
    let rows = forward.pixels(forward.rows as usize) as u64 + 2 * u64::from(forward.rows);
    let memory = memory.into_iter().map(Into::into).collect();
    let mut draft =
        Draft::of_elements(engine, family.plain(), memory, u64::from(shape.rows) * quads, 16 * rows * quads);
    draft.constants.extend(constants);
    draft.dispatch(engine, 3, shape)
}
