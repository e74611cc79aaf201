"""The OVH documents' flows with OVH's own client: ovh_flow.py URL CERTIFICATE all|documents KEY SECRET

Whoever reads stdout approves, and looks at what the unit's clients get."""
import os
import sys

url, certificate, which, key, secret = sys.argv[1:6]
os.environ["REQUESTS_CA_BUNDLE"] = certificate

import ovh

def client(consumer=None, secret=secret):
    ovh.client.ENDPOINTS["unit"] = url + "/1.0"
    return ovh.Client(endpoint="unit", application_key=key, application_secret=secret, consumer_key=consumer)

def ask(what):
    print("ask: " + what, flush=True)
    assert sys.stdin.readline() == "done\n", what

def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    sys.exit(f"{arguments} {named} is not refused")

new = client()
rules = ovh.ConsumerKeyRequest(new)
rules.add_recursive_rules(ovh.API_READ_WRITE, "/ipLoadbalancing")
answer = rules.request(redirect_url="https://www.example.com/")
assert answer["state"] == "pendingValidation", answer
consumer = answer["consumerKey"]
unit = client(consumer)
refused(ovh.exceptions.InvalidCredential, unit.get, "/ipLoadbalancing")
ask("approve " + answer["validationUrl"])

refused(ovh.exceptions.APIError, client(consumer, secret="0" * 32).get, "/ipLoadbalancing")
refused(ovh.exceptions.NotGrantedCall, unit.get, "/me")
(service,) = unit.get("/ipLoadbalancing")
at = f"/ipLoadbalancing/{service}"
assert unit.get(at)["state"] == "ok"

farm = unit.post(f"{at}/http/farm", zone="rbx", port=80, displayName="Läden")["farmId"]
server = unit.post(f"{at}/http/farm/{farm}/server", address="192.168.2.50", status="active")["serverId"]
unit.post(f"{at}/http/farm/{farm}/server", address="192.168.2.51", status="active")
frontend = unit.post(f"{at}/http/frontend", zone="rbx", port="8081", defaultFarmId=farm)["frontendId"]
assert unit.get(f"{at}/pendingChanges") == [{"zone": "rbx", "number": 2}]
task = unit.post(f"{at}/refresh", zone="rbx")
assert task["action"] == "refreshIplb", task
for status in ("todo", "doing"):
    assert unit.get(f"{at}/task", action="refreshIplb", status=status) == []
assert unit.get(f"{at}/task/{task['id']}")["status"] == "done"
assert unit.get(f"{at}/pendingChanges") == []

# The documents' three calls: view, change the tracking method, apply.
shown = unit.get(f"{at}/http/farm/{farm}")
for field in ("farmId", "balance", "zone", "port", "probe", "displayName", "stickiness"):
    assert field in shown, field
assert shown["displayName"] == "Läden" and shown["stickiness"] is None, shown
for method, seen in (("cookie", f"cookie SERVERID{farm} 8081"), ("sourceIp", "source 8081")):
    assert unit.put(f"{at}/http/farm/{farm}", stickiness=method) is None
    assert unit.get(f"{at}/http/farm/{farm}")["stickiness"] == method
    assert unit.get(f"{at}/pendingChanges") == [{"zone": "rbx", "number": 1}]
    if method == "cookie":
        ask("free 8081")
    assert unit.post(f"{at}/refresh", zone="rbx")["status"] in ("todo", "doing", "done")
    assert unit.get(f"{at}/pendingChanges") == []
    ask(seen)
if which == "documents":
    print("python-ovh: view, pending, refresh; a cookie, then the source address keep clients")
    sys.exit()

words = refused(ovh.exceptions.BadParametersError, unit.put, f"{at}/http/farm/{farm}", stickiness="both")
assert "stickiness" in words, words
refused(ovh.exceptions.ResourceNotFoundError, unit.get, f"{at}/http/farm/99999")
refused(ovh.exceptions.ResourceConflictError, unit.delete, f"{at}/http/farm/{farm}")
refused(ovh.exceptions.BadParametersError, unit.post, f"{at}/refresh", zone="gra")

unit.put(f"{at}/http/farm/{farm}/server/{server}", weight=0, status="inactive")
assert unit.get(f"{at}/http/farm/{farm}/server/{server}")["weight"] == 0
unit.delete(f"{at}/http/frontend/{frontend}")
unit.delete(f"{at}/http/farm/{farm}")
unit.post(f"{at}/refresh")
assert unit.get(f"{at}/http/farm") == [] and unit.get(f"{at}/http/frontend") == []
print("python-ovh: grant, farms, servers, front-ends, stickiness, pending changes, refresh")
