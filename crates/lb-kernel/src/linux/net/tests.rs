use super::*;

fn seen(net: &str, owner: u8) -> Option<bool> {
    let names = HashMap::from([(2, "eth0".parse::<IfName>().expect("a name"))]);
    let net: IpNet = net.parse().expect("a net");
    let address = Address { interface: names[&2].clone(), net };
    let mut message = address_message(&address, &Card { index: 2, mac: None });
    message.attributes.push(AddressAttribute::Protocol(owner.into()));
    observed_address(&message, &names).map(|seen| {
        assert_eq!(seen.address, address);
        seen.ours
    })
}

/// lbd must neither remove nor report what heartbeat and the kernel look after.
#[test]
fn addresses_that_are_not_our_business_are_not_seen() {
    assert_eq!(seen("10.0.0.20/32", ADDRESS_OWNER), Some(true));
    assert_eq!(seen("10.0.0.20/32", 0), Some(false));
    assert_eq!(seen("2001:db8::1/64", 0), Some(false));
    assert_eq!(seen("10.0.0.20/32", HEARTBEAT_ADDRESS_OWNER), None);
    assert_eq!(seen("2001:db8::1/64", 2), None, "from a router advertisement");
    assert_eq!(seen("fe80::1/64", 3), None);
    assert_eq!(seen("fe80::1/64", 0), None);
}

fn route_seen(change: impl FnOnce(&mut RouteMessage)) -> Option<bool> {
    let route = Route { to: "10.6.0.0/16".parse().expect("a net"), via: [10, 5, 0, 254].into() };
    let mut message = route_message(&route);
    change(&mut message);
    observed_route(&message).map(|seen| {
        assert_eq!(seen.route, route);
        seen.ours
    })
}

#[test]
fn routes_of_the_kernel_and_of_other_tables_are_not_seen() {
    assert_eq!(route_seen(|_| {}), Some(true));
    assert_eq!(route_seen(|m| m.header.protocol = RouteProtocol::Boot), Some(false));
    assert_eq!(route_seen(|m| m.header.protocol = RouteProtocol::Kernel), None);
    assert_eq!(route_seen(|m| m.header.protocol = RouteProtocol::Ra), None);
    assert_eq!(route_seen(|m| m.attributes.push(RouteAttribute::Table(100))), None);
    assert_eq!(route_seen(|m| m.header.kind = RouteType::BlackHole), None);
    assert_eq!(route_seen(|m| m.attributes.retain(|a| !matches!(a, RouteAttribute::Gateway(_)))), None);
}
