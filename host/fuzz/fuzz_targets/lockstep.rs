#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| guestlab_fuzz::lockstep::run(data));
