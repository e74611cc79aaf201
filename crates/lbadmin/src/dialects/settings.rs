//! What an administrator says of the dialects: on or off, names and addresses. At once, past the candidate.

use super::{ATTEMPTS, apply};
use crate::App;
use lb_api::{ApiError, ClientError, ErrorCode};
use lb_dialects::commit::{absorbed, commit};
use lb_model::{Config, Dialects};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Both dialects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DialectSettings)]
pub struct Settings {
    pub rackspace: RackspaceSettings,
    pub ovh: OvhSettings,
}

/// Rackspace Cloud Load Balancers v1.0, below `/v1.0/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RackspaceSettings {
    pub enabled: bool,
    /// The account number in the paths.
    #[schema(minimum = 1, maximum = 2147483647)]
    pub account: u32,
    /// Addresses for new public virtual IPs; empty: they share the unit's own address.
    #[serde(default)]
    #[schema(value_type = Vec<lb_model::schema::IpAddress>, max_items = 256)]
    pub public: Vec<IpAddr>,
    /// The same for the service network.
    #[serde(default)]
    #[schema(value_type = Vec<lb_model::schema::IpAddress>, max_items = 256)]
    pub servicenet: Vec<IpAddr>,
}

/// OVH ipLoadbalancing v1, below `/1.0/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OvhSettings {
    pub enabled: bool,
    /// What programs call this unit.
    #[schema(pattern = "^[A-Za-z0-9.-]{1,64}$")]
    pub service_name: String,
    /// The only zone, beside `all`.
    #[schema(pattern = "^[a-z0-9]{1,16}$")]
    pub zone: String,
    /// Where front-ends without an address of their own are; left out: the unit's own address.
    #[serde(default)]
    #[schema(value_type = Option<lb_model::schema::IpAddress>)]
    pub address: Option<IpAddr>,
}

impl Settings {
    pub fn of(config: &Config) -> Settings {
        let Dialects { rackspace, ovh } = &config.dialects;
        Settings {
            rackspace: RackspaceSettings {
                enabled: rackspace.enabled,
                account: rackspace.account,
                public: rackspace.public.clone(),
                servicenet: rackspace.servicenet.clone(),
            },
            ovh: OvhSettings {
                enabled: ovh.enabled,
                service_name: ovh.service_name.clone(),
                zone: ovh.zone.clone(),
                address: ovh.address,
            },
        }
    }

    fn put_into(&self, dialects: &mut Dialects) {
        let Settings { rackspace, ovh } = self.clone();
        let RackspaceSettings { enabled, account, public, servicenet } = rackspace;
        let old = &mut dialects.rackspace;
        (old.enabled, old.account, old.public, old.servicenet) = (enabled, account, public, servicenet);
        let OvhSettings { enabled, service_name, zone, address } = ovh;
        let old = &mut dialects.ovh;
        (old.enabled, old.service_name, old.zone, old.address) = (enabled, service_name, zone, address);
    }

    /// For the audit log.
    pub fn words(&self) -> String {
        let word = |on: bool| if on { "on" } else { "off" };
        format!("Rackspace {}, OVH {}.", word(self.rackspace.enabled), word(self.ovh.enabled))
    }
}

/// Makes them run. A switch that is turned off keeps what programs have made, and it goes on running.
pub async fn put(app: &App, settings: &Settings, author: &str) -> Result<(), ClientError> {
    let _one = app.keys.one.lock().await;
    let mut attempt = 1;
    loop {
        let running = app.lbd.running().await?;
        let mut dialects = running.config.dialects.clone();
        settings.put_into(&mut dialects);
        if dialects == running.config.dialects {
            return Ok(());
        }
        let config = commit(&absorbed(&running.config), dialects);
        let config = config.map_err(|problems| ClientError::Refused(ApiError::invalid(problems)))?;
        match apply(app, &running, config, author.to_owned(), "Change the cloud dialects".into()).await {
            Err(ClientError::Refused(error)) if error.code == ErrorCode::Conflict && attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}
