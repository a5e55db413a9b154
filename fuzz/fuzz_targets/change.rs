#![no_main]
syncline_fuzz::target!(change);
