//! Every shader as text: valid with the features that we ask for, no more; its records laid out as the host's; its
//! bindings as declared; its twin and its file where the name says.

use gradus::engine::kernels::{self, FAMILIES, Flag, RULE_DIRECTIONS, RULE_FACTORS, RULE_ROWS, RULE_SUMS};
use gradus::engine::layout::{
    Attention, Band, BatchNorm, ChannelMoments, ChannelSlopes, Chunk, ClipSet, ControlSettings, Conv, Dropout,
    Embedding, Factors, Fold, Folded, Gather, GatherCached, GatherPictures, GatherSequences, GatherTokens, Join,
    LayerNorm, LayerScale, Linear, Loss, Matrix, Metrics, Moments, Partial, Pool, Position, PrefixTokens, Product,
    Record, Resize, Segment, Span, Squares, Standing, StatsBlock, TableHeader, TableRow, TensorEntry, Verdict,
};
use gradus::engine::{Access, Kernel};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;
use std::path::Path;
use wgpu::naga;

/// WebGPU's default limit, which every device keeps.
const STORAGE_BUFFERS: usize = 8;

fn parsed(kernel: &Kernel) -> naga::Module {
    let text = kernel.wgsl();
    naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&text)))
}

/// What a kernel needs of a device beyond WebGPU: nothing, but for those that must be asked for.
fn needed(kernel: &Kernel) -> naga::valid::Capabilities {
    if kernel.has(Flag::Cooperative) {
        naga::valid::Capabilities::COOPERATIVE_MATRIX | naga::valid::Capabilities::SHADER_FLOAT16
    } else {
        naga::valid::Capabilities::empty()
    }
}

#[test]
fn shaders_are_valid_without_any_extra_feature() {
    for kernel in kernels::all() {
        let flags = naga::valid::ValidationFlags::all();
        let mut validator = naga::valid::Validator::new(flags, needed(kernel));
        if let Err(error) = validator.validate(&parsed(kernel)) {
            panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.wgsl()));
        }
    }
}

#[test]
fn shaders_bind_what_their_kernels_declare() {
    for kernel in kernels::all() {
        let module = parsed(kernel);
        let mut found: BTreeMap<u32, (naga::AddressSpace, String)> = BTreeMap::new();
        for (_, variable) in module.global_variables.iter() {
            if let Some(binding) = variable.binding {
                assert_eq!(binding.group, 0, "{}", kernel.name);
                found.insert(binding.binding, (variable.space, variable.name.clone().unwrap_or_default()));
            }
        }
        assert_eq!(found.len(), kernel.bindings.len(), "{}: number of bindings", kernel.name);
        for (place, access) in kernel.bindings.iter().enumerate() {
            let (space, name) = &found[&(place as u32)];
            let fits = match (access, space) {
                (Access::Uniform, naga::AddressSpace::Uniform) => name != "clock",
                (Access::Clock, naga::AddressSpace::Uniform) => name == "clock",
                (Access::Read, naga::AddressSpace::Storage { access }) => *access == naga::StorageAccess::LOAD,
                (Access::ReadWrite | Access::ReadShared, naga::AddressSpace::Storage { access }) => {
                    access.contains(naga::StorageAccess::STORE)
                }
                _ => false,
            };
            assert!(fits, "{}: binding {place} ({name}) is {space:?}, declared {access:?}", kernel.name);
        }
        let storage =
            kernel.bindings.iter().filter(|access| !matches!(access, Access::Uniform | Access::Clock)).count();
        assert!(storage <= STORAGE_BUFFERS, "{}: {storage} storage buffers", kernel.name);
    }
}

macro_rules! host_layout {
    ($record:ident: $($field:ident),+) => {
        (stringify!($record), size_of::<$record>(), vec![$((stringify!($field), offset_of!($record, $field))),+])
    };
}

/// It counts in a record that it binds as words.
#[test]
fn resize_counts_lost_rows_in_their_place() {
    let shader =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/optim/resize.wgsl")).expect("a file");
    let place = offset_of!(StatsBlock, lost_rows) / 4;
    assert!(shader.contains(&format!("const LOST_ROWS: u32 = {place}u;")), "lost_rows is word {place}");
}

#[test]
fn shaders_lay_out_records_as_the_host_does() {
    let records = [
        host_layout!(TableRow: lr, decay, one_minus_beta1, log_beta1, beta2, one_minus_beta2, log_beta2, eps, momentum, one_minus_dampening, flags, max_norm, average_rate, own0, own1),
        host_layout!(Chunk: param, grad, state, length, tensor, group, number, entry),
        host_layout!(TensorEntry: record, group, grad),
        host_layout!(Fold: record, first, count),
        host_layout!(Matrix: record, rows, columns, chunk, first, sums),
        host_layout!(Factors: record, elements, rows, columns, chunk, band, row_state, column_state, row_sums, column_sums, means),
        host_layout!(Band: chunk, length, number, begin, column, columns),
        host_layout!(Folded: entry, first, count),
        host_layout!(Product: rows, columns, inner, flags, scale, kept, left, right, added, out, matrices, diagonal),
        host_layout!(Segment: first, count, first_partial, partials, pad0, place, seed, zero),
        host_layout!(StatsBlock: loss_scale, growth_tracker, step, applied, skipped, skip, bad_group, nonfinite_norms, norm, clip, value_bound, bad_norm_step, bad_norm, lost_rows, skips_in_a_row, pad0),
        host_layout!(Partial: sum, bad_group),
        host_layout!(Record: count, flags, scale, decay, coupled_decay, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, eps, momentum, one_minus_dampening, buffered, averaged, average_rate, grad, lr, own0, own1, carried, peak, sum_a, sum_b),
        host_layout!(ControlSettings: partials, tensors, norm, guard, max_norm, value_bound, error_if_nonfinite, alone, growth_factor, backoff_factor, growth_interval, by_set, zero, pad0, pad1, pad2),
        host_layout!(ClipSet: first, count, squares_first, squares_count),
        host_layout!(Linear: rows, inputs, outputs, input_quads, output_quads, zero, plane, pad0),
        host_layout!(BatchNorm: rows, width, quads, eps, momentum, ghost_rows, pad1, pad2),
        host_layout!(ChannelMoments: mean, rstd),
        host_layout!(ChannelSlopes: plain, along),
        host_layout!(Conv: rows, inputs, outputs, input_quads, output_quads, in_height, in_width, out_height, out_width, kernel_height, kernel_width, stride, dilation, top, left, zero, group_inputs, group_outputs, pad0, pad1),
        host_layout!(Resize: rows, width, old_first, old_elements, old_at, new_first, new_elements, new_at, is_state, is_first, is_counting, pad0),
        host_layout!(Squares: sum, mark),
        host_layout!(Standing: score, known, best, pad0),
        host_layout!(Span: source, copy, quads, pad0),
        host_layout!(Position: step, epoch, batch, counting),
        host_layout!(Metrics: loss_sum, correct, rows, loss, epoch, loss_whole, loss_part, pad0),
        host_layout!(Loss: rows, classes, quads, ignore, smoothing, pad0, pad1, pad2),
        host_layout!(Dropout: seed, stream, threshold, scale, quads, together, pad1, pad2),
        host_layout!(Embedding: rows, width, quads, context, entries, types, first_position, pad0),
        host_layout!(Join: rows, left, right, pad0),
        host_layout!(Pool: batch, context, quads, pad0),
        host_layout!(Verdict: loss, mark),
        host_layout!(LayerNorm: rows, width, quads, eps),
        host_layout!(Moments: mean, rstd),
        host_layout!(LayerScale: rows, width, quads, pad0),
        host_layout!(PrefixTokens: batch, tokens, patches, width, quads, pad0, pad1, pad2),
        host_layout!(Attention: batch, context, heads, head_quads, query, key, value, stride, scale, rate, seed, stream, zero, pad0, pad1, pad2),
        host_layout!(GatherPictures: samples, rows, height, width, steps_per_epoch, micro_batches, micro, seed, flip, padding, least_area, pad0, scale, shift),
        host_layout!(Gather: samples, rows, quads, steps_per_epoch, micro_batches, micro, seed, pad0),
        host_layout!(GatherTokens: tokens, context, samples, offsets, rows, steps_per_epoch, micro_batches, micro, seed, pad0, pad1, pad2),
        host_layout!(GatherCached: samples, rows, quads, seed, first, count, batches, pad0),
        host_layout!(GatherSequences: samples, context, rows, steps_per_epoch, micro_batches, micro, seed, pad0),
    ];
    let mut seen = BTreeSet::new();
    for kernel in kernels::all() {
        for (_, ty) in parsed(kernel).types.iter() {
            let (Some(name), naga::TypeInner::Struct { members, span }) = (&ty.name, &ty.inner) else { continue };
            if name == "Table" {
                let rows = members.last().expect("rows");
                assert_eq!(rows.offset as usize, size_of::<TableHeader>(), "rows begin after the header");
            }
            if let Some((_, size, fields)) = records.iter().find(|(record, ..)| record == name) {
                let shader: Vec<(&str, usize)> = members
                    .iter()
                    .map(|member| (member.name.as_deref().unwrap_or(""), member.offset as usize))
                    .collect();
                assert_eq!(&shader, fields, "{}: members of {name}", kernel.name);
                assert_eq!(*span as usize, *size, "{}: size of {name}", kernel.name);
                seen.insert(name.clone());
            }
        }
    }
    assert_eq!(seen.len(), records.len(), "every record was met in a shader: {seen:?}");
}

#[test]
fn shaders_twins_and_kernels_share_their_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut shaders = BTreeSet::new();
    for room in ["measure", "optim", "optim/rule", "nn"] {
        for entry in std::fs::read_dir(root.join("shaders").join(room)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                continue;
            }
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let twin = root.join("src/twin").join(room).join(format!("{name}.rs"));
            assert!(twin.exists(), "{name}: no twin at {}", twin.display());
            let text = std::fs::read_to_string(&path).expect("a shader");
            assert!(text.starts_with("// "), "{name}: a shader starts with what it computes");
            shaders.insert(name);
        }
    }
    // A family of the update is a rule in the one shader, and so are the sums that a rule needs.
    assert!(
        ["update", "sums", "direct", "row_sums", "row_sums_fold"]
            .into_iter()
            .chain(["factor_rows", "factor_columns", "factor_fold", "factor_sums", "factor_update"])
            .all(|shader| shaders.remove(shader))
    );
    let rows = RULE_ROWS.iter().flat_map(|(_, rows)| rows.iter().copied());
    let rows = rows.chain(RULE_FACTORS.iter().flat_map(|(_, factors)| factors.iter().copied()));
    let both = RULE_SUMS.iter().chain(&RULE_DIRECTIONS);
    let sums: Vec<_> = both.map(|(_, own)| *own).chain(rows).collect();
    let own = FAMILIES.iter().filter(|family| !sums.contains(family));
    let families: BTreeSet<String> = own.map(|family| family.name.to_owned()).collect();
    assert_eq!(shaders, families);
}
