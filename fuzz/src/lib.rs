//! What the fuzzer's process needs besides the bodies, which are in `syncline::sim::fuzz`.

/// Lets Automerge and redb panic inside the library's guards: libFuzzer would abort at the panic
/// itself. One that escapes still ends the run, and any other is still shown.
pub fn expect_guarded_panics() {
    std::panic::set_hook(Box::new(|info| {
        let file = info.location().map_or("", |it| it.file());
        if !["/automerge-", "/hexane-", "/redb-"]
            .iter()
            .any(|it| file.contains(it))
        {
            eprintln!("{info}");
        }
    }));
}

/// One target: its body by its name.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::expect_guarded_panics(),
            |data: &[u8]| syncline::sim::fuzz::$name(data)
        );
    };
}
