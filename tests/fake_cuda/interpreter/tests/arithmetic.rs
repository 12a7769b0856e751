//! Arithmetic against a scalar reference, lane by lane.

use super::{Buffer, Test, noise};

/// Runs `body` with the words of three inputs in `%r2`, `%r3` and `%r4` (and as singles in `%f2` …), and gives `%r5`.
fn lanes(inputs: [&[u32; 32]; 3], body: &str) -> Vec<u32> {
    let start = "
        mov.u32 %r1, %tid.x; mul.wide.u32 %d0, %r1, 4;
        add.s64 %d1, %p0, %d0; add.s64 %d2, %p1, %d0; add.s64 %d3, %p2, %d0; add.s64 %d4, %p3, %d0;
        ld.global.u32 %r2, [%d1]; ld.global.u32 %r3, [%d2]; ld.global.u32 %r4, [%d3];
        mov.b32 %f2, %r2; mov.b32 %f3, %r3; mov.b32 %f4, %r4;";
    let test = Test::new(4, "", &format!("{start}{body} st.global.u32 [%d4], %r5;"));
    let [a, b, c] = inputs.map(|input| Buffer::words(input));
    let mut out = Buffer::new(128);
    test.pass(&[&a, &b, &c, &out]);
    out.read_words()
}

/// Integers at the edges, and others.
fn integers(seed: u32) -> [u32; 32] {
    let mut values = [0; 32];
    let edges = [0, 1, u32::MAX, i32::MAX as u32, i32::MIN as u32, 31, 32, 33, 63, 64, 255];
    for (index, value) in values.iter_mut().enumerate() {
        let random = (index as u32 + 1).wrapping_mul(2_654_435_761).wrapping_add(seed).rotate_left(seed);
        *value = edges.get((index + seed as usize) % 16).copied().unwrap_or(random);
    }
    values
}

fn singles(seed: u32) -> [u32; 32] {
    let special = [f32::NAN, f32::INFINITY, -0.0, 0.0, 1e-40, 1.0, 65504.0, 65520.0, -1e30, 2_f32.powi(-25)];
    let mut values = [0; 32];
    for (index, (value, random)) in values.iter_mut().zip(noise(32, seed)).enumerate() {
        *value = special.get((index + 3 * seed as usize) % 32).copied().unwrap_or(random * 100.0).to_bits();
    }
    values
}

/// Compares every lane; NaN is NaN.
fn expect(body: &str, inputs: [&[u32; 32]; 3], float: bool, f: impl Fn(u32, u32, u32) -> u32) {
    let [a, b, c] = inputs;
    for (lane, found) in lanes(inputs, body).into_iter().enumerate() {
        let expected = f(a[lane], b[lane], c[lane]);
        let nan = float && f32::from_bits(found).is_nan() && f32::from_bits(expected).is_nan();
        assert!(
            nan || found == expected,
            "{body}: {:#x}, {:#x}, {:#x} give {found:#x}, not {expected:#x}",
            a[lane],
            b[lane],
            c[lane]
        );
    }
}

#[test]
fn integers_at_their_edges() {
    let (a, b, c) = (integers(1), integers(7), integers(4));
    let signed = |f: fn(i32, i32) -> i32| move |a: u32, b: u32, _: u32| f(a as i32, b as i32) as u32;
    type Case = (&'static str, Box<dyn Fn(u32, u32, u32) -> u32>);
    let cases: Vec<Case> = vec![
        ("div.s32 %r5, %r2, %r3;", Box::new(signed(|a, b| if b == 0 { -1 } else { a.wrapping_div(b) }))),
        ("rem.s32 %r5, %r2, %r3;", Box::new(signed(|a, b| if b == 0 { a } else { a.wrapping_rem(b) }))),
        ("div.u32 %r5, %r2, %r3;", Box::new(|a, b, _| a.checked_div(b).unwrap_or(u32::MAX))),
        ("rem.u32 %r5, %r2, %r3;", Box::new(|a, b, _| a.checked_rem(b).unwrap_or(a))),
        ("shl.b32 %r5, %r2, %r3;", Box::new(|a, b, _| a.checked_shl(b).unwrap_or(0))),
        ("shr.u32 %r5, %r2, %r3;", Box::new(|a, b, _| a.checked_shr(b).unwrap_or(0))),
        ("shr.s32 %r5, %r2, %r3;", Box::new(|a, b, _| ((a as i32) >> b.min(31)) as u32)),
        ("mul.hi.s32 %r5, %r2, %r3;", Box::new(signed(|a, b| ((i64::from(a) * i64::from(b)) >> 32) as i32))),
        ("mad.lo.s32 %r5, %r2, %r3, %r4;", Box::new(|a, b, c| a.wrapping_mul(b).wrapping_add(c))),
        ("add.sat.s32 %r5, %r2, %r3;", Box::new(signed(i32::saturating_add))),
        ("sub.sat.s32 %r5, %r2, %r3;", Box::new(signed(i32::saturating_sub))),
        ("sad.s32 %r5, %r2, %r3, %r4;", Box::new(|a, b, c| c.wrapping_add((a as i32).abs_diff(b as i32)))),
        ("abs.s32 %r5, %r2;", Box::new(signed(|a, _| a.wrapping_abs()))),
        ("bfind.u32 %r5, %r2;", Box::new(|a, _, _| a.checked_ilog2().unwrap_or(u32::MAX))),
        (
            "bfind.shiftamt.s32 %r5, %r2;",
            Box::new(|a, _, _| {
                let magnitude = if (a as i32) < 0 { !a } else { a };
                magnitude.checked_ilog2().map_or(u32::MAX, |bit| 31 - bit)
            }),
        ),
        ("bfe.u32 %r5, %r2, %r3, %r4;", Box::new(|a, b, c| bfe(a, b, c, false))),
        ("bfe.s32 %r5, %r2, %r3, %r4;", Box::new(|a, b, c| bfe(a, b, c, true))),
        ("bfi.b32 %r5, %r2, %r3, 5, 9;", Box::new(|a, b, _| b & !(0x1ff << 5) | (a & 0x1ff) << 5)),
        ("lop3.b32 %r5, %r2, %r3, %r4, 0xe8;", Box::new(|a, b, c| a & b | a & c | b & c)),
        (
            "prmt.b32 %r5, %r2, %r3, 0x7b40;",
            Box::new(|a, b, _| {
                let sign = if a & 1 << 31 != 0 { 0xff } else { 0 };
                a & 255 | (b & 255) << 8 | sign << 16 | b & 0xff00_0000
            }),
        ),
        (
            "shf.l.wrap.b32 %r5, %r2, %r3, %r4;",
            Box::new(|a, b, c| (((u64::from(b) << 32 | u64::from(a)) << (c & 31)) >> 32) as u32),
        ),
        (
            "shf.r.clamp.b32 %r5, %r2, %r3, %r4;",
            Box::new(|a, b, c| ((u64::from(b) << 32 | u64::from(a)) >> c.min(32)) as u32),
        ),
        (
            "add.cc.u32 %r6, %r2, %r3; addc.u32 %r5, %r4, 0;",
            Box::new(|a, b, c| c.wrapping_add(u32::from(a.overflowing_add(b).1))),
        ),
        ("sub.cc.u32 %r6, %r2, %r3; subc.u32 %r5, %r4, 0;", Box::new(|a, b, c| c.wrapping_sub(u32::from(a < b)))),
        (
            "mad.lo.cc.u32 %r6, %r2, %r3, %r4; madc.hi.u32 %r5, %r2, %r3, 0;",
            Box::new(|a, b, c| ((u64::from(a) * u64::from(b) + u64::from(c)) >> 32) as u32),
        ),
        (
            "dp4a.u32.s32 %r5, %r2, %r3, %r4;",
            Box::new(|a, b, c| {
                let term = |i: usize| i32::from(a.to_le_bytes()[i]) * i32::from(b.to_le_bytes()[i] as i8);
                (0..4).fold(c as i32, |sum, i| sum.wrapping_add(term(i))) as u32
            }),
        ),
        ("slct.b32.s32 %r5, %r2, %r3, %r4;", Box::new(|a, b, c| if c as i32 >= 0 { a } else { b })),
        ("setp.lt.and.s32 %q1|%q2, %r2, %r3, %q3; selp.u32 %r5, 1, 2, %q2;", Box::new(|_, _, _| 2)),
    ];
    for (body, f) in cases {
        let body = if body.contains("%q3;") { format!("setp.ne.u32 %q3, %r2, %r2; {body}") } else { body.to_owned() };
        expect(&body, [&a, &b, &c], false, f);
    }
}

fn bfe(a: u32, b: u32, c: u32, signed: bool) -> u32 {
    let (at, length) = (b & 255, c & 255);
    let sign = signed && length > 0 && a >> (at + length - 1).min(31) & 1 != 0;
    (0..32).fold(0, |bits, i| {
        let bit = if i < length && at + i < 32 { a >> (at + i) & 1 != 0 } else { sign };
        bits | u32::from(bit) << i
    })
}

#[test]
fn singles_and_their_rounding() {
    let (a, b, c) = (singles(1), singles(2), singles(3));
    let f = |f: fn(f32, f32, f32) -> f32| {
        move |a, b, c| f(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c)).to_bits()
    };
    let all = [&a, &b, &c];
    let bits = "mov.b32 %r5, %f5;";
    expect(&format!("fma.rn.f32 %f5, %f2, %f3, %f4; {bits}"), all, true, f(|a, b, c| a.mul_add(b, c)));
    expect(
        &format!("min.f32 %f5, %f2, %f3; {bits}"),
        all,
        true,
        f(|a, b, _| {
            if a.is_nan() {
                b
            } else if b.is_nan() {
                a
            } else if a == b {
                if a.is_sign_negative() { a } else { b }
            } else {
                a.min(b)
            }
        }),
    );
    expect(
        &format!("max.NaN.f32 %f5, %f2, %f3; {bits}"),
        all,
        true,
        f(|a, b, _| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else if a == b {
                if a.is_sign_negative() { b } else { a }
            } else {
                a.max(b)
            }
        }),
    );
    expect(
        &format!("add.ftz.f32 %f5, %f2, 0f00000000; {bits}"),
        all,
        true,
        f(|a, _, _| if a.is_subnormal() { 0.0 } else { a + 0.0 }),
    );
    expect(
        &format!("cvt.sat.f32.f32 %f5, %f2; {bits}"),
        all,
        true,
        f(|a, _, _| if a > 0.0 { a.min(1.0) } else { 0.0 }),
    );
    // Directed rounding encloses the exact result.
    for (body, exact) in [
        ("add", (|a, b, _| a + b) as fn(f64, f64, f64) -> f64),
        ("mul", |a, b, _| a * b),
        ("div", |a, b, _| a / b),
        ("fma", |a, b, c| a.mul_add(b, c)),
    ] {
        let third = if body == "fma" { ", %f4" } else { "" };
        let [down, up, zero] =
            ["rm", "rp", "rz"].map(|r| lanes(all, &format!("{body}.{r}.f32 %f5, %f2, %f3{third}; {bits}")));
        for lane in 0..32 {
            let of = |row: &[u32; 32]| f64::from(f32::from_bits(row[lane]));
            let exact = exact(of(&a), of(&b), of(&c));
            let [low, high, towards] = [&down, &up, &zero].map(|row| f32::from_bits(row[lane]));
            if exact.is_finite() && exact.abs() < 1e38 {
                assert!(f64::from(low) <= exact && exact <= f64::from(high), "{body} lane {lane}");
                assert!(low == high || low.next_up() == high, "{body} lane {lane}: {low:e} {high:e}");
                assert_eq!(towards, if exact > 0.0 { low } else { high }, "{body} lane {lane}");
            }
        }
    }
}

#[test]
fn conversions_with_every_rounding() {
    let a = singles(5);
    let all = [&a, &a, &a];
    let single = |f: fn(f32) -> u32| move |a, _, _| f(f32::from_bits(a));
    expect("cvt.rzi.s32.f32 %r5, %f2;", all, false, single(|a| a as i32 as u32));
    expect("cvt.rni.s32.f32 %r5, %f2;", all, false, single(|a| a.round_ties_even() as i32 as u32));
    expect("cvt.rmi.u32.f32 %r5, %f2;", all, false, single(|a| a.floor() as u32));
    expect("cvt.rpi.f32.f32 %f5, %f2; mov.b32 %r5, %f5;", all, true, single(|a| a.ceil().to_bits()));
    expect(
        "cvt.rn.f16.f32 %h1, %f2; cvt.f32.f16 %f5, %h1; mov.b32 %r5, %f5;",
        all,
        true,
        single(|a| {
            {
                let exact = f64::from(a);
                if a.is_nan() || a.abs() >= 65520.0 {
                    return (a * f32::INFINITY).to_bits();
                }
                // The unit of the last place, then ties to even.
                let unit = 2_f64.powi((exact.abs().log2().floor() as i32).max(-14) - 10);
                ((exact / unit).round_ties_even() * unit).copysign(exact) as f32
            }
            .to_bits()
        }),
    );
    expect(
        "cvt.rn.bf16x2.f32 %r5, %f2, %f3;",
        all,
        false,
        single(|a| {
            let bits = a.to_bits();
            let half = if a.is_nan() { 0x7fff } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 };
            half << 16 | half
        }),
    );
    expect(
        "cvt.rna.tf32.f32 %r5, %f2;",
        all,
        true,
        single(|a| if a.is_finite() { (a.to_bits() + 0x1000) & 0xffff_e000 } else { a.to_bits() }),
    );
    let b = integers(3);
    let words = [&b, &b, &b];
    expect("cvt.s32.s8 %r5, %r2;", words, false, |a, _, _| a as i8 as i32 as u32);
    expect("cvt.u32.u16 %r5, %r2;", words, false, |a, _, _| a & 0xffff);
    expect("cvt.sat.s8.s32 %r5, %r2;", words, false, |a, _, _| (a as i32).clamp(-128, 127) as u32);
    expect("cvt.rn.f32.u32 %f5, %r2; mov.b32 %r5, %f5;", words, false, |a, _, _| (a as f32).to_bits());
    expect("cvt.rz.f32.s32 %f5, %r2; mov.b32 %r5, %f5;", words, false, |a, _, _| {
        let nearest = a as i32 as f32;
        let beyond = f64::from(nearest).abs() > f64::from(a as i32).abs();
        (nearest.to_bits() - u32::from(beyond)).cast_signed().cast_unsigned()
    });
    expect("cvt.u64.u32 %d5, %r2; cvt.rn.f32.u64 %f5, %d5; mov.b32 %r5, %f5;", words, false, |a, _, _| {
        (a as f32).to_bits()
    });
    expect(
        "cvt.rn.satfinite.e4m3x2.f32 %h1, %f2, %f3; cvt.u32.u16 %r5, %h1;",
        all,
        false,
        single(|a| {
            let byte = if a.is_nan() { 0x7f } else { e4m3(a) };
            byte << 8 | byte
        }),
    );
}

/// The nearest of all values that e4m3 has.
fn e4m3(a: f32) -> u32 {
    let value = |bits: u32| {
        let (exponent, fraction) = ((bits >> 3 & 15) as i32, (bits & 7) as f32);
        if exponent == 0 { fraction * 2_f32.powi(-9) } else { (1.0 + fraction / 8.0) * 2_f32.powi(exponent - 7) }
    };
    let magnitude = a.abs().min(448.0);
    let best = (0..0x7f).min_by(|x, y| {
        let distance = |bits: u32| (value(bits) - magnitude).abs();
        distance(*x).total_cmp(&distance(*y)).then((x & 1).cmp(&(y & 1)))
    });
    best.unwrap() | if a.is_sign_negative() { 0x80 } else { 0 }
}

#[test]
fn a_fused_half_is_rounded_once() {
    // 1 + 2^-10 squared is 1 + 2^-9 + 2^-20; with 2^-12 as the third operand the sum lies just above a tie.
    let a = [0x3c01_3c01; 32];
    let c = [0x0400_0c00; 32];
    let out = lanes([&a, &a, &c], "fma.rn.f16x2 %r5, %r2, %r3, %r4;");
    let exact = |c: f64| (1.0 + 2_f64.powi(-10)).powi(2) + c;
    let half = |x: f64| (0x3c00 + ((x - 1.0) * 1024.0).round_ties_even() as u32) & 0xffff;
    assert_eq!(out[0], half(exact(2_f64.powi(-14))) << 16 | half(exact(2_f64.powi(-12))));
    let relu = lanes([&[0xbc00_3c00; 32], &[0x3c00_3c00; 32], &[0; 32]], "fma.rn.relu.f16x2 %r5, %r2, %r3, %r4;");
    assert_eq!(relu[0], 0x3c00);
}
