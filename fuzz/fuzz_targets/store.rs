#![no_main]
syncline_fuzz::target!(store);
