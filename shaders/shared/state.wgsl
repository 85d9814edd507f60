// State as a rule sees it, four elements at a time. SLOT1, SLOT2, SLOT3 stand for a second slot, a third and a fourth; with
// ROWS a share that the rows have stands behind them.
#ifdef SLOT3
const SLOTS: u32 = 4u;
#else
#ifdef SLOT2
const SLOTS: u32 = 3u;
#else
#ifdef SLOT1
const SLOTS: u32 = 2u;
#else
const SLOTS: u32 = 1u;
#endif
#endif
#endif
#ifdef ROWS
const SEEN: u32 = SLOTS + 1u;
#else
const SEEN: u32 = SLOTS;
#endif

// Four parameters and their state, a vec4 a slot.
struct Quad {
    p: vec4<f32>,
    kept: array<vec4<f32>, SEEN>,
}

// What a rule has added up, of four elements.
struct Terms {
    a: vec4<f32>,
    b: vec4<f32>,
}

// What a rule has added up for each row, of four elements.
struct RowTerms {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// The momentum of four elements, and the direction that they are to take.
struct Directed {
    b: vec4<f32>,
    x: vec4<f32>,
}
