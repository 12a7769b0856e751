//! Tensor cores against a plain product of matrices: every shape and type that CubeCL uses.

use super::{Buffer, Test, noise};
use crate::interpreter::number::{single_to_bfloat, single_to_half};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Half,
    Bfloat,
    Tfloat,
    Signed,
    Unsigned,
}

impl Element {
    fn name(self) -> &'static str {
        match self {
            Self::Half => "f16",
            Self::Bfloat => "bf16",
            Self::Tfloat => "tf32",
            Self::Signed => "s8",
            Self::Unsigned => "u8",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Half | Self::Bfloat => 2,
            Self::Tfloat => 4,
            Self::Signed | Self::Unsigned => 1,
        }
    }

    /// A number that the type holds exactly, from one between -1 and 1.
    fn number(self, noise: f32) -> f32 {
        match self {
            Self::Signed => (noise * 128.0).floor(),
            Self::Unsigned => ((noise + 1.0) * 127.0).floor(),
            // Multiples of 1/64 have few bits, so that sums are exact in any order.
            _ => (noise * 64.0).round() / 64.0,
        }
    }

    fn encode(self, number: f32) -> Vec<u8> {
        match self {
            Self::Half => single_to_half(number).to_le_bytes().to_vec(),
            Self::Bfloat => single_to_bfloat(number).to_le_bytes().to_vec(),
            Self::Tfloat => number.to_le_bytes().to_vec(),
            Self::Signed => vec![number as i8 as u8],
            Self::Unsigned => vec![number as u8],
        }
    }
}

/// Two matrices and their product.
struct Case {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    d: Vec<f32>,
}

fn case(m: usize, n: usize, k: usize, [a, b]: [Element; 2]) -> Case {
    let numbers =
        |count, seed, element: Element| noise(count, seed).into_iter().map(|x| element.number(x)).collect::<Vec<_>>();
    let (a, b) = (numbers(m * k, 1, a), numbers(k * n, 2, b));
    let c: Vec<_> = noise(m * n, 3).into_iter().map(|x| (x * 8.0).round()).collect();
    let mut d = c.clone();
    for row in 0..m {
        for column in 0..n {
            d[row * n + column] += (0..k).map(|k_| a[row * k + k_] * b[k_ * n + column]).sum::<f32>();
        }
    }
    Case { a, b, c, d }
}

fn encode(numbers: &[f32], element: Element) -> Vec<u8> {
    numbers.iter().flat_map(|number| element.encode(*number)).collect()
}

/// A matrix in column-major order.
fn transposed(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|index| numbers[index % rows * columns + index / rows]).collect()
}

/// `mma.sync.m16n8kK`: A row-major and B column-major in memory, loaded word by word as the layout of PTX says.
fn mma(k: usize, a: Element, b: Element) {
    let case = case(16, 8, k, [a, b]);
    let integer = matches!(a, Element::Signed | Element::Unsigned);
    let per = 4 / a.bytes();
    let (words_a, words_b) = (16 * k / 32 / per, 8 * k / 32 / per);
    let mut body = String::from("mov.u32 %r1, %tid.x; shr.u32 %r2, %r1, 2; and.b32 %r3, %r1, 3;\n");
    let mut load = |register: String, base: &str, row: String, word: usize| {
        // The address: row * K + word * 4 elements + the thread's.
        body += &format!(
            "add.u32 %r4, %r2, {row}; mul.lo.u32 %r4, %r4, {}; add.u32 %r5, %r3, {}; shl.b32 %r5, %r5, 2; add.u32 %r4, %r4, %r5; \
             cvt.u64.u32 %d1, %r4; add.s64 %d1, {base}, %d1; ld.global.b32 {register}, [%d1];\n",
            k * a.bytes(),
            4 * word
        );
    };
    for register in 0..words_a {
        load(format!("%r{}", 20 + register), "%p0", (8 * (register % 2)).to_string(), register / 2);
    }
    for register in 0..words_b {
        load(format!("%r{}", 30 + register), "%p1", "0".into(), register);
    }
    // C and D: two neighbours of the rows g and g + 8.
    body += "mul.lo.u32 %r6, %r2, 32; shl.b32 %r7, %r3, 3; add.u32 %r6, %r6, %r7; cvt.u64.u32 %d2, %r6; add.s64 %d3, %p2, %d2; add.s64 %d4, %p3, %d2;
        ld.global.v2.b32 {%r40, %r41}, [%d3]; ld.global.v2.b32 {%r42, %r43}, [%d3+256];\n";
    let list =
        |first: usize, count: usize| (first..first + count).map(|r| format!("%r{r}")).collect::<Vec<_>>().join(", ");
    let accumulator = if integer { "s32" } else { "f32" };
    body += &format!(
        "mma.sync.aligned.m16n8k{k}.row.col.{accumulator}.{}.{}.{accumulator} {{{}}}, {{{}}}, {{{}}}, {{{}}};\n\
         st.global.v2.b32 [%d4], {{%r50, %r51}}; st.global.v2.b32 [%d4+256], {{%r52, %r53}};",
        a.name(),
        b.name(),
        list(50, 4),
        list(20, words_a),
        list(30, words_b),
        list(40, 4)
    );
    let c = if integer {
        Buffer::words(&case.c.iter().map(|c| *c as i32 as u32).collect::<Vec<_>>())
    } else {
        Buffer::singles(&case.c)
    };
    let a = Buffer::of(&encode(&case.a, a));
    let b = Buffer::of(&encode(&transposed(&case.b, k, 8), b));
    let mut d = Buffer::new(16 * 8 * 4);
    let counts = Test::new(4, "", &body).pass(&[&a, &b, &c, &d]);
    assert_eq!(counts.tensor_products, (16 * 8 * k) as u64);
    compare(&mut d, &case, integer, &format!("m16n8k{k}"));
}

fn compare(d: &mut Buffer, case: &Case, integer: bool, name: &str) {
    let found: Vec<_> =
        if integer { d.read_words().into_iter().map(|word| word as i32 as f32).collect() } else { d.read_singles() };
    for (index, (found, expected)) in found.iter().zip(&case.d).enumerate() {
        assert!(found == expected, "{name}: element {index} is {found}, not {expected}");
    }
}

#[test]
fn mma_of_every_type() {
    mma(8, Element::Half, Element::Half);
    mma(16, Element::Half, Element::Half);
    mma(16, Element::Bfloat, Element::Bfloat);
    mma(8, Element::Tfloat, Element::Tfloat);
    for a in [Element::Signed, Element::Unsigned] {
        for b in [Element::Signed, Element::Unsigned] {
            mma(32, a, b);
        }
    }
}

/// `wmma`: loaded, multiplied and stored by the card itself, in each order of memory.
fn wmma(m: usize, n: usize, k: usize, element: Element, columns: [bool; 2]) {
    let case = case(m, n, k, [element; 2]);
    let integer = matches!(element, Element::Signed | Element::Unsigned);
    let shape = format!("m{m}n{n}k{k}");
    let order = columns.map(|column| if column { "col" } else { "row" });
    let name = element.name();
    let accumulator = if integer { "s32" } else { "f32" };
    let words = |elements: usize| match element {
        // Fragments of halves have 8 words each, whatever the shape.
        Element::Half => 8,
        _ => elements / 32 / (4 / element.bytes()),
    };
    let list =
        |first: usize, count: usize| (first..first + count).map(|r| format!("%r{r}")).collect::<Vec<_>>().join(", ");
    let (a, b) = (list(10, words(m * k)), list(20, words(k * n)));
    let (c, d) = (list(30, m * n / 32), list(40, m * n / 32));
    let stride = |rows: usize, columns: usize, column: bool| if column { rows } else { columns };
    let types = match element {
        Element::Half => format!("{accumulator}.{accumulator}"),
        _ => format!("{accumulator}.{name}.{name}.{accumulator}"),
    };
    let body = format!(
        "wmma.load.a.sync.aligned.{}.{shape}.global.{name} {{{a}}}, [%p0], {};
         wmma.load.b.sync.aligned.{}.{shape}.global.{name} {{{b}}}, [%p1], {};
         wmma.load.c.sync.aligned.row.{shape}.global.{accumulator} {{{c}}}, [%p2], {n};
         wmma.mma.sync.aligned.{}.{}.{shape}.{types} {{{d}}}, {{{a}}}, {{{b}}}, {{{c}}};
         wmma.store.d.sync.aligned.row.{shape}.global.{accumulator} [%p3], {{{d}}}, {n};",
        order[0],
        stride(m, k, columns[0]),
        order[1],
        stride(k, n, columns[1]),
        order[0],
        order[1]
    );
    let arranged = |numbers: &[f32], rows, count, column| {
        Buffer::of(&encode(&if column { transposed(numbers, rows, count) } else { numbers.to_vec() }, element))
    };
    let a = arranged(&case.a, m, k, columns[0]);
    let b = arranged(&case.b, k, n, columns[1]);
    let c = if integer {
        Buffer::words(&case.c.iter().map(|c| *c as i32 as u32).collect::<Vec<_>>())
    } else {
        Buffer::singles(&case.c)
    };
    let mut d = Buffer::new(m * n * 4);
    Test::new(4, "", &body).pass(&[&a, &b, &c, &d]);
    compare(&mut d, &case, integer, &format!("{shape} {name} {order:?}"));
}

#[test]
fn wmma_of_every_shape_and_type() {
    for columns in [[false, false], [false, true], [true, false], [true, true]] {
        for (m, n) in [(16, 16), (32, 8), (8, 32)] {
            for element in [Element::Half, Element::Bfloat, Element::Signed, Element::Unsigned] {
                wmma(m, n, 16, element, columns);
            }
        }
        wmma(16, 16, 8, Element::Tfloat, columns);
    }
}

#[test]
fn a_matrix_goes_through_shared_memory() {
    // Stored by rows with stmatrix, loaded by ldmatrix as it is and transposed.
    let body = "mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 4; and.b32 %r2, %r2, 127; shl.b32 %r3, %r1, 1; add.u32 %r4, %r3, 1; shl.b32 %r4, %r4, 16;
        or.b32 %r5, %r3, %r4; mov.u32 %r6, tile; add.u32 %r6, %r6, %r2;
        stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r6], {%r5}; bar.sync 0;
        ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r7}, [%r6]; ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r8}, [%r6];
        movmatrix.sync.aligned.m8n8.trans.b16 %r9, %r8;
        mul.wide.u32 %d0, %r1, 4; add.s64 %d1, %p0, %d0; st.global.b32 [%d1], %r7; st.global.b32 [%d1+128], %r8; st.global.b32 [%d1+256], %r9;";
    let mut out = Buffer::new(384);
    Test::new(1, ".shared .align 16 .b8 tile[128];", body).pass(&[&out]);
    let words = out.read_words();
    for lane in 0..32_u32 {
        let (row, column) = (lane / 4, lane % 4 * 2);
        assert_eq!(words[lane as usize], (2 * lane) | ((2 * lane + 1) << 16));
        assert_eq!(words[32 + lane as usize], (column * 8 + row) | (((column + 1) * 8 + row) << 16));
        assert_eq!(words[64 + lane as usize], words[lane as usize]);
    }
}

#[test]
fn a_product_needs_the_whole_warp() {
    let body = "mov.u32 %r1, %tid.x; setp.lt.u32 %q1, %r1, 16; @%q1 bra $end;
        mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%r50, %r51, %r52, %r53}, {%r1, %r1, %r1, %r1}, {%r1, %r1}, {%r1, %r1, %r1, %r1}; $end:";
    let buffer = Buffer::new(16);
    Test::new(1, "", body).fail(&[(&buffer, true)], &["only the lanes 0xffff0000 of the warp execute it"]);
}
