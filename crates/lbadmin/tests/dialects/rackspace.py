"""The Rackspace document's flows with Apache Libcloud's own driver: rackspace.py URL CERTIFICATE all|documents USER API_KEY

Whoever reads stdout looks at what the unit's clients get."""
import json
import sys

import libcloud.security
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError
from libcloud.loadbalancer.base import Algorithm, Member
from libcloud.loadbalancer.drivers.rackspace import (
    RackspaceAccessRule, RackspaceAccessRuleType, RackspaceConnectionThrottle, RackspaceHealthMonitor)
from libcloud.loadbalancer.providers import get_driver
from libcloud.loadbalancer.types import MemberCondition, Provider, State

url, certificate, which, user, key = sys.argv[1:6]
libcloud.security.CA_CERTS_PATH = certificate

def driver(key):
    made = get_driver(Provider.RACKSPACE)(user, key, region="ord", ex_force_auth_url=url, ex_force_auth_version="2.0")
    made.connection.poll_interval = 0.05
    return made

def clients_see(what):
    print("ask: " + what, flush=True)
    assert sys.stdin.readline() == "done\n", what

def ask(lb, method, feature, body=None):
    """The calls that the driver has no method for, over its own connection."""
    data = "" if body is None else json.dumps(body)
    try:
        answer = client.connection.request(f"/loadbalancers/{lb}/{feature}", method=method, data=data)
        return answer.status, answer.object
    except BaseHTTPError as error:
        return error.code, error.message


try:
    driver("not the key").list_balancers()
    sys.exit("a wrong API key is taken")
except InvalidCredsError:
    pass

client = driver(key)
assert client.list_balancers() == []
assert ("http", 80) in client.ex_list_protocols_with_default_ports()
algorithms = client.list_supported_algorithms()
assert Algorithm.ROUND_ROBIN in algorithms, algorithms

web = client.create_balancer(
    name="web", port=8080, protocol="HTTP", algorithm=Algorithm.ROUND_ROBIN,
    members=[Member(None, "192.168.2.50", 80), Member(None, "192.168.2.51", 80)])
web = client.get_balancer(web.id)
assert web.state == State.RUNNING, web.state
assert web.ip == "10.0.0.21" and web.port == 8080, web
assert len(web.list_members()) == 2

# The driver's flows of session persistence.
assert web.extra.get("sessionPersistenceType") is None, web.extra
web = client.ex_enable_balancer_session_persistence(web)
assert web.extra["sessionPersistenceType"] == "HTTP_COOKIE", web.extra
clients_see("cookie X-Mapping- 8080")
status, body = ask(web.id, "GET", "sessionpersistence")
assert (status, body) == (200, {"sessionPersistence": {"persistenceType": "HTTP_COOKIE"}}), (status, body)
web = client.ex_disable_balancer_session_persistence(web)
assert web.extra.get("sessionPersistenceType") is None, web.extra
status, body = ask(web.id, "DELETE", "sessionpersistence")
assert status == 422, (status, body)
status, body = ask(web.id, "GET", "sessionpersistence")
assert (status, body) == (200, {"sessionPersistence": {}}), (status, body)
clients_see("free 8080")

# Another protocol disables it.
web = client.ex_enable_balancer_session_persistence(web)
web = client.update_balancer(web, protocol="HTTPS", port=443)
assert web.port == 443 and web.extra.get("sessionPersistenceType") is None, web.extra
cookie = {"sessionPersistence": {"persistenceType": "HTTP_COOKIE"}}
status, body = ask(web.id, "PUT", "sessionpersistence", cookie)
assert status == 400 and "HTTP_COOKIE" in str(body), (status, body)
status, body = ask(web.id, "PUT", "sessionpersistence", {"sessionPersistence": {"persistenceType": "SOURCE_IP"}})
assert status == 202, (status, body)
clients_see("source 443")

# A cookie on TCP is refused.
tcp = client.create_balancer(name="tcp", port=8000, protocol="TCP", algorithm=Algorithm.RANDOM, members=[])
status, body = ask(tcp.id, "PUT", "sessionpersistence", cookie)
assert status == 400 and "HTTP_COOKIE" in str(body), (status, body)
if which == "documents":
    assert client.destroy_balancer(tcp)
    print("Apache Libcloud: persistence PUT, GET, DELETE, second DELETE 422, another protocol disables it, none on TCP")
    sys.exit()

# The rest of what the driver can do.
member = web.attach_member(Member(None, "192.168.2.52", 80))
assert len(web.list_members()) == 3
drained = client.ex_balancer_update_member(web, member, condition=MemberCondition.DRAINING)
assert drained.extra["condition"] == MemberCondition.DRAINING, drained.extra
assert web.detach_member(member)
monitor = RackspaceHealthMonitor("CONNECT", 10, 5, 2)
web = client.ex_update_balancer_health_monitor(web, monitor)
assert web.extra["healthMonitor"].type == "CONNECT", web.extra
web = client.ex_disable_balancer_health_monitor(web)
assert "healthMonitor" not in web.extra, web.extra
web = client.ex_update_balancer_connection_throttle(web, RackspaceConnectionThrottle(1, 10, 5, 60))
assert web.extra["connectionThrottle"].max_connections == 10, web.extra
web = client.ex_disable_balancer_connection_throttle(web)
web = client.ex_enable_balancer_connection_logging(web)
assert web.extra["connectionLoggingEnabled"], web.extra
web = client.ex_disable_balancer_connection_logging(web)
rule = client.ex_create_balancer_access_rule(
    web, RackspaceAccessRule(rule_type=RackspaceAccessRuleType.DENY, address="10.9.0.0/16"))
assert [r.address for r in client.ex_balancer_access_list(web)] == ["10.9.0.0/16"]
client.ex_destroy_balancer_access_rule(web, rule)
assert client.ex_balancer_access_list(web) == []
assert "<html>" in client.ex_get_balancer_error_page(web)
assert "WEIGHTED_ROUND_ROBIN" in client.ex_list_algorithm_names()
assert sorted(b.name for b in client.list_balancers()) == ["tcp", "web"]
assert client.destroy_balancer(tcp) and client.destroy_balancer(client.get_balancer(web.id))
assert client.list_balancers() == []
print("Apache Libcloud: log-in, load balancers, nodes, session persistence, monitor, logging")
