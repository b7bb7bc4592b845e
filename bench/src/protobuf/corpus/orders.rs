//! Events, orders and batches of them: the types of `proto/heddle/bench/v1/bench.proto`.

use super::random::Random;
use super::wire::{Wire, zigzag};

const ORDERS: usize = 80;
const EVENTS: usize = 24;
const LINES: usize = 11;
const NOON: u64 = 1_780_000_000;

const TAGS: [&str; 8] = [
    "cold", "express", "night", "bulk", "returned", "dock-4", "insured", "heavy",
];
const CITIES: [&str; 6] = ["Hamburg", "Zürich", "Oslo", "Rotterdam", "Málaga", "Antwerp"];
const CURRENCIES: [&str; 4] = ["EUR", "CHF", "NOK", "USD"];

/// About 200 bytes.
pub(super) fn small(random: &mut Random) -> Vec<u8> {
    Wire::build(|wire| event(wire, random))
}

/// About 3 kB.
pub(super) fn medium(random: &mut Random) -> Vec<u8> {
    Wire::build(|wire| order(wire, random))
}

/// About 250 kB.
pub(super) fn large(random: &mut Random) -> Vec<u8> {
    Wire::build(|wire| {
        wire.bytes(1, random.uuid());
        wire.varint(2, random.between(1 << 20, 1 << 40));
        for _ in 0..ORDERS {
            wire.message(3, |wire| order(wire, random));
        }
        for _ in 0..EVENTS {
            wire.message(4, |wire| event(wire, random));
        }
        for shard in 0..12 {
            wire.message(5, |wire| {
                wire.bytes(1, format!("shard-{shard:02}"));
                wire.message(2, |wire| event(wire, random));
            });
        }
        wire.packed_varints(6, (0..200).map(|_| random.between(1, 1 << 34)));
        wire.bytes(7, random.bytes(2048));
    })
}

fn event(wire: &mut Wire, random: &mut Random) {
    wire.bytes(1, random.uuid());
    wire.bytes(2, random.one_of(&["parcel.sorted.v1", "parcel.loaded.v1"]));
    wire.bytes(
        3,
        format!("/hub/{}/belt-{}", random.one_of(&CITIES), random.between(10, 40)),
    );
    wire.message(4, |wire| timestamp(wire, random));
    wire.varint(5, random.between(1 << 14, 1 << 34));
    wire.varint(6, random.between(1, 5));
    wire.varint(7, 1);
    wire.double(8, random.decimal(40));
    wire.message(9, |wire| {
        wire.bytes(1, "sorter");
        wire.varint(2, random.between(1, 4096));
        wire.message(3, |wire| {
            wire.bytes(1, format!("node-{}.belt.local", random.between(100, 999)));
            wire.varint(2, random.between(1024, 16_384));
        });
    });
    for _ in 0..5 {
        wire.bytes(10, random.one_of(&TAGS));
    }
}

fn timestamp(wire: &mut Wire, random: &mut Random) {
    wire.varint(1, NOON + random.between(0, 10_000_000));
    wire.varint(2, random.between(1, 1_000_000) * 1000);
}

fn order(wire: &mut Wire, random: &mut Random) {
    wire.bytes(1, random.uuid());
    wire.message(2, |wire| timestamp(wire, random));
    wire.varint(3, random.between(1, 7));
    wire.message(4, |wire| party(wire, random));
    wire.message(5, |wire| party(wire, random));
    for _ in 0..LINES {
        wire.message(6, |wire| line(wire, random));
    }
    for name in [
        "team",
        "route",
        "warehouse",
        "carrier",
        "tier",
        "campaign",
        "gate",
    ] {
        wire.message(7, |wire| {
            wire.bytes(1, format!("heddle.dev/{name}"));
            wire.bytes(2, random.words(2));
        });
    }
    for year in 2023..2027 {
        wire.message(8, |wire| {
            wire.varint(1, year);
            wire.message(2, |wire| money(wire, random));
        });
    }
    for _ in 0..7 {
        wire.bytes(9, random.words(8));
    }
    series(wire, random);
    wire.bytes(15, random.bytes(64));
    wire.bytes(16, random.bytes(160));
    wire.varint(17, u64::from(random.chance(50)));
    wire.fixed32(18, random.next() as u32);
    wire.fixed64(19, random.between(0, 1 << 40).wrapping_neg());
    wire.varint(20, 1);
}

fn series(wire: &mut Wire, random: &mut Random) {
    let levels: Vec<u64> = (0..32).map(|_| random.between(0, 600)).collect();
    wire.packed_varints(10, levels);
    wire.packed_fixed64(11, (0..12).map(|_| random.decimal(100).to_bits()));
    let drifts = (0..20).map(|_| zigzag(random.between(0, 60_000).cast_signed() - 30_000));
    wire.packed_varints(12, drifts);
    wire.packed_fixed64(13, (0..8).map(|_| random.next()));
    wire.packed_varints(14, (0..6).map(|_| random.between(1, 7)));
}

fn party(wire: &mut Wire, random: &mut Random) {
    wire.bytes(1, random.words(2));
    wire.bytes(2, format!("{}@example.org", random.one_of(&TAGS)));
    wire.message(3, |wire| {
        wire.bytes(1, format!("{} {}", random.words(1), random.between(1, 200)));
        wire.bytes(2, random.one_of(&CITIES));
        wire.bytes(3, random.between(10_000, 99_999).to_string());
        wire.bytes(4, random.one_of(&["DE", "CH", "NO", "NL", "ES", "BE"]));
        wire.double(5, random.decimal(60));
        wire.double(6, random.decimal(20));
    });
    for _ in 0..2 {
        wire.bytes(4, format!("+49 40 {}", random.between(1_000_000, 9_999_999)));
    }
}

fn line(wire: &mut Wire, random: &mut Random) {
    wire.bytes(1, format!("SKU-{:08x}", random.next() as u32));
    wire.bytes(2, random.words(4));
    wire.varint(3, random.between(1, 40));
    wire.message(4, |wire| money(wire, random));
    wire.float(5, random.decimal(30) as f32);
    for _ in 0..2 {
        wire.bytes(6, random.one_of(&TAGS));
    }
    for name in ["colour", "size"] {
        wire.message(7, |wire| {
            wire.bytes(1, name);
            wire.bytes(2, random.words(1));
        });
    }
    match random.between(0, 3) {
        0 => wire.message(8, |wire| money(wire, random)),
        1 => wire.double(9, random.decimal(30)),
        _ => {}
    }
}

fn money(wire: &mut Wire, random: &mut Random) {
    wire.bytes(1, random.one_of(&CURRENCIES));
    wire.varint(2, random.between(128, 16_000));
    wire.varint(3, random.between(1, 100) * 10_000_000);
}
