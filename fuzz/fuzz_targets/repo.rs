#![no_main]
syncline_fuzz::target!(repo);
