//! Copies that run beside the threads, and what they must be waited for with.

use super::{Buffer, Test};
use crate::tensor_map::{Mode, TensorMap};

const TILE: &str = ".shared .align 128 .b8 tile[1024]; .shared .align 8 .b64 bar;";
const START: &str =
    "mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 4; mul.wide.u32 %d0, %r1, 16; add.s64 %d1, %p0, %d0; add.s64 %d2, %p1, %d0;
    mov.u32 %r3, tile; add.u32 %r3, %r3, %r2; mov.u32 %r4, bar;";

fn copied(body: &str) -> Test {
    Test::new(
        2,
        TILE,
        &format!(
            "{START}{body} ld.shared.v4.b32 {{%r5, %r6, %r7, %r8}}, [%r3]; st.global.v4.b32 [%d2], {{%r5, %r6, %r7, %r8}};"
        ),
    )
}

fn numbers() -> Buffer {
    Buffer::words(&(0..128).collect::<Vec<_>>())
}

#[test]
fn cp_async_is_waited_for_by_group() {
    let (a, mut out) = (numbers(), Buffer::new(512));
    copied("cp.async.cg.shared.global [%r3], [%d1], 16; cp.async.commit_group; cp.async.wait_group 0;")
        .pass(&[&a, &out]);
    assert_eq!(out.read_words(), (0..128).collect::<Vec<_>>());
    copied("cp.async.cg.shared.global [%r3], [%d1], 16; cp.async.wait_all;").pass(&[&a, &out]);
    let hasty = copied("cp.async.cg.shared.global [%r3], [%d1], 16; cp.async.commit_group; cp.async.wait_group 1;");
    hasty.fail(&[(&a, true), (&out, true)], &["that a cp.async of thread (0, 0, 0) may still be writing"]);
    let open = copied("cp.async.cg.shared.global [%r3], [%d1], 16; cp.async.wait_group 0;");
    open.fail(&[(&a, true), (&out, true)], &["may still be writing"]);
}

#[test]
fn cp_async_fills_the_rest_with_zeros() {
    let (a, mut out) = (numbers(), Buffer::new(512));
    copied("mov.u32 %r9, 8; cp.async.cg.shared.global [%r3], [%d1], 16, %r9; cp.async.wait_all;").pass(&[&a, &out]);
    assert_eq!(out.read_words()[..8], [0, 1, 0, 0, 4, 5, 0, 0]);
    let beyond = copied("cp.async.cg.shared.global [%r3], [%d1+496], 16; cp.async.wait_all;");
    beyond.fail(&[(&a, true), (&out, true)], &["a read outside of memory", "thread (1, 0, 0)"]);
    // With nothing to read, the address may point anywhere.
    copied("mov.u32 %r9, 0; cp.async.cg.shared.global [%r3], [%d1+4096], 16, %r9; cp.async.wait_all;")
        .pass(&[&a, &out]);
}

/// One thread makes the barrier, starts a copy of 512 bytes and expects it; all wait.
fn bulk(copy: &str, wait: bool) -> Test {
    let wait =
        if wait { "$wait: mbarrier.try_wait.parity.shared::cta.b64 %q2, [%r4], 0; @!%q2 bra $wait;" } else { "" };
    copied(&format!(
        "setp.eq.u32 %q1, %r1, 0; @!%q1 bra $made; mbarrier.init.shared.b64 [%r4], 1; fence.mbarrier_init.release.cluster; $made: bar.sync 0;
         @!%q1 bra $started; mbarrier.arrive.expect_tx.shared.b64 %d5, [%r4], 512; {copy} $started: {wait}"
    ))
}

#[test]
fn a_bulk_copy_is_waited_for_by_its_barrier() {
    let copy = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r3], [%d1], 512, [%r4];";
    let (a, mut out) = (numbers(), Buffer::new(512));
    bulk(copy, true).pass(&[&a, &out]);
    assert_eq!(out.read_words(), (0..128).collect::<Vec<_>>());
    bulk(copy, false).fail(&[(&a, true), (&out, true)], &["an asynchronous copy that nobody has waited for wrote"]);
    let unmade = copied("$wait: mbarrier.try_wait.parity.shared::cta.b64 %q2, [%r4], 0; @!%q2 bra $wait;");
    unmade.fail(&[(&a, true), (&out, true)], &["there is no mbarrier at 1024: nobody made one"]);
}

#[test]
fn an_mbarrier_expects_its_arrivals_and_no_more() {
    let (a, out) = (numbers(), Buffer::new(512));
    let arrive = |count: u32| {
        copied(&format!(
            "setp.eq.u32 %q1, %r1, 0; @%q1 mbarrier.init.shared.b64 [%r4], {count}; bar.sync 0; st.shared.v4.b32 [%r3], {{%r1, %r1, %r1, %r1}};
             mbarrier.arrive.shared.b64 %d5, [%r4]; $wait: mbarrier.test_wait.shared.b64 %q2, [%r4], %d5; @!%q2 bra $wait;
             xor.b32 %r3, %r3, 16;"
        ))
    };
    arrive(32).pass(&[&a, &out]);
    arrive(33).fail(&[(&a, true), (&out, true)], &["a thread waits for ever"]);
}

/// A matrix of 8 rows of 16 words, of which a box of 4 × 8 is copied.
fn tensor(place: &str, swizzle: u8, mode: Option<Mode>) -> (Vec<u32>, u64) {
    let matrix = Buffer::words(&(1..=128).collect::<Vec<_>>());
    let mut out = Buffer::new(512);
    let rank: u8 = if mode.is_some() { 4 } else { 2 };
    let map = TensorMap {
        data_type: 7,
        element: 4,
        rank,
        interleave: 0,
        swizzle,
        fill_nan: false,
        base: matrix.address(),
        size: if rank == 2 { [16, 8, 1, 1, 1] } else { [4, 4, 4, 2, 1] },
        stride: if rank == 2 { [4, 64, 0, 0, 0] } else { [4, 16, 64, 256, 0] },
        element_stride: [1; 5],
        mode: mode.unwrap_or(Mode::Tiled { box_size: [8, 4, 1, 1, 1] }),
    };
    let mut test = bulk(
        &format!(
            "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r4], 0; mov.b64 %d6, map; cvta.param.u64 %d6, %d6; {place}"
        ),
        true,
    );
    let source = test.source_mut();
    *source = source
        .replace(".param .u64 p1)", ".param .u64 p1, .param .align 64 .b8 map[128])")
        .replace("[%r4], 512", "[%r4], 128");
    *source = source
        .replace("add.u32 %r3, %r3, %r2;", "mov.u32 %r9, tile; and.b32 %r2, %r2, 127; add.u32 %r3, %r3, %r2;")
        .replace("[%r3], [%d6", "[%r9], [%d6");
    let mut parameters: Vec<u8> = [matrix.address(), out.address()].iter().flat_map(|at| at.to_le_bytes()).collect();
    parameters.resize(64, 0);
    parameters.extend_from_slice(&map.encode());
    let counts =
        test.run_with("kernel", &[(&matrix, true), (&out, true)], parameters).unwrap_or_else(|fault| panic!("{fault}"));
    (out.read_words()[..32].to_vec(), counts.global_read_bytes)
}

#[test]
fn a_box_of_a_tensor_is_copied_as_its_map_says() {
    let load = "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r3], [%d6, {%r20, %r21}], [%r4];";
    let at = |x: i32, y: i32| format!("mov.u32 %r20, {x}; mov.u32 %r21, {y}; {load}");
    let element =
        |x: i32, y: i32| if (0..16).contains(&x) && (0..8).contains(&y) { (y * 16 + x + 1) as u32 } else { 0 };
    for (x, y) in [(0, 0), (4, 2), (12, 6), (-3, -1), (20, 0)] {
        let (found, _) = tensor(&at(x, y), 0, None);
        let expected: Vec<_> = (0..32).map(|index| element(x + index % 8, y + index / 8)).collect();
        assert_eq!(found, expected, "from {x}, {y}");
    }
    // With a swizzle of 32 bytes, every fifth to eighth row of 32 bytes has its halves exchanged.
    let (found, bytes) = tensor(&at(0, 0), 1, None);
    assert_eq!((found[0], bytes), (1, 128));
}

#[test]
fn pixels_of_a_convolution_are_copied_as_its_map_says() {
    // An image of 4 × 4 pixels with 4 channels; a window of 3 × 3 with a padding of 1 begins at -1.
    let mode = Mode::Im2col { lower: [-1, -1, 0], upper: [-1, -1, 0], channels: 4, pixels: 8 };
    let load = "mov.u32 %r20, 0; mov.u32 %r21, -1; mov.u32 %r22, -1; mov.b16 %h1, 1; mov.b16 %h2, 1;
        cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%r3], [%d6, {%r20, %r21, %r22, %r20}], [%r4], {%h1, %h2};";
    let (found, _) = tensor(load, 0, Some(mode));
    // Offset 1 in both directions: pixels 0..4 of row 0, then of row 1.
    assert_eq!(found, (1..=32).collect::<Vec<_>>());
    let corner = load.replace("mov.b16 %h1, 1; mov.b16 %h2, 1;", "mov.b16 %h1, 0; mov.b16 %h2, 0;");
    let (found, _) = tensor(&corner, 0, Some(mode));
    // Offset 0: the padding, row -1, then row 0 from pixel -1 on.
    assert_eq!(found, [vec![0; 20], (1..=12).collect()].concat());
}
