//! Floating-point numbers. A guest has no floating-point unit and computes them in software.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use guest_rt::{abi::mode::CpuMode, boot};

guest_rt::tests! {
    fn a_float_is_read_from_text() {
        // The code for floats is too big for real mode.
        if boot::MODE != CpuMode::Real {
            let read = |text: &str| black_box(text).parse::<f64>().map(f64::to_bits);
            assert_eq!(read("3.5"), Ok(0x400C_0000_0000_0000));
            assert_eq!(read("1e-320"), Ok(2024));
            // The text has more digits than a float; the last bit must be right.
            let tenth = read("0.1000000000000000055511151231257827021181583404541015625000000000000000001");
            assert_eq!(tenth, Ok(0.1_f64.to_bits()));
            assert!(read("three").is_err());
            assert_eq!(black_box("-16777217").parse::<f32>().map(f32::to_bits), Ok(0xCB80_0000));
        }
    }

    fn floats_are_computed() {
        let [one, three] = black_box([1.0_f64, 3.0]);
        assert_eq!((one / three).to_bits(), 0x3FD5_5555_5555_5555);
        #[expect(clippy::cast_possible_truncation, reason = "it is tested")]
        let cut = (three * -2.5) as i32;
        assert_eq!(cut, -7);
    }
}
