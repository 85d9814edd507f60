// Update by a rule that keeps rows and columns of a matrix, which have taken this step: every parameter group in one dispatch.
//
//   g <- scale · g                                      as in update.wgsl, and so is what follows
//   p <- p · decay
//   v <- `second_moment` of a vector's elements         rule/<name>.wgsl
//   p <- what the rule makes of g and v
//   a <- a + (1 - decay)(p - a)                         AVERAGE: the moving average of the parameters
//
// A step of a matrix moves 12 bytes a parameter, of a vector 20, and 8 more with AVERAGE. A workgroup does one chunk.
//
//   0 - g                             as in update.wgsl, up to the segment
//   . factors  [tensors]              of each tensor in the list
//   . means    [matrices]             of each matrix
//   . average  [state page]           vec4; with AVERAGE
#import update
#import second_moment

override WORKGROUP: u32 = 256u;

// The record as the rule prepares it: sums over the tensor are means.
fn record_of(step: Step, own: Factors) -> Record {
    var record = control.records[step.chunk.tensor];
    record.sum_a /= f32(own.elements);
    record.sum_b /= f32(own.elements);
    return prepared(record);
}

// One vec4 of the streams, from `first` elements into the chunk.
fn update(step: Step, own: Factors, first: u32) {
    let chunk = step.chunk;
    let live = chunk.length - first;
    let element = chunk.number * own.chunk + first;
    let p = params_at(chunk.param + first, live);
    let now = met(step.record, step.value_bound, grads_at(step.record.grad + chunk.grad + first, live), p);
    var old = Quad();
    old.p = now.p;
    if (own.columns == 0u) {
        let s = (own.row_state + element) / 4u;
        let v = second_moment(step.record, now.g, slot0[s]);
        slot0[s] = v;
        old.kept[0] = v;
    } else {
        old.kept[0] = second_moments(own, element);
    }
    let next = stepped(step.record, now.g, old);
    put_params(chunk.param + first, live, p, next.p, vec4<u32>());
#ifdef AVERAGE
    let a = (chunk.state + first) / 4u;
    average[a] = lerp(average[a], next.p, step.record.average_rate);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = workgroup.y * grid.x + workgroup.x;
    if (control.stats.skip != 0u || place >= segment.count) {
        return;
    }
    var step = step_of(chunks[segment.first + place]);
    let own = factors[step.chunk.entry];
    step.record = record_of(step, own);
    for (var i = lane * 4u; i < step.chunk.length; i += WORKGROUP * 4u) {
        update(step, own, i);
    }
}
