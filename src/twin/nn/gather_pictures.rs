//! Twin of `shaders/nn/gather_pictures.wgsl`.

use crate::twin::shared::{GatherPictures, IGNORED, Position, TableHeader, pcg, samples_in, shuffled};

/// ln 4/3.
const LOG_ASPECT: f32 = 0.287_682_07;

/// A part of a picture, in pixels: its first row and column, and its height and width.
struct Part {
    first: [f32; 2],
    sides: [f32; 2],
    is_flipped: bool,
}

/// Gathers the step's batch of pictures from their bytes: in its own order where `shuffle` is not set, a part of each where
/// `augment` is. With `ahead` the bytes are those of the step's pictures alone.
#[allow(clippy::too_many_arguments, reason = "one argument a binding of the shader, in its order")]
pub fn gather_pictures(
    data: &[u32],
    labels: &[u32],
    x: &mut [f32],
    y: &mut [u32],
    position: &mut Position,
    header: &TableHeader,
    shape: &GatherPictures,
    slot: u32,
    [shuffle, augment, ahead]: [bool; 3],
) {
    let step = header.first_step.wrapping_add(slot);
    let epoch = step / shape.steps_per_epoch;
    let batch = step % shape.steps_per_epoch * shape.micro_batches + shape.micro;
    let pixels = shape.pixels() as usize;
    let number = |byte: f32, channel: usize| byte * shape.scale[channel] + shape.shift[channel];
    for r in 0..shape.rows {
        let place = batch * shape.rows + r;
        let order = |place| if shuffle { shuffled(place, shape.samples, pcg(shape.seed ^ pcg(epoch))) } else { place };
        let sample = (place < shape.samples).then(|| order(place));
        let source = |sample: u32| {
            let place = if ahead { shape.micro * shape.rows + r } else { sample };
            &data[place as usize * pixels..][..pixels]
        };
        let picture = &mut x[r as usize * pixels * 4..][..pixels * 4];
        match sample {
            Some(sample) if augment => {
                let source = source(sample);
                let part = drawn_part(sample, epoch, shape);
                for (p, values) in (0..).zip(picture.chunks_exact_mut(4)) {
                    let seen = seen(source, &part, p, shape);
                    (0..4).for_each(|channel| values[channel] = number(seen[channel], channel));
                }
            }
            Some(sample) => {
                for (values, pixel) in picture.chunks_exact_mut(4).zip(source(sample)) {
                    let bytes = bytes_of(*pixel);
                    (0..4).for_each(|channel| values[channel] = number(bytes[channel], channel));
                }
            }
            None => picture.fill(0.0),
        }
        y[r as usize] = sample.map_or(IGNORED, |sample| labels[sample as usize]);
    }
    let counting = samples_in(batch - shape.micro, shape.micro_batches, shape.rows, shape.samples);
    *position = Position { step, epoch, batch, counting };
}

fn bytes_of(pixel: u32) -> [f32; 4] {
    pixel.to_le_bytes().map(f32::from)
}

/// A number in [0, 1), one of eight of a picture.
fn chance(sample: u32, which: u32, key: u32) -> f32 {
    (pcg(pcg(sample.wrapping_mul(8).wrapping_add(which)) ^ key) >> 8) as f32 / 16_777_216.0
}

fn drawn_part(sample: u32, epoch: u32, shape: &GatherPictures) -> Part {
    let key = pcg(shape.seed ^ pcg(epoch ^ 0x7061_7274));
    let all = [shape.height as f32, shape.width as f32];
    let places = [0, 1].map(|which| chance(sample, which, key));
    let is_flipped = shape.flip != 0 && chance(sample, 2, key) < 0.5;
    if shape.padding > 0 {
        let most = shape.padding as f32;
        let first = places.map(|place| (place * (2.0 * most + 1.0)).floor() - most);
        return Part { first, sides: all, is_flipped };
    }
    let mut sides = all;
    if shape.least_area > 0.0 {
        let area = (1.0 - chance(sample, 3, key) * (1.0 - shape.least_area)) * all[0] * all[1];
        let aspect = ((2.0 * chance(sample, 4, key) - 1.0) * LOG_ASPECT).exp();
        sides = [(area / aspect).sqrt().min(all[0]), (area * aspect).sqrt().min(all[1])];
    }
    let first = [0, 1].map(|side: usize| places[side] * (all[side] - sides[side]));
    Part { first, sides, is_flipped }
}

/// A pixel of a picture. Beyond its edge it is black, or that of the edge if pictures are not moved.
fn tap(source: &[u32], row: i32, column: i32, shape: &GatherPictures) -> [f32; 4] {
    let place = [row.clamp(0, shape.height as i32 - 1), column.clamp(0, shape.width as i32 - 1)];
    if shape.padding > 0 && place != [row, column] {
        return [0.0; 4];
    }
    bytes_of(source[(place[0] as u32 * shape.width + place[1] as u32) as usize])
}

/// What a part shows at a place of the picture.
fn seen(source: &[u32], part: &Part, p: u32, shape: &GatherPictures) -> [f32; 4] {
    let all = [shape.height as f32, shape.width as f32];
    let column = p % shape.width;
    let column = if part.is_flipped { shape.width - 1 - column } else { column };
    let place = [(p / shape.width) as f32, column as f32];
    let at = [0, 1].map(|side: usize| part.first[side] + (place[side] + 0.5) * (part.sides[side] / all[side]) - 0.5);
    let low = at.map(f32::floor);
    let share = [at[0] - low[0], at[1] - low[1]];
    let [row, left] = low.map(|low| low as i32);
    let tap = |row, column| tap(source, row, column, shape);
    let above = mix(tap(row, left), tap(row, left + 1), share[1]);
    let below = mix(tap(row + 1, left), tap(row + 1, left + 1), share[1]);
    mix(above, below, share[0])
}

fn mix(one: [f32; 4], other: [f32; 4], share: f32) -> [f32; 4] {
    [0, 1, 2, 3].map(|channel: usize| one[channel] * (1.0 - share) + other[channel] * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [u32; 2] = [5, 7];

    /// What a step shows of two pictures, whose pixels all differ: the number of a pixel of the first channel.
    fn shown(shape: GatherPictures, step: u32) -> Vec<Vec<f32>> {
        let [height, width] = SIZE;
        let pixels = height * width;
        let scale = [1.0, 1.0, 1.0, 0.0];
        let shape =
            GatherPictures { samples: 2, rows: 2, height, width, steps_per_epoch: 1, micro_batches: 1, scale, ..shape };
        let data: Vec<u32> = (0..2 * pixels).map(|pixel| pixel + 1).collect();
        let (mut x, mut y) = (vec![0.0; 2 * pixels as usize * 4], vec![0; 2]);
        let header = TableHeader { first_step: step, ..TableHeader::default() };
        let mut position = Position::default();
        gather_pictures(&data, &[0, 1], &mut x, &mut y, &mut position, &header, &shape, 0, [false, true, false]);
        let first: Vec<f32> = x.chunks(4).map(|pixel| pixel[0]).collect();
        first.chunks(pixels as usize).map(<[f32]>::to_vec).collect()
    }

    fn whole(picture: usize) -> Vec<f32> {
        let pixels = SIZE[0] * SIZE[1];
        (0..pixels).map(|pixel| (picture as u32 * pixels + pixel + 1) as f32).collect()
    }

    #[test]
    fn half_of_the_pictures_are_flipped_and_their_pixels_are_the_same() {
        let flipped = |picture: usize| -> Vec<f32> {
            whole(picture).chunks(SIZE[1] as usize).flat_map(|row| row.iter().rev().copied()).collect()
        };
        let mut counts = [0; 2];
        for epoch in 0..400 {
            for (picture, seen) in
                shown(GatherPictures { flip: 1, ..GatherPictures::default() }, epoch).iter().enumerate()
            {
                let is_flipped = *seen == flipped(picture);
                assert!(is_flipped || *seen == whole(picture));
                counts[usize::from(is_flipped)] += 1;
            }
        }
        assert!((360..440).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn a_moved_picture_is_black_beyond_its_edge_and_every_move_comes() {
        let mut moves = std::collections::BTreeSet::new();
        for epoch in 0..400 {
            let seen = &shown(GatherPictures { padding: 1, ..GatherPictures::default() }, epoch)[0];
            let source = whole(0);
            let found =
                (-1..=1i32).flat_map(|down| (-1..=1i32).map(move |right| (down, right))).find(|(down, right)| {
                    seen.iter().zip(0i32..).all(|(value, p)| {
                        let (row, column) = (p / SIZE[1] as i32 + down, p % SIZE[1] as i32 + right);
                        let is_inside = (0..SIZE[0] as i32).contains(&row) && (0..SIZE[1] as i32).contains(&column);
                        *value == if is_inside { source[(row * SIZE[1] as i32 + column) as usize] } else { 0.0 }
                    })
                });
            moves.insert(found.expect("a move by at most a pixel"));
        }
        assert_eq!(moves.len(), 9);
    }

    #[test]
    fn a_part_is_inside_and_of_the_asked_area_and_shape() {
        let [height, width] = SIZE;
        let shape = GatherPictures { height, width, least_area: 0.25, ..GatherPictures::default() };
        let all = (height * width) as f32;
        let mut areas = Vec::new();
        for sample in 0..500 {
            let Part { first, sides, .. } = drawn_part(sample, 3, &shape);
            for side in 0..2 {
                assert!(first[side] >= 0.0 && first[side] + sides[side] <= SIZE[side] as f32 + 1e-4);
            }
            let aspect = sides[1] / sides[0];
            assert!((0.74..1.41).contains(&aspect), "{aspect}");
            areas.push(sides[0] * sides[1] / all);
        }
        assert!(areas.iter().all(|area| (0.2..=1.0).contains(area)));
        let mean = areas.iter().sum::<f32>() / 500.0;
        assert!((0.55..0.68).contains(&mean), "{mean}");
    }

    #[test]
    fn what_is_drawn_follows_from_seed_epoch_and_picture() {
        let shape = |seed| GatherPictures { seed, flip: 1, least_area: 0.1, ..GatherPictures::default() };
        assert_eq!(shown(shape(1), 4), shown(shape(1), 4));
        assert_ne!(shown(shape(1), 4), shown(shape(1), 5));
        assert_ne!(shown(shape(1), 4), shown(shape(2), 4));
    }
}
