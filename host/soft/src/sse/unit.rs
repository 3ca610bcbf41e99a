//! MXCSR and the exceptions of floating-point vectors (Intel SDM volume 1, 10.2.3 and 11.5).

use x86_64::registers::control::Cr4Flags;

use crate::{
    cpu::SoftCpu,
    fault::{Step, XM, fault, ud},
    float::{Context, Format, Number, Rounding, flag},
    sse::lanes::{Lane, with_lane},
};

/// The control of floating-point operations by MXCSR, and the flags that they raise.
pub(super) struct Unit {
    pub(super) context: Context,
    /// The flags of the operations before the last ones, of an instruction that computes results from results.
    earlier: u8,
    /// Denormal operands are zeros.
    zeros: bool,
    /// The host's own arithmetic does for the usual operands: it rounds to nearest, a flag more for a result that is not
    /// exact changes nothing, and the result is computed again if it may raise another flag.
    is_plain: bool,
}

/// A lane that is a floating-point number.
pub(super) trait Real: Lane + Into<u64> + PartialEq {
    const FORMAT: Format;

    /// Returns the host's result, if it raises no flag except that of precision.
    fn on_host<O: Operation>(self, other: Self) -> Option<Self>;
}

/// A sum, difference, product or quotient.
pub(super) trait Operation {
    fn single(a: f32, b: f32) -> f32;
    fn double(a: f64, b: f64) -> f64;
    fn any(context: &mut Context, a: Number, b: Number, format: Format) -> Number;
}

macro_rules! operation {
    ($($name:ident $sign:tt $method:ident;)*) => {$(
        pub(super) struct $name;

        impl Operation for $name {
            fn single(a: f32, b: f32) -> f32 {
                a $sign b
            }

            fn double(a: f64, b: f64) -> f64 {
                a $sign b
            }

            fn any(context: &mut Context, a: Number, b: Number, format: Format) -> Number {
                context.$method(a, b, format)
            }
        }
    )*};
}

operation! {
    Add + add;
    Subtract - subtract;
    Multiply * multiply;
    Divide / divide;
}

macro_rules! real {
    ($bits:ty, $float:ty, $format:expr, $method:ident) => {
        impl Real for $bits {
            const FORMAT: Format = $format;

            fn on_host<O: Operation>(self, other: Self) -> Option<Self> {
                let (a, b) = (<$float>::from_bits(self), <$float>::from_bits(other));
                let is_usual = |number: $float| number.is_normal() || number == 0.0;
                if !is_usual(a) || !is_usual(b) {
                    return None;
                }
                let result = O::$method(a, b);
                let is_sure = result.is_normal() && result.abs() > <$float>::MIN_POSITIVE
                    || result == 0.0 && (a == 0.0 || b == 0.0);
                is_sure.then_some(result.to_bits())
            }
        }
    };
}

real!(u32, f32, Format::SINGLE, single);
real!(u64, f64, Format::DOUBLE, double);

impl Unit {
    /// Unpacks a lane.
    pub(super) fn number<R: Real>(&self, bits: R) -> Number {
        let number = R::FORMAT.decode(bits.into());
        if self.zeros { number.without_denormals() } else { number }
    }

    /// Packs a lane.
    pub(super) fn lane<R: Real>(&self, number: Number) -> R {
        R::low(R::FORMAT.encode(number).into())
    }

    pub(super) fn compute<O: Operation, R: Real>(&mut self, a: R, b: R) -> R {
        if self.is_plain
            && let Some(result) = a.on_host::<O>(b)
        {
            return result;
        }
        let (a, b) = (self.number(a), self.number(b));
        let result = O::any(&mut self.context, a, b, R::FORMAT);
        self.lane(result)
    }

    pub(super) fn square_root<R: Real>(&mut self, a: R) -> R {
        let a = self.number(a);
        let root = self.context.square_root(a, R::FORMAT);
        self.lane(root)
    }
}

impl Unit {
    /// Computes the lanes of a vector from earlier results.
    pub(super) fn stage<R: Real>(&mut self, count: u32, f: impl Fn(&mut Self, u32) -> R) -> u128 {
        self.earlier |= core::mem::take(&mut self.context.flags);
        (0..count).fold(0, |all, index| with_lane(all, index, f(self, index)))
    }
}

impl SoftCpu {
    /// Returns the control of an instruction's operations.
    pub(super) fn unit(&self) -> Unit {
        const PRECISION: u32 = flag::PRECISION as u32;
        let mxcsr = self.state.fpu.mxcsr;
        let context = Context {
            rounding: Rounding::new(mxcsr >> 13),
            masks: (mxcsr >> 7) as u8 & flag::ALL,
            flushes: mxcsr >> 15 & 1 != 0,
            is_x87: false,
            flags: 0,
            rounded_up: false,
        };
        let is_plain = mxcsr & (3 << 13 | PRECISION << 7 | PRECISION) == PRECISION << 7 | PRECISION;
        Unit { context, earlier: 0, zeros: mxcsr >> 6 & 1 != 0, is_plain }
    }

    /// Sets the flags that an instruction has raised, and raises the exception if one of them is not masked (Intel SDM
    /// volume 1, 11.5.2 and 11.5.3).
    pub(super) fn finish(&mut self, unit: &Unit) -> Step {
        let context = unit.context;
        let flags = if context.has_unmasked(flag::BEFORE) { flag::BEFORE } else { flag::ALL };
        self.state.fpu.mxcsr |= u32::from(context.flags & flags | unit.earlier);
        if !context.has_unmasked(flag::ALL) {
            return Ok(());
        }
        let is_expected = self.state.cr4 & Cr4Flags::OSXMMEXCPT_ENABLE.bits() != 0;
        Err(if is_expected { fault(XM) } else { ud() })
    }
}
