//! The way from the Service of the configuration stream to the leader.

use super::world::World;
use anyhow::Result;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::json;

#[tokio::test]
async fn the_endpoint_follows_the_leader_to_another_family_of_addresses_and_belongs_to_the_service()
-> Result<()> {
    let world = World::create().await?;
    let services = Api::<Service>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": "configuration" },
        "spec": { "ports": [{ "name": "configuration", "port": 443, "targetPort": 9444 }] },
    }))?;
    let service = services.create(&PostParams::default(), &service).await?;
    let slices = Api::<EndpointSlice>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    let is_at = |family: &'static str, address: &'static str| {
        let slices = slices.clone();
        async move {
            eventually("the EndpointSlice leads to the leader", SOON, || async {
                let Some(slice) = slices.get_opt("configuration").await? else {
                    return Ok(Probe::NotYet("no slice".into()));
                };
                let addresses: Vec<_> = slice.endpoints.iter().flat_map(|each| &each.addresses).collect();
                Ok(match slice.address_type == family && addresses == [address] {
                    true => Probe::Seen(slice),
                    false => Probe::NotYet(format!("{} {addresses:?}", slice.address_type)),
                })
            })
            .await
        }
    };
    let first = ["--configuration-service=configuration", "--pod-ip=10.1.2.3"];
    let operator = world.operator_with("operator-0", &first).await?;
    let slice = is_at("IPv4", "10.1.2.3").await?;
    let owners: Vec<_> = slice
        .owner_references()
        .iter()
        .map(|owner| Some(owner.uid.clone()))
        .collect();
    assert_eq!(owners, [service.uid()], "it goes with the Service");
    operator.kill().await?;
    let second = ["--configuration-service=configuration", "--pod-ip=fd00::7"];
    let _operator = world.operator_with("operator-0", &second).await?;
    is_at("IPv6", "fd00::7").await?;
    Ok(())
}
