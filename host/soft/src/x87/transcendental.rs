//! Sines and tangents, their inverse, powers and logarithms (Intel SDM volume 1, 8.3.7 and 8.3.9).
//!
//! All have 64 bits: precision control does not concern them (Intel SDM volume 1, 8.1.5.2).

use iced_x86::Mnemonic as M;

use crate::{
    cpu::{Handler, Op, SoftCpu},
    fault::Step,
    float::{Context, Number, Trigonometric, flag},
    x87::stack::{Pops, status::C2},
};

pub(super) fn select(mnemonic: M) -> Option<Handler> {
    Some(match mnemonic {
        M::Fsin => |c, op| c.of_angle(op, Trigonometric::Sine, None),
        M::Fcos => |c, op| c.of_angle(op, Trigonometric::Cosine, None),
        M::Fsincos => |c, op| c.of_angle(op, Trigonometric::Sine, Some(cosine)),
        M::Fptan => |c, op| c.of_angle(op, Trigonometric::Tangent, Some(one)),
        M::F2xm1 => |c, op| c.change_top(op, Context::power_less_one),
        M::Fpatan => |c, op| c.change_st1(op, Context::arctangent),
        M::Fyl2x => |c, op| c.change_st1(op, Context::logarithm_times),
        M::Fyl2xp1 => |c, op| c.change_st1(op, Context::logarithm_of_sum_times),
        _ => return None,
    })
}

/// What an instruction pushes behind its result, by the angle and the result.
type Pushed = fn(&mut Context, Number, Number) -> Number;

fn cosine(context: &mut Context, angle: Number, _: Number) -> Number {
    context.trigonometric(Trigonometric::Cosine, angle)
}

/// The tangent of an 8087 is a ratio. Programs divide by the 1 for a cotangent.
fn one(_: &mut Context, _: Number, tangent: Number) -> Number {
    if tangent.is_nan() { tangent } else { Number::ONE }
}

impl SoftCpu {
    /// Replaces the angle in ST0. One that is too large stays, and C2 tells.
    fn of_angle(&mut self, op: &Op, function: Trigonometric, pushed: Option<Pushed>) -> Step {
        self.begin_x87()?;
        self.start_x87(op);
        self.state.fpu.status &= !C2;
        let is_empty = self.is_empty(0);
        if is_empty || pushed.is_some() && !self.is_empty(7) {
            if self.stack_fault(op, !is_empty) {
                self.set_st(0, Number::INDEFINITE);
                if pushed.is_some() {
                    self.push_over(Number::INDEFINITE.to_extended());
                }
            }
            return Ok(());
        }
        let angle = self.st(0);
        if angle.is_beyond_angles() {
            self.state.fpu.status |= C2;
            return Ok(());
        }
        let mut context = self.context();
        let result = context.trigonometric(function, angle);
        let pushed = pushed.map(|pushed| pushed(&mut context, angle, result));
        self.finish_x87(op, &context);
        if !context.has_unmasked(flag::BEFORE) {
            self.set_st(0, result);
            if let Some(pushed) = pushed {
                self.push_st(op, pushed.to_extended());
            }
        }
        Ok(())
    }

    /// Computes ST1 from it and ST0, and pops.
    fn change_st1(&mut self, op: &Op, f: fn(&mut Context, Number, Number) -> Number) -> Step {
        self.begin_x87()?;
        self.operate_on_stack(op, 1, 0, Pops::One, f);
        Ok(())
    }
}
