//! Two peers, their connections and the clock as the input wants them: sessions pass on what they should, hold no more than
//! they may, and end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| heddle_fuzz::relay::session(input));
