//! Arithmetic of unboxed values: the one definition that the reference interpreter and constant folding share.
//!
//! Invariant: `Some(x)` is the number that Python's own `int` or `float` would give; `None` is "the instruction leaves".
//! Code generation must agree with this page; the tests below compare with arithmetic in 128 bits. Read docs/internals/ir.md.

use crate::inst::{Cond, Op};

/// Result of a binary instruction on integers; `None` where it leaves, or if `op` is no such instruction.
pub fn int_binary(op: Op, a: i64, b: i64) -> Option<i64> {
    match op {
        Op::IAddLeave => a.checked_add(b),
        Op::ISubLeave => a.checked_sub(b),
        Op::IMulLeave => a.checked_mul(b),
        Op::IFloorDiv => {
            // Rust truncates: one less where the remainder's sign is not the divisor's.
            let (q, r) = (a.checked_div(b)?, a.checked_rem(b)?);
            Some(if r != 0 && (r < 0) != (b < 0) { q - 1 } else { q })
        }
        Op::IMod => {
            if b == 0 {
                return None;
            }
            // wrapping: the least integer % -1 is 0, though the division overflows.
            let r = a.wrapping_rem(b);
            Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
        }
        Op::IAnd => Some(a & b),
        Op::IOr => Some(a | b),
        Op::IXor => Some(a ^ b),
        Op::IShl => match b {
            // Only zero would fit after a longer shift: not worth an instruction.
            0..63 => {
                let r = a << b;
                (r >> b == a).then_some(r)
            }
            _ => None,
        },
        Op::IShr => match b {
            ..0 => None,
            0..64 => Some(a >> b),
            _ => Some(a >> 63),
        },
        _ => None,
    }
}

/// Result of a unary instruction on an integer; `None` where it leaves, or if `op` is no such instruction.
pub fn int_unary(op: Op, a: i64) -> Option<i64> {
    match op {
        Op::INeg => a.checked_neg(),
        Op::INot => Some(!a),
        _ => None,
    }
}

/// `float(i)` where it is exact for certain; `None` where `itof` leaves.
pub fn int_to_float(a: i64) -> Option<f64> {
    (a.unsigned_abs() < 1 << 53).then_some(a as f64)
}

/// Result of a binary instruction on doubles; `None` where it leaves, or if `op` is no such instruction.
pub fn float_binary(op: Op, a: f64, b: f64) -> Option<f64> {
    match op {
        Op::FAdd => Some(a + b),
        Op::FSub => Some(a - b),
        Op::FMul => Some(a * b),
        Op::FDiv => (b != 0.0).then(|| a / b),
        Op::FPow => float_power(a, b),
        _ => None,
    }
}

/// `a ** b` where it is an ordinary number for certain: C's `pow` of the absolute value, which is what CPython's `float_pow` does then.
pub fn float_power(a: f64, b: f64) -> Option<f64> {
    if !(a > 0.0 || a < 0.0 && b == b.floor()) {
        return None;
    }
    let power = a.abs().powf(b);
    let odd = a < 0.0 && b.abs() % 2.0 == 1.0;
    power.is_normal().then_some(if odd { -power } else { power })
}

/// A comparison; of floats with a nan only `Ne` is true.
pub fn compare<T: PartialOrd>(cond: Cond, a: T, b: T) -> bool {
    match cond {
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [i64; 21] = [
        i64::MIN,
        i64::MIN + 1,
        -(1 << 62),
        -(1 << 53),
        -64,
        -63,
        -7,
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        7,
        63,
        64,
        1 << 53,
        1 << 62,
        i64::MAX - 1,
        i64::MAX,
    ];

    #[test]
    fn integers_agree_with_128_bits() {
        let fit = |x: i128| i64::try_from(x).ok();
        for a in EDGES {
            for b in EDGES {
                let (x, y) = (i128::from(a), i128::from(b));
                assert_eq!(int_binary(Op::IAddLeave, a, b), fit(x + y));
                assert_eq!(int_binary(Op::ISubLeave, a, b), fit(x - y));
                assert_eq!(int_binary(Op::IMulLeave, a, b), fit(x * y));
                if b == 0 {
                    assert_eq!((int_binary(Op::IFloorDiv, a, b), int_binary(Op::IMod, a, b)), (None, None));
                } else {
                    // floor by the definition: q * b <= a (for b > 0) with a remainder of b's sign
                    let m = ((x % y) + y) % y;
                    assert_eq!(int_binary(Op::IMod, a, b), fit(m), "{a} % {b}");
                    assert_eq!(int_binary(Op::IFloorDiv, a, b), fit((x - m) / y), "{a} // {b}");
                }
                let shifted = if (0..63).contains(&b) { fit(x << b) } else { None };
                assert_eq!(int_binary(Op::IShl, a, b), shifted, "{a} << {b}");
                if (0..64).contains(&b) {
                    assert_eq!(int_binary(Op::IShr, a, b), fit(x >> b), "{a} >> {b}");
                } else {
                    assert_eq!(int_binary(Op::IShr, a, b), (b >= 64).then_some(if a < 0 { -1 } else { 0 }));
                }
            }
            assert_eq!(int_unary(Op::INeg, a), fit(-i128::from(a)));
            assert_eq!(int_unary(Op::INot, a), fit(-i128::from(a) - 1));
            assert_eq!(int_to_float(a).is_some(), i128::from(a).abs() < 1 << 53);
        }
    }

    #[test]
    fn comparisons_with_nan() {
        for (cond, _) in Cond::ALL {
            assert_eq!(compare(cond, f64::NAN, 1.0), cond == Cond::Ne);
        }
        assert_eq!(float_binary(Op::FDiv, 1.0, -0.0), None);
        assert_eq!(float_binary(Op::FPow, -2.0, 3.0), Some(-8.0));
        assert_eq!(float_binary(Op::FPow, -2.0, 2.0), Some(4.0));
        for (a, b) in [(-2.0, 0.5), (0.0, 1.0), (2.0, 5000.0), (2.0, -5000.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0), (-2.0, f64::INFINITY)]
        {
            assert_eq!(float_binary(Op::FPow, a, b), None, "{a} ** {b}");
        }
    }
}
