//! OpenAPI schemas of words whose form in JSON is not what a derive would make of the Rust type.
//!
//! A schema never refuses what the parser takes, and refuses what one value shows to be wrong; what
//! needs several values ([`crate::problems`]) it cannot say. `tests/schema.rs` holds both sides together.

use crate::layer7::{
    AcmeContact, AcmeDirectory, ApplicationCookie, CertificateFingerprint, CertificateName, Cookie, CookieName,
    CookieValue, HeaderName, HttpText, Layer7Persistence, ManualBlock, PageText, SourceTable,
};
use crate::{
    CheckMethod, Family, FirewallMark, Hostname, IfName, Label, Negotiate, Pattern, Ports, Protocol, Service,
    StatusCodes, TimeServer,
};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, Object, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, AnyOfBuilder, SchemaType},
    },
};

/// An IPv4 or IPv6 address, for `value_type`.
pub enum IpAddress {}
/// An IPv4 address.
pub enum Ipv4Address {}
/// An IPv6 address.
pub enum Ipv6Address {}
/// An address with its prefix length.
pub enum IpNetwork {}

macro_rules! schemas {
    ($($type:ident = $schema:expr;)+) => {
        $(impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                RefOr::T($schema.into())
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($type))
            }
        })+
    };
}

const WORD: &str = "^[A-Za-z0-9_.-]{1,64}$";
const LABEL: &str = "^[A-Za-z0-9_.-]{1,63}$";
const HOSTNAME: &str = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$";
/// The last label begins with a letter.
const HOST_NAME: &str = "^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$";
/// Visible ASCII without `/` and `:`; neither `.` nor `..`.
const IF_NAME: &str = r"^(\.{0,2}[!-\-0-9;-~][!-.0-9;-~]*|\.{3}[!-.0-9;-~]*)$";
const PORTS: &str = "^ *([aA][nN][yY] *|PORT *(- *PORT *)?(, *PORT *(- *PORT *)?)*)$";
const PORT: &str = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
const STATUS_CODES: &str = "^ *[1-5][0-9]{2} *(- *[1-5][0-9]{2} *)?(, *[1-5][0-9]{2} *(- *[1-5][0-9]{2} *)?)*$";
/// The parser takes leading zeros.
const NETWORK4: &str =
    r"^((25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})(\.(25[0-5]|2[0-4][0-9]|[01]?[0-9]{1,2})){3})/(3[0-2]|[0-2]?[0-9])$";
const NETWORK6: &str = r"^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*/(12[0-8]|1[01][0-9]|0?[0-9]{1,2})$";

schemas! {
    CookieName = text("A cookie's name: letters, digits, `_`, `-` and `.`.", &["SERVERID", "PHPSESSID"])
        .pattern(Some(WORD)).min_length(Some(1)).max_length(Some(64));
    CookieValue = text("What a cookie says of a real server: letters, digits and `_.~+/=@:-`.", &["web1"])
        .pattern(Some("^[A-Za-z0-9_.~+/=@:-]{1,64}$")).min_length(Some(1)).max_length(Some(64));
    HeaderName = text("The name of a header or of a query's parameter: letters, digits, `_`, `-` and `.`.", &["X-Shop"])
        .pattern(Some(WORD)).min_length(Some(1)).max_length(Some(64));
    HttpText = text("One line of printable ASCII characters.", &["/shop", "www.example.com"])
        .pattern(Some("^[ -~]+$")).min_length(Some(1)).max_length(Some(1000));
    CertificateFingerprint = text("SHA-256 of a certificate's DER.", &["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
        .pattern(Some("^[0-9a-f]{64}$")).min_length(Some(64)).max_length(Some(64));
    CertificateName = text("A name in a certificate.", &["www.example.com", "*.example.com"])
        .pattern(Some("^[ -~]+$")).min_length(Some(1)).max_length(Some(255));
    AcmeDirectory = text("The directory of an ACME server.", &[AcmeDirectory::LETS_ENCRYPT])
        .pattern(Some("^https://[!-~]+$")).min_length(Some(9)).max_length(Some(255));
    AcmeContact = text("An e-mail address.", &["admin@example.com"])
        .pattern(Some("^[!-?A-~]+@[!-?A-~]+$")).min_length(Some(3)).max_length(Some(254));
    ManualBlock = text("Lines of HAProxy's own language for the virtual server's section.", &["http-request set-header X-Shop 1"])
        .max_length(Some(16_384));
    PageText = text("HTML, without control characters other than line ends and tabs.", &["<h1>Back at noon</h1>"])
        .pattern(Some(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")).min_length(Some(1)).max_length(Some(PageText::LONGEST));
    Label = text("The name of a virtual or real server: letters, digits, `_`, `-` and `.`.", &["HTTP_Cluster", "WebServer1"])
        .pattern(Some(LABEL)).min_length(Some(1)).max_length(Some(63));
    Hostname = text("The unit's host name: labels of letters, digits and `-`, joined by dots.", &["lbmaster"])
        .pattern(Some(HOSTNAME)).min_length(Some(1)).max_length(Some(63));
    TimeServer = AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(HOST_NAME)).max_length(Some(253)))
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))))
        .description(Some("Who tells the time by NTP: a host's name or an address."))
        .examples(["ntp.example.com", "10.0.0.5"]);
    IfName = text("A network interface: visible characters without `/` and `:`.", &["eth0"])
        .pattern(Some(IF_NAME)).min_length(Some(1)).max_length(Some(15));
    IpAddress = AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4))))
        .item(ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6))))
        .description(Some("An IPv4 or IPv6 address."))
        .examples(["192.168.2.50", "2001:db8::50"]);
    Ipv4Address = text("An IPv4 address.", &["192.168.2.50"]).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv4)));
    Ipv6Address = text("An IPv6 address.", &["2001:db8::50"]).format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6)));
    IpNetwork = AnyOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(NETWORK4)))
        .item(ObjectBuilder::new().schema_type(Type::String).pattern(Some(NETWORK6)))
        .description(Some("An address with its prefix length."))
        .examples(["10.0.0.21/24", "2001:db8::21/64"]);
    Ports = OneOfBuilder::new()
        .item(text("One port, a list, ranges, or `any`.", &["80", "80,443", "8000-8100", "any"])
            .pattern(Some(PORTS.replace("PORT", PORT))))
        .item(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(65_535)).description(Some("One port; read back as text.")))
        .description(Some("The ports of a virtual server."));
    StatusCodes = text("HTTP status codes that count as fit.", &["200-299", "200,204,301-302"])
        .pattern(Some(STATUS_CODES)).default(Some("200-299".into()));
    Pattern = text("A regular expression of the syntax of the Rust crate `regex`.", &["OK", "^<title>"]).max_length(Some(1000));
    FirewallMark = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(FirewallMark::AUTOMATIC - 1))
        .description(Some("A firewall mark that the administrator's own firewall rules set."))
        .examples([100]);
}

impl PartialSchema for Service {
    fn schema() -> RefOr<Schema> {
        let given = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
            .minimum(Some(FirewallMark::AUTOMATIC))
            .maximum(Some(u32::MAX))
            .description(Some("Given by the appliance when there is more than one port. Leave it out."));
        let address = closed("By address, protocol and port.")
            .property("address", part::<IpAddress>())
            .required("address")
            .property("protocol", part::<Protocol>())
            .property("ports", part::<Ports>())
            .required("ports")
            .property("mark", given);
        let mark = closed("By a mark that the administrator's own firewall rules set.")
            .property("mark", part::<FirewallMark>())
            .required("mark")
            .property("family", part::<Family>());
        let one_of = OneOfBuilder::new()
            .item(tagged(address.build(), "kind", "address"))
            .item(tagged(mark.build(), "kind", "firewall-mark"))
            .description(Some("What the kernel recognises the virtual server's packets by."));
        RefOr::T(one_of.into())
    }
}

impl ToSchema for Service {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Service")
    }

    fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
        parts.push((IpAddress::name().into(), IpAddress::schema()));
        parts.push((Protocol::name().into(), Protocol::schema()));
        parts.push((Ports::name().into(), Ports::schema()));
        parts.push((FirewallMark::name().into(), FirewallMark::schema()));
        parts.push((Family::name().into(), Family::schema()));
    }
}

impl PartialSchema for CheckMethod {
    fn schema() -> RefOr<Schema> {
        let one_of = OneOfBuilder::new()
            .item(bare("on", "Never asked, always active."))
            .item(bare("off", "Never asked, never active."))
            .item(bare("connect", "A TCP connection is accepted; UDP and SCTP are checked as by `ping`."))
            .item(bare("ping", "An ICMP echo is answered."))
            .item(tagged(object::<Negotiate>(), "type", "negotiate"))
            .description(Some("How a real server's fitness is asked for."));
        RefOr::T(one_of.into())
    }
}

impl PartialSchema for Layer7Persistence {
    fn schema() -> RefOr<Schema> {
        let one_of = OneOfBuilder::new()
            .item(tagged(object::<Cookie>(), "type", "cookie"))
            .item(tagged(object::<ApplicationCookie>(), "type", "application-cookie"))
            .item(tagged(object::<SourceTable>(), "type", "source"))
            .item(tagged(object::<SourceTable>(), "type", "rdp-cookie"))
            .item(tagged(object::<SourceTable>(), "type", "ssl-session-id"))
            .description(Some("What keeps a client on its server."));
        RefOr::T(one_of.into())
    }
}

impl ToSchema for Layer7Persistence {
    fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
        Cookie::schemas(parts);
        ApplicationCookie::schemas(parts);
    }

    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Layer7Persistence")
    }
}

impl ToSchema for CheckMethod {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("CheckMethod")
    }

    fn schemas(parts: &mut Vec<(String, RefOr<Schema>)>) {
        Negotiate::schemas(parts);
    }
}

fn text(description: &str, examples: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).examples(examples.iter().copied())
}

/// One of a closed list.
pub(crate) fn words(what: &str, all: impl Iterator<Item = &'static str>, default: &str) -> RefOr<Schema> {
    let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(all)).default(Some(default.into()));
    RefOr::T(words.description(Some(format!("The {what}."))).into())
}

/// A reference to the schema of a type that is a component of its own.
fn part<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn closed(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .description(Some(description))
}

fn bare(word: &str, description: &str) -> Object {
    tagged(closed(description).build(), "type", word)
}

/// `allOf` with a tag beside it would be refused by the closed object inside, so the tag goes into it.
fn tagged(mut object: Object, field: &str, word: &str) -> Object {
    let tag = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([word]));
    object.properties.insert(field.to_owned(), RefOr::T(tag.into()));
    object.required.push(field.to_owned());
    object
}

/// The schema of a struct with named fields.
fn object<T: PartialSchema>() -> Object {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => unreachable!("a struct with named fields"),
    }
}
