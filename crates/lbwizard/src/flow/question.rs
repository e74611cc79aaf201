//! The questions' words. Whether and when one is asked is [`super::Answers::open`]'s to say.

/// The questions, in the order of the quick start guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    HaPair,
    /// Of a pair: is this unit its master?
    Role,
    SlaveReady,
    OneArm,
    Eth0Address,
    Eth0Netmask,
    Eth1Address,
    Eth1Netmask,
    Gateway,
    Nameserver,
    SlaveAddress,
    Cable,
    FloatingIp,
    InternalFloatingIp,
    Port,
    RealServer,
}

impl Question {
    /// As printed, without default and colon; at most 65 columns, so that the answer fits on the line.
    pub fn text(self) -> &'static str {
        match self {
            Question::HaPair => "Is this unit part of an HA-Pair? (y/n)",
            Question::Role => "Is this unit the master or the slave? (m/s)",
            Question::SlaveReady => "Has the slave been set up already? (y/n)",
            Question::OneArm => "Is this a one-armed set-up (i.e. same subnet as servers)? (y/n)",
            Question::Eth0Address => "IP address for interface eth0",
            Question::Eth0Netmask => "Netmask for interface eth0",
            Question::Eth1Address => "IP address for interface eth1",
            Question::Eth1Netmask => "Netmask for interface eth1",
            Question::Gateway => "IP address of the default gateway",
            Question::Nameserver => "IP address of the nameserver",
            Question::SlaveAddress => "IP address of the slave",
            Question::Cable => "Does a null-modem cable connect the two units? (y/n)",
            Question::FloatingIp => "Floating IP address for the first virtual server",
            Question::InternalFloatingIp => "Floating IP address for the real servers' gateway",
            Question::Port => "Port for first virtual server",
            Question::RealServer => "IP address of the first real server (backend)",
        }
    }

    /// What `?` shows; lines of at most 78 columns.
    pub fn help(self) -> &'static str {
        match self {
            Question::HaPair => "Two units that stand in for each other are a pair. n: a single unit.",
            Question::Role => {
                "The master serves, and the slave takes over when the master fails. The slave\n\
                 is configured first: it then waits for the master."
            }
            Question::SlaveReady => "The slave is configured first: type lbwizard there, and answer s.",
            Question::OneArm => {
                "One arm: load balancer and real servers in one subnet, on one card; DR.\n\
                 Two arms: eth0 to the clients, eth1 to the real servers; NAT."
            }
            Question::Eth0Address => {
                "The address of the card towards the clients (Gb1). The first virtual server\n\
                 of a single unit gets this address too; a pair has a floating IP for it."
            }
            Question::Eth0Netmask | Question::Eth1Netmask => "How large the card's subnet is: 255.255.255.0, or /24.",
            Question::Eth1Address => {
                "The address of the card towards the real servers (Gb2), in its own subnet.\n\
                 The real servers of a single unit use it as their default gateway."
            }
            Question::Gateway => "The router of eth0's subnet, through which clients are reached.",
            Question::Nameserver => "The DNS server that this unit asks.",
            Question::SlaveAddress => {
                "The slave's own address for eth0, as its wizard was told. The null-modem\n\
                 cable is tried first; this address is used where there is none."
            }
            Question::Cable => "y: the units hear each other on the serial fail-over ports too.",
            Question::FloatingIp => {
                "An address that nobody has yet, in eth0's subnet. The unit that serves holds\n\
                 it: the clients go there, whichever of the two units that is."
            }
            Question::InternalFloatingIp => {
                "An address that nobody has yet, in eth1's subnet. The real servers use it as\n\
                 their default gateway, whichever of the two units serves."
            }
            Question::Port => "The TCP port that clients connect to: 80 for HTTP.",
            Question::RealServer => {
                "The machine that serves the clients. One arm: in eth0's subnet. Two arms: in\n\
                 eth1's. More can be added afterwards with lbctl."
            }
        }
    }
}
