use super::*;
use heddle_crds::WsRoute;

fn route(forwarding: &str) -> Route {
    let text = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: {{ name: a }}\nspec:\n  selector: {{ matchLabels: {{ a: b }} }}\n  backends: [{{ name: a, port: 1 }}]\n  forwarding: {forwarding}\n"
    );
    let object: WsRoute = serde_yaml_ng::from_str(&text).unwrap();
    Route::parse(&object).unwrap()
}

fn fields(pairs: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.push(*name, *value);
    }
    fields
}

#[test]
fn the_client_is_the_last_that_trusted_proxies_do_not_know_as_one_of_them() {
    let x = route("{ trustedProxies: [10.0.0.0/8, \"fd00::/8\"] }");
    let standard = route("{ headers: Forwarded, trustedProxies: [10.0.0.0/8] }");
    let cases = [
        (&x, "X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
        (&x, "X-Forwarded-For", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (&x, "X-Forwarded-For", "1.2.3.4, unknown, 10.2.2.2", "10.2.2.2"),
        (&x, "X-Forwarded-For", "1.2.3.4:5678", "1.2.3.4"),
        (&x, "X-Forwarded-For", "2001:db8::1", "2001:db8::1"),
        (&x, "X-Forwarded-For", "[2001:db8::1]:443", "2001:db8::1"),
        (&x, "X-Forwarded-For", "::ffff:1.2.3.4", "1.2.3.4"),
        (&x, "X-Forwarded-For", "nonsense", "10.0.0.1"),
        (&x, "X-Other", "1.2.3.4", "10.0.0.1"),
        (
            &standard,
            "Forwarded",
            "for=6.6.6.6, proto=http;for=\"[2001:db8::1]:80\", for=10.0.0.2",
            "2001:db8::1",
        ),
        (&standard, "Forwarded", "for=1.2.3.4, for=_hidden", "10.0.0.1"),
        (&standard, "X-Forwarded-For", "1.2.3.4", "10.0.0.1"),
    ];
    for (route, name, value, expected) in cases {
        let fields = fields(&[(name, value)]);
        let address = client_address(&fields, "10.0.0.1".parse().unwrap(), route);
        assert_eq!(address.to_string(), expected, "{name}: {value}");
        let stranger = "9.9.9.9".parse().unwrap();
        assert_eq!(client_address(&fields, stranger, route), stranger);
    }
}

#[test]
fn an_ipv6_peer_is_written_as_the_standard_asks() {
    let mut fields = Fields::default();
    let hop = Hop {
        peer: "2001:db8::1".parse().unwrap(),
        scheme: Scheme::Https,
        host: "example.com:8443",
    };
    rewrite(&mut fields, hop, &route("{ headers: Forwarded }"));
    let value = fields.one("forwarded").unwrap().unwrap();
    assert_eq!(
        value,
        "for=\"[2001:db8::1]\";host=\"example.com:8443\";proto=https"
    );
}
