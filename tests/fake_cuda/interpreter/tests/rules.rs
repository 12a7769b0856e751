//! Kernels that break one rule each. The fault names the kernel, the line and the thread.

use super::{Buffer, Test};

/// `%r1` is the thread, `%d1` its address in the first buffer, `%r2` its place in shared memory.
const START: &str = "
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %d0, %r1, 4;
    add.s64 %d1, %p0, %d0;
    shl.b32 %r2, %r1, 2;
";
const TILE: &str = ".shared .align 16 .b8 tile[256];";

fn kernel(body: &str) -> Test {
    Test::new(1, TILE, &format!("{START}{body}"))
}

#[test]
fn an_access_outside_of_its_allocation_is_named() {
    let buffer = Buffer::new(31 * 4);
    let read = kernel("ld.global.u32 %r3, [%d1];");
    read.fail(
        &[(&buffer, true)],
        &[
            "a read outside of memory",
            "offset 124 of allocation 1",
            "`ld.global.u32 %r3, [%d1];`",
            "thread (31, 0, 0)",
            "(error 700)",
        ],
    );
    let write = kernel("st.global.u32 [%d1+4], %r1;");
    write.fail(&[(&buffer, true)], &["a write outside of memory", "thread (30, 0, 0)"]);
    let wild = kernel("mov.u64 %d1, 4096; ld.u32 %r3, [%d1];");
    wild.fail(&[(&buffer, true)], &["never allocated", "thread (0, 0, 0)"]);
}

#[test]
fn a_read_of_global_memory_that_nobody_wrote_is_named_and_no_answer() {
    let (buffer, mut out) = (Buffer::new(128), Buffer::new(128));
    let body = format!("{START}ld.global.u32 %r3, [%d1]; add.s64 %d2, %p1, %d0; st.global.u32 [%d2], %r3;");
    let read = Test::new(2, "", &body);
    let counts = read.run(&[(&buffer, false), (&out, false)]).unwrap();
    let first = counts.unwritten.unwrap().to_string();
    assert!(first.starts_with("a read of 4 bytes of global memory that nobody wrote: offset 0 of allocation 1 (128 bytes) in kernel kernel, line "), "{first}");
    assert_eq!((counts.unwritten_reads, out.read_words()), (32, vec![u32::MAX; 32]));
    // Memory of the card that is read as it stands, and what the kernel has written itself.
    let lenient = Test { strict: false, ..read };
    assert_eq!(lenient.run(&[(&buffer, false), (&out, false)]).unwrap().unwritten_reads, 0);
    let own = kernel("st.global.u32 [%d1], %r1; ld.global.u32 %r3, [%d1];");
    assert_eq!(own.run(&[(&buffer, false)]).unwrap().unwritten_reads, 0);
    kernel("atom.global.add.u32 %r3, [%d1], 1;")
        .fail(&[(&buffer, false)], &["an atomic access to 4 bytes of global memory that nobody wrote"]);
}

#[test]
fn misaligned_accesses_are_named() {
    let buffer = Buffer::new(256);
    let global = kernel("ld.global.u32 %r3, [%d1+2];");
    global.fail(&[(&buffer, true)], &["a misaligned read of 4 bytes", "(error 716)"]);
    let vector = kernel("ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%d1];");
    vector.fail(&[(&buffer, true)], &["a misaligned read of 16 bytes", "thread (1, 0, 0)"]);
    let shared = kernel("st.shared.u32 [%r2+1], %r1;");
    shared.fail(&[(&buffer, true)], &["a misaligned write of 4 bytes at 0x1"]);
}

#[test]
fn shared_local_and_parameter_memory_have_bounds() {
    let buffer = Buffer::new(128);
    let shared = kernel("st.shared.u32 [%r2+132], %r1;");
    shared.fail(
        &[(&buffer, true)],
        &["a write of 4 bytes at 256 is outside of shared memory, which has 256 bytes", "thread (31, 0, 0)"],
    );
    let negative = kernel("add.s32 %r2, %r2, -4; st.shared.u32 [%r2], %r1;");
    negative.fail(&[(&buffer, true)], &["is outside of shared memory", "thread (0, 0, 0)"]);
    let local =
        kernel(".local .align 4 .b8 own[16]; mov.u64 %d2, own; add.s64 %d3, %d2, %d0; st.local.u32 [%d3], %r1;");
    local.fail(&[(&buffer, true)], &["a write of 4 bytes at 16 is outside of local memory", "thread (4, 0, 0)"]);
    let generic =
        kernel(".local .align 4 .b8 own[16]; mov.u64 %d2, own; cvta.local.u64 %d2, %d2; st.u32 [%d2+16], %r1;");
    generic.fail(&[(&buffer, true)], &["outside of local memory"]);
    let parameter = kernel("ld.param.u64 %d2, [p0+8];");
    parameter.fail(&[(&buffer, true)], &["a read of 8 bytes at 8 is outside of the parameters"]);
}

#[test]
fn a_read_of_shared_memory_that_nobody_wrote_is_named() {
    let buffer = Buffer::new(128);
    let read = kernel("ld.shared.u32 %r3, [%r2];");
    read.fail(&[(&buffer, true)], &["a read of 4 bytes of shared memory at 0 that nobody wrote"]);
}

#[test]
fn a_race_in_shared_memory_is_named() {
    let buffer = Buffer::new(256);
    // Each thread writes its own place and reads that of a thread in the other warp.
    let body =
        |sync: &str| format!("st.shared.u32 [%r2], %r1; {sync} xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3];");
    kernel(&body("bar.sync 0;")).block(64).run(&[(&buffer, true)]).unwrap();
    // Without the barrier the second warp writes what the first one has read.
    let racing = kernel(&format!("st.shared.u32 [%r2], 0; bar.sync 0; {}", body(""))).block(64);
    racing.fail(
        &[(&buffer, true)],
        &["a race: a write of 4 bytes at 0x80 that thread (0, 0, 0) read", "thread (32, 0, 0)"],
    );
    let unseen = "st.shared.u32 [%r2], %r1; setp.lt.u32 %q1, %r1, 32; @%q1 bra $end; xor.b32 %r3, %r2, 128; ld.shared.u32 %r4, [%r3]; $end:";
    kernel(unseen)
        .block(64)
        .fail(&[(&buffer, true)], &["a race: a read of 4 bytes at 0x0 that thread (0, 0, 0) wrote"]);
}

#[test]
fn lanes_of_a_warp_need_a_barrier_of_the_warp() {
    let buffer = Buffer::new(128);
    let body = |sync: &str| format!("st.shared.u32 [%r2], %r1; {sync} xor.b32 %r3, %r2, 4; ld.shared.u32 %r4, [%r3];");
    kernel(&body("bar.warp.sync -1;")).run(&[(&buffer, true)]).unwrap();
    kernel(&body("")).fail(&[(&buffer, true)], &["a race: a read of 4 bytes at 0x0 that thread (0, 0, 0) wrote"]);
}

#[test]
fn a_race_in_global_memory_is_named() {
    let buffer = Buffer::new(256);
    let body = |sync: &str| {
        format!(
            "st.global.u32 [%d1], %r1; {sync} xor.b32 %r3, %r1, 32; mul.wide.u32 %d2, %r3, 4; add.s64 %d3, %p0, %d2; ld.global.u32 %r4, [%d3];"
        )
    };
    kernel(&body("bar.sync 0;")).block(64).run(&[(&buffer, true)]).unwrap();
    kernel(&body(""))
        .block(64)
        .fail(&[(&buffer, true)], &["a race: a read of 4 bytes", "thread (0, 0, 0) wrote", "thread (32, 0, 0)"]);
    // All threads write to one place: the same value harms nobody, another one does.
    kernel("st.global.u32 [%p0], 7;").block(64).run(&[(&buffer, true)]).unwrap();
    kernel("st.global.u32 [%p0], %r1;").block(64).fail(&[(&buffer, true)], &["a race: a write of 4 bytes"]);
    kernel("atom.global.add.u32 %r3, [%p0], %r1;").block(64).run(&[(&buffer, true)]).unwrap();
}

#[test]
fn a_barrier_that_some_threads_do_not_reach_is_named() {
    let buffer = Buffer::new(256);
    let in_half = "setp.lt.u32 %q1, %r1, 16; @!%q1 bra $past; bar.sync 0; $past: st.global.u32 [%d1], %r1;";
    kernel(in_half).fail(&[(&buffer, true)], &["a barrier in divergent code is not reached by the lanes 0xffff0000"]);
    let guarded = "setp.lt.u32 %q1, %r1, 16; @%q1 bar.sync 0;";
    kernel(guarded).fail(&[(&buffer, true)], &["its guard leaves out the lanes 0xffff0000"]);
    let two = "setp.lt.u32 %q1, %r1, 32; @%q1 bra $other; bar.sync 1; bra $end; $other: bar.sync 2; $end:";
    kernel(two).block(64).fail(
        &[(&buffer, true)],
        &["a barrier is not reached by all threads: warp 1 waits at the one in line", "(error 702)"],
    );
    let counted = "bar.sync 1, 96;";
    kernel(counted).block(64).fail(&[(&buffer, true)], &["a barrier expects more threads than reach it"]);
    // Threads that have ended are not waited for.
    let ended = "setp.ge.u32 %q1, %r1, 40; @%q1 bra $end; st.shared.u32 [%r2], 1; bar.sync 0; $end:";
    kernel(ended).block(64).run(&[(&buffer, true)]).unwrap();
}

#[test]
fn a_shuffle_from_a_lane_that_takes_no_part_is_named() {
    let buffer = Buffer::new(128);
    let half = "setp.lt.u32 %q1, %r1, 16; @!%q1 bra $past; shfl.sync.bfly.b32 %r3, %r1, 16, 31, 0xffff; $past:";
    kernel(half).fail(&[(&buffer, true)], &["a shuffle reads lane 16, which does not take part"]);
    let mask = "setp.lt.u32 %q1, %r1, 16; @!%q1 bra $past; shfl.sync.bfly.b32 %r3, %r1, 1, 31, 0xff; $past:";
    kernel(mask).fail(&[(&buffer, true)], &["leaves out lanes that execute it", "thread (8, 0, 0)"]);
    // The other half comes to the same shuffle later: they meet.
    let late = "setp.lt.u32 %q1, %r1, 16; mov.u32 %r3, %r1; @%q1 bra $go; add.u32 %r3, %r3, 100; $go:
        shfl.sync.bfly.b32 %r4, %r3, 16, 31, -1; st.global.u32 [%d1], %r4;";
    let mut out = Buffer::new(128);
    kernel(late).pass(&[&out]);
    assert_eq!((out.read_words()[0], out.read_words()[16]), (116, 0));
}

#[test]
fn a_kernel_that_never_ends_is_ended() {
    let buffer = Buffer::new(128);
    let wait = "$again: ld.volatile.global.u32 %r3, [%p0]; setp.eq.u32 %q1, %r3, 0; @%q1 bra $again;";
    // Too long for a test: see `PATIENCE`; what waits for an mbarrier notices sooner.
    let _ = kernel(wait);
    let body = "mov.u32 %r3, tile; mbarrier.init.shared.b64 [%r3], 33; mov.b64 %d2, 0;
        $again: mbarrier.try_wait.parity.shared.b64 %q1, [%r3], 0; @!%q1 bra $again;";
    kernel(body).fail(&[(&buffer, true)], &["a thread waits for ever", "(error 702)"]);
}

#[test]
fn an_unknown_instruction_is_named() {
    let buffer = Buffer::new(128);
    kernel("tex.1d.v4.s32.s32 {%r1, %r2, %r3, %r4}, [%d1, {%r1}];")
        .fail(&[(&buffer, true)], &["the instruction tex.1d.v4.s32.s32 is unknown", "(error 218)"]);
    kernel("trap;").fail(&[(&buffer, true)], &["the kernel traps", "(error 715)"]);
}

#[test]
fn a_launch_must_fit_its_kernel() {
    let buffer = Buffer::new(128);
    let mut small = kernel("");
    let source = small.source_mut();
    *source = source.replace(".param .u64 p0)", ".param .u64 p0) .maxntid 16, 1, 1");
    small.fail(&[(&buffer, true)], &["a launch with 32 threads in a block of a kernel for 16 at most", "(error 1)"]);
    kernel("").fail(&[], &["a launch with 0 bytes of parameters of a kernel that takes 8"]);
}
