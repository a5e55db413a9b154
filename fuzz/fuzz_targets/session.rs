#![no_main]
libfuzzer_sys::fuzz_target!(
    init: syncline_fuzz::expect_guarded_panics(),
    |data: &[u8]| syncline_fuzz::session(data)
);
