//! A batch of traces as an OpenTelemetry SDK exports it: `ExportTraceServiceRequest`.

use super::random::Random;
use super::wire::Wire;

const RESOURCES: usize = 3;
const SCOPES: usize = 2;
const SPANS: usize = 25;
const NOON: u64 = 1_780_000_000_000_000_000;

/// About 80 kB.
pub(super) fn batch(random: &mut Random) -> Vec<u8> {
    Wire::build(|wire| {
        for number in 0..RESOURCES {
            wire.message(1, |wire| resource_spans(wire, random, number));
        }
    })
}

fn resource_spans(wire: &mut Wire, random: &mut Random, number: usize) {
    wire.message(1, |wire| {
        text(wire, 1, "service.name", ["checkout", "cart", "payment"][number]);
        text(wire, 1, "service.version", "2.14.1");
        text(wire, 1, "service.instance.id", &random.uuid());
        text(wire, 1, "k8s.namespace.name", "shop");
        text(
            wire,
            1,
            "k8s.pod.name",
            &format!("shop-{:08x}", random.next() as u32),
        );
        text(wire, 1, "telemetry.sdk.language", "rust");
        text(wire, 1, "telemetry.sdk.name", "opentelemetry");
        integer(wire, 1, "process.pid", random.between(2, 30_000));
    });
    for scope in 0..SCOPES {
        wire.message(2, |wire| {
            wire.message(1, |wire| {
                wire.bytes(1, ["tower-http", "sqlx"][scope]);
                wire.bytes(2, "0.6.2");
            });
            for _ in 0..SPANS {
                wire.message(2, |wire| span(wire, random));
            }
            wire.bytes(3, "https://opentelemetry.io/schemas/1.37.0");
        });
    }
}

fn span(wire: &mut Wire, random: &mut Random) {
    let started = NOON + random.between(0, 1_000_000_000_000);
    wire.bytes(1, random.bytes(16));
    wire.bytes(2, random.bytes(8));
    wire.bytes(4, random.bytes(8));
    wire.bytes(
        5,
        random.one_of(&[
            "GET /api/orders/{id}",
            "POST /api/cart",
            "SELECT orders",
            "publish invoices",
        ]),
    );
    wire.varint(6, random.between(1, 6));
    wire.fixed64(7, started);
    wire.fixed64(8, started + random.between(10_000, 900_000_000));
    text(
        wire,
        9,
        "http.request.method",
        random.one_of(&["GET", "POST", "PUT"]),
    );
    integer(wire, 9, "http.response.status_code", random.between(200, 505));
    text(wire, 9, "url.path", &format!("/api/orders/{}", random.uuid()));
    text(
        wire,
        9,
        "server.address",
        random.one_of(&["orders.shop.svc", "cart.shop.svc", "db-0.shop.svc"]),
    );
    integer(wire, 9, "server.port", random.between(1024, 16_000));
    text(
        wire,
        9,
        "user_agent.original",
        "Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0",
    );
    number(wire, 9, "shop.cart.total", random.decimal(500));
    if random.chance(30) {
        wire.message(11, |wire| {
            wire.fixed64(1, started + 5_000);
            wire.bytes(2, "exception");
            text(wire, 3, "exception.type", "TimeoutError");
            text(wire, 3, "exception.message", &random.words(9));
        });
    }
    wire.message(15, |wire| wire.varint(3, random.between(1, 3)));
    wire.fixed32(16, 257);
}

fn text(wire: &mut Wire, field: u32, key: &str, value: &str) {
    attribute(wire, field, key, |wire| wire.bytes(1, value));
}

fn integer(wire: &mut Wire, field: u32, key: &str, value: u64) {
    attribute(wire, field, key, |wire| wire.varint(3, value));
}

fn number(wire: &mut Wire, field: u32, key: &str, value: f64) {
    attribute(wire, field, key, |wire| wire.double(4, value));
}

fn attribute(wire: &mut Wire, field: u32, key: &str, value: impl FnOnce(&mut Wire)) {
    wire.message(field, |wire| {
        wire.bytes(1, key);
        wire.message(2, value);
    });
}
