#![no_main]
syncline_fuzz::target!(query);
