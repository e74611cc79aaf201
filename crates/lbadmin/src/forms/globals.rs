//! Global Settings: what holds where a virtual server says nothing of its own.

use super::{
    edit::{Object, Standing, Typed, Values},
    form::{Field, Section},
    layer7::timeouts,
    parse,
};
use lb_model::{Config, ForwardingMethod, TimeServer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalsForm;

const YEAR: u32 = 31_536_000;

fn time_server(text: &str) -> Result<TimeServer, String> {
    text.parse().map_err(|e: lb_model::NameError| e.to_string())
}

impl Object for GlobalsForm {
    fn title(&self) -> String {
        "Global Settings".into()
    }

    fn name(&self) -> String {
        self.title()
    }

    fn standing(&self, config: &Config) -> Standing {
        let on = |b: bool| if b { "on".to_owned() } else { String::new() };
        let (health, globals) = (&config.globals.health, &config.globals);
        let mut values = Values::from([
            ("interval", health.interval.to_string()),
            ("timeout", health.timeout.to_string()),
            ("negotiate_timeout", health.negotiate_timeout.to_string()),
            ("fall", health.fall.to_string()),
            ("rise", health.rise.to_string()),
            ("quiescent", on(health.quiescent)),
            ("default_forwarding", globals.default_forwarding.to_string()),
            ("masquerade", on(globals.masquerade)),
            ("tcp", globals.timeouts.tcp.to_string()),
            ("tcp_fin", globals.timeouts.tcp_fin.to_string()),
            ("udp", globals.timeouts.udp.to_string()),
            ("time_servers", parse::joined(&globals.time_servers)),
            ("layer7_connections", config.layer7.max_connections.to_string()),
        ]);
        values.extend(timeouts::global_values(&config.layer7.timeouts));
        Standing::There(values)
    }

    fn sections(&self, _: &Config, _: &Values) -> Vec<Section> {
        let mut layer7 = timeouts::global_fields();
        layer7.push(
            Field::number(
                "layer7_connections",
                "Maximum connections",
                "layer-seven-all-connections",
                0,
                lb_model::Layer7::MOST_CONNECTIONS,
            )
            .hint("Of clients, all layer 7 virtual servers together; 0: as many as memory allows"),
        );
        let methods = [
            (ForwardingMethod::Dr, "DR - Direct Routing (one arm)"),
            (ForwardingMethod::Nat, "NAT - Network Address Translation (two arms)"),
            (ForwardingMethod::Tun, "TUN - IP encapsulation"),
        ];
        vec![
            Section::new(
                "Health checks",
                vec![
                    Field::number("interval", "Check interval", "check-interval", 1, 3600).unit("seconds"),
                    Field::number("timeout", "Check timeout", "check-timeout", 1, 300)
                        .unit("seconds")
                        .hint("Of connect and ping"),
                    Field::number("negotiate_timeout", "Negotiate timeout", "check-negotiate-timeout", 1, 300)
                        .unit("seconds"),
                    Field::number("fall", "Failure count", "check-fall", 1, 100)
                        .hint("Failures in a row that take a server out"),
                    Field::number("rise", "Success count", "check-rise", 1, 100)
                        .hint("Successes in a row that take it back"),
                    Field::checkbox("quiescent", "Quiescent", "quiescent")
                        .hint("A failed server stays with weight 0; off: it is removed, and its connections are cut"),
                ],
            ),
            Section::new(
                "Forwarding",
                vec![
                    Field::select(
                        "default_forwarding",
                        "Default forwarding method",
                        "default-forwarding-method",
                        methods,
                    )
                    .hint("What the form of a new real server offers"),
                    Field::checkbox("masquerade", "Auto-NAT (MASQUERADE)", "masquerade")
                        .hint("Real servers behind the other cards reach out under this unit's address"),
                ],
            ),
            Section::new(
                "Idle connections are forgotten after",
                vec![
                    Field::number("tcp", "TCP", "connection-timeouts", 1, YEAR).unit("seconds"),
                    Field::number("tcp_fin", "TCP, after FIN", "connection-timeouts", 1, YEAR).unit("seconds"),
                    Field::number("udp", "UDP", "connection-timeouts", 1, YEAR).unit("seconds"),
                ],
            ),
            Section::new(
                "Time",
                vec![
                    Field::area("time_servers", "Time servers", "time-servers", 3)
                        .placeholder("ntp.example.com")
                        .hint("One a line, by name or address, at most eight (NTP); empty: nobody sets the clock"),
                ],
            ),
            Section::new("Layer 7", layer7),
        ]
    }

    /// The document itself: the settings of layer 7 stand beside those of layer 4.
    fn pointer(&self, _: &Config) -> Option<String> {
        Some(String::new())
    }

    fn write(&self, config: &mut Config, typed: &mut Typed) -> String {
        let globals = &mut config.globals;
        let health = &mut globals.health;
        typed.put_number("interval", &mut health.interval);
        typed.put_number("timeout", &mut health.timeout);
        typed.put_number("negotiate_timeout", &mut health.negotiate_timeout);
        typed.put_number("fall", &mut health.fall);
        typed.put_number("rise", &mut health.rise);
        health.quiescent = typed.on("quiescent");
        typed.put("default_forwarding", &mut globals.default_forwarding, str::parse::<ForwardingMethod>);
        globals.masquerade = typed.on("masquerade");
        typed.put_number("tcp", &mut globals.timeouts.tcp);
        typed.put_number("tcp_fin", &mut globals.timeouts.tcp_fin);
        typed.put_number("udp", &mut globals.timeouts.udp);
        typed.put("time_servers", &mut globals.time_servers, |text| parse::lines(text, time_server));
        timeouts::write_global(&mut config.layer7.timeouts, typed);
        typed.put_number("layer7_connections", &mut config.layer7.max_connections);
        String::new()
    }

    fn field_at(&self, tail: &str) -> Option<&'static str> {
        Some(match tail {
            "/globals/health/interval" => "interval",
            "/globals/health/timeout" => "timeout",
            "/globals/health/negotiate_timeout" => "negotiate_timeout",
            "/globals/health/fall" => "fall",
            "/globals/health/rise" => "rise",
            "/globals/health/quiescent" => "quiescent",
            "/globals/default_forwarding" => "default_forwarding",
            "/globals/masquerade" => "masquerade",
            "/globals/timeouts/tcp" => "tcp",
            "/globals/timeouts/tcp_fin" => "tcp_fin",
            "/globals/timeouts/udp" => "udp",
            _ if tail.starts_with("/globals/time_servers") => "time_servers",
            "/layer7/max_connections" => "layer7_connections",
            _ => return timeouts::field_at(tail.strip_prefix("/layer7/timeouts/")?),
        })
    }
}
