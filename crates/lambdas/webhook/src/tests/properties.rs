//! Any request has an answer.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn answer(world: &World, request: HttpRequest) -> HttpResponse {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(world.webhook.answer(request))
}

proptest! {
    #[test]
    fn a_delivery_without_a_good_signature_is_refused(
        method in prop_oneof![Just("POST".to_owned()), ".{0,5}"],
        path in prop_oneof![Just("/".to_owned()), ".{0,5}"],
        names in prop::collection::vec(prop_oneof![
            Just(SIGNATURE_HEADER.to_owned()), Just(EVENT_HEADER.to_owned()),
            Just(DELIVERY_HEADER.to_owned()), Just("content-type".to_owned()), "[a-z-]{0,12}",
        ], 0..6),
        values in prop::collection::vec(prop_oneof![
            "sha256=[0-9a-f]{64}", Just("push".to_owned()), Just("ping".to_owned()),
            Just(GUID.to_owned()), Just("application/json".to_owned()), ".{0,20}",
        ], 6),
        body in prop_oneof![any::<Vec<u8>>(), Just(payload().to_string().into_bytes())],
    ) {
        let headers: BTreeMap<String, String> = names.into_iter().zip(values).collect();
        let world = world();
        let answer = answer(&world, HttpRequest { method, path, headers, body: Ok(body) });
        prop_assert!(answer.status >= 400, "{}", answer.body);
        prop_assert!(world.bus.events().is_empty());
        prop_assert!(world.table.keys().is_empty());
    }

    #[test]
    fn any_signed_bytes_are_answered(
        body in prop_oneof![
            any::<Vec<u8>>(),
            "[\\[\\]{}\",:0-9a-z\\\\ ]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let world = world();
        let answer = answer(&world, signed(body));
        prop_assert!(matches!(answer.status, 202 | 400), "{}", answer.status);
        prop_assert!(world.bus.events().is_empty());
    }

    #[test]
    fn any_value_in_any_place_is_answered(
        path in prop::sample::select(vec![
            "/ref", "/before", "/after", "/deleted", "/repository", "/repository/id",
            "/repository/full_name", "/pusher", "/pusher/name",
        ]),
        value in prop_oneof![
            Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from), ".{0,80}".prop_map(Value::from), Just(json!([])), Just(json!({})),
        ],
    ) {
        let world = world();
        let answer = answer(&world, signed(set(path, value).to_string()));
        prop_assert!(matches!(answer.status, 202 | 400 | 401 | 403), "{}", answer.status);
    }
}
